import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { killAndMend, killPoints, type Scenario, spread } from "./kill.ts";
import { desktopAtWork, initialise, joinedLaptop, type Machine, Sandbox } from "./sandbox.ts";

const program = fileURLToPath(new URL("../fixtures/opencode.mjs", import.meta.url));
const id = "ses_ddd6b16f2ffedPuGuXuZfVDFy4";

const sandbox = new Sandbox();
const desktop = withOpencode(desktopAtWork(sandbox));
initialise(desktop);
const laptop = withOpencode(joinedLaptop(sandbox));
afterAll(() => sandbox.remove());

function withOpencode(machine: Machine): Machine {
  const bin = join(machine.home, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "opencode"), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
  chmodSync(join(bin, "opencode"), 0o755);
  machine.env["PATH"] = bin + delimiter + machine.env["PATH"];
  return machine;
}

/** Questions, each a message; those of `changed` are asked otherwise. */
function ask(machine: Machine, count: number, changed: readonly number[] = []): void {
  const messages = Array.from({ length: count }, (_, n) => {
    const [messageID, part] = ["msg", "prt"].map((kind) => `${kind}_22294ea1800${n}OMvM6h6AvqPFjb`);
    const text = `${changed.includes(n) ? "Again" : "Question"} ${n}: ${machine.work}`;
    return {
      info: { role: "user", time: { created: 1_795_876_514_328 + n }, id: messageID, sessionID: id },
      parts: [{ type: "text", text, id: part, messageID, sessionID: id }],
    };
  });
  const time = { created: 1, updated: Date.now() };
  const info = {
    id,
    slug: "x",
    title: "Questions",
    version: "1",
    projectID: "p",
    directory: machine.work,
    time,
  };
  const file = join(machine.home, "put.json");
  writeFileSync(file, JSON.stringify({ info, messages }));
  execFileSync("opencode", ["put", file], { env: machine.env });
}

/** What opencode has of it, with this machine's folder named as on no machine. */
function told(machine: Machine): string[] {
  const path = join(machine.home, ".local/share/opencode/opencode.db.json");
  if (!existsSync(path)) return [];
  const parts: { data: string }[] = JSON.parse(readFileSync(path, "utf8")).parts;
  return parts.map(({ data }) => JSON.parse(data).text.replace(machine.work, "<work>")).sort();
}

const scenario = (args: readonly string[], done: () => void, machine = laptop): Scenario => ({
  sandbox,
  start: sandbox.keep(),
  machine,
  args,
  allowed: [machine.read()],
  // What is begun beside a file goes when that is written again; in the end another session is saved than this.
  tolerated: /^\.local\/state\/convosync\/opencode\/|^\.claude\/|\/cursors\/[^/]+\/\.opencode-/,
  done,
});

const arrived = (): void => expect(told(laptop)).toEqual(told(desktop));

describe("resume of a conversation that opencode has to take in, killed", async () => {
  ask(desktop, 3);
  desktop.convosync(["save", "--session", id, "one"]);
  const first = scenario(["resume", id], arrived);
  const all = spread(await killPoints(first), 5);
  test.each(all)("$how step $at ($what), is mended by the next", (fault) => killAndMend(first, fault));
});

describe("resume of one in which it has a message otherwise, killed", async () => {
  laptop.convosync(["resume", id]);
  ask(desktop, 4, [1]);
  desktop.convosync(["save", "--session", id, "two"]);
  const second = scenario(["resume", id], arrived);
  const all = await killPoints(second);
  // Between the deletion and what takes its place lies the danger.
  const about = all.filter(({ what }) => what.startsWith("opencode "));
  test.each([...about, ...spread(all, 4)])("$how step $at ($what), is mended by the next", (fault) =>
    killAndMend(second, fault),
  );
});

describe("save of one that opencode has changed, killed", async () => {
  ask(laptop, 5, [1, 2]);
  const third = scenario(
    ["save", "--session", id, "three"],
    () => {
      desktop.convosync(["resume", id]);
      arrived();
    },
    laptop,
  );
  const all = spread(await killPoints(third), 5);
  test.each(all)("$how step $at ($what), is mended by the next", (fault) => killAndMend(third, fault));
});
