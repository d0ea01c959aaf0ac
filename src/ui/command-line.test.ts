import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { commandIn } from "./command-line.ts";

let base: string;
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "convosync-ui-"));
  for (const name of ["shop/packages/the api", "shop/docs", "shop/bell\u0007"])
    mkdirSync(join(base, name), { recursive: true });
  symlinkSync("shop", join(base, "link"));
});
afterAll(() => rmSync(base, { recursive: true }));

const command = ["claude", "--resume", "1"];
const from = (cwd: string, directory: string): string =>
  commandIn(join(base, directory), join(base, cwd), command);

test("a command for where one is, and for another folder", () => {
  expect(from("shop", "shop")).toBe("claude --resume 1");
  expect(from("link", "shop")).toBe("claude --resume 1");
  expect(from("shop", "shop/docs")).toBe("cd docs && claude --resume 1");
  expect(from("link", "shop/docs")).toBe("cd docs && claude --resume 1");
  expect(from("shop", "shop/packages/the api")).toBe("cd 'packages/the api' && claude --resume 1");
  expect(from("shop/docs", "shop")).toBe(`cd ${join(base, "shop")} && claude --resume 1`);
});

test("folders that are not there, or have no name to type", () => {
  expect(from("shop", "shop/gone")).toBe("claude --resume 1");
  expect(from("shop", "shop/bell\u0007")).toBe("claude --resume 1");
});

test("words that a shell would not take as they are", () => {
  expect(commandIn(base, base, ["say", "it's", "a b", ""])).toBe("say 'it'\\''s' 'a b' ''");
});
