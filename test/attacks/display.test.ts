import { afterAll, describe, expect, test } from "vitest";
import { sessionId } from "../faults/sandbox.ts";
import { assemble } from "./cast.ts";
import { forgeSession } from "./forge.ts";

// What another device wrote reaches a terminal only as text.

const cast = assemble();
const { sandbox, laptop, tablet } = cast;
afterAll(() => sandbox.remove());

const nasty = [
  "\u001b]0;owned\u0007\u001b[2J\u001b[31mred",
  "\u009b31m\u0090q\u009c",
  "back\b\b\bspace\rreturn\nfeed\u0000nul",
  "\u202eright to left\u2066\u200bzero\u200d\ufeff",
  "\u{e0041}\u{e0042}tags\ud800",
].join(" ");

/** All but printable text and line feeds: controls, bidi, invisible characters, lone surrogates. */
const harmful =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\u{e0000}-\u{e0fff}]|\p{Surrogate}/u;

describe("text of another device", async () => {
  sandbox.rewind(cast.known);
  await forgeSession(laptop, {
    entry: (entry) => ({ ...entry, t: nasty, msg: nasty, br: nasty }),
    manifest: (manifest) => ({
      ...manifest,
      snapshots: manifest.snapshots.map((one) => ({ ...one, message: nasty })),
      links: manifest.links.map((one) => ({ ...one, branch: nasty })),
    }),
  });
  const start = sandbox.keep();

  test.each([
    ["list", ["list", "--fetch"]],
    ["resume --list", ["resume", "--list"]],
    ["sync", ["sync"]],
    ["resume", ["resume", sessionId]],
    ["resume --dry-run", ["resume", "--dry-run", sessionId]],
    ["status", ["status"]],
    ["show", ["show", sessionId]],
    ["log", ["log", sessionId]],
    ["search", ["search", "-a", "e"]],
    ["replay", ["replay", sessionId, "--at-commit", "HEAD"]],
    ["diff", ["diff", sessionId, `${sessionId}@1`]],
    ["summary", ["summary", sessionId]],
    ["export as Markdown", ["export", sessionId]],
    ["export as HTML", ["export", sessionId, "--format", "html"]],
    ["verify", ["verify"]],
    ["an error that quotes it", ["show", "5e55104e"]],
  ])("%s prints none of its control characters", (_, args) => {
    sandbox.rewind(start);
    tablet.convosync(["sync"]);
    const { stdout, stderr } = tablet.convosync(args, [0, 1, 2, 6]);
    expect(`${stdout}${stderr}`).not.toMatch(harmful);
    expect(`${stdout}${stderr}`).not.toContain("owned");
  });

  test.each([["list"], ["status"], ["show"]])("%s --json is one document on one line", (verb) => {
    sandbox.rewind(start);
    tablet.convosync(["sync"]);
    const { stdout } = tablet.convosync([verb, "--json", ...(verb === "show" ? [sessionId] : [])]);
    expect(stdout.trimEnd().split("\n")).toHaveLength(1);
    expect(() => JSON.parse(stdout) as unknown).not.toThrow();
    expect(stdout.trimEnd()).not.toMatch(/[\u0000-\u001f]/);
  });
});
