// Machines on which a program stands in for opencode, and what is said there.

import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Machine } from "./harness.ts";

const program = fileURLToPath(new URL("../fixtures/opencode.mjs", import.meta.url));

export const id = "ses_ddd6b16f2ffedPuGuXuZfVDFy4";
export const helper = "ses_ddd683a8fffexZ0heR68LdYRtC";

/** A machine on which a program stands in for opencode. */
export function withOpencode(machine: Machine): Machine {
  const bin = join(machine.home, "bin");
  machine.write(join(bin, "opencode"), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
  chmodSync(join(bin, "opencode"), 0o755);
  return machine.with({ env: { PATH: bin + delimiter + machine.env["PATH"] } });
}

export function opencode({ env, path }: Machine, ...args: string[]): void {
  execFileSync("opencode", args, { env, cwd: path, stdio: "pipe" });
}

// biome-ignore lint/suspicious/noExplicitAny: messages as opencode has them
export type Message = any;

/** Turn `n`: a question, and an answer that looks at a file. */
export function turn(machine: Machine, n: number, { session = id, voice = "" } = {}): Message[] {
  const which = `${n.toString(16).padStart(2, "0")}${voice ? 1 : 0}${session === id ? 0 : 1}`;
  const name = (kind: string, at: number): string => `${kind}_22294ea1${which}OMvM6h6AvqPFj${at}`;
  const at = 1_795_876_514_328 + n * 10_000 + (voice ? 5000 : 0);
  const message = (index: number, info: object, parts: object[]): Message => {
    const [messageID, sessionID] = [name("msg", index), session];
    return {
      info: { ...info, id: messageID, sessionID },
      parts: parts.map((part, nth) => ({ ...part, id: name("prt", index * 3 + nth), messageID, sessionID })),
    };
  };
  const { cwd, home } = machine.scene;
  const input = { filePath: `${cwd}/src/step${n}.ts` };
  const state = {
    status: "completed",
    input,
    output: `${home}/notes ${n}`,
    metadata: {},
    time: { start: at, end: at },
  };
  return [
    message(0, { role: "user", time: { created: at }, summary: { diffs: [] } }, [
      { type: "text", text: `Question ${voice}${n}` },
    ]),
    message(
      1,
      { role: "assistant", time: { created: at + 1, completed: at + 2 }, path: { cwd, root: cwd } },
      [
        { type: "step-start", snapshot: "0d8a474fc67971fb3dd7616e26323d3066442555" },
        { type: "tool", tool: "read", callID: `call_${n}`, state },
        { type: "text", text: `Answer ${voice}${n}` },
      ],
    ),
  ];
}

/** opencode goes on with a session. */
export function say(
  machine: Machine,
  messages: Message[],
  {
    session = id,
    ...more
  }: { session?: string; parentID?: string; directory?: string; permission?: object[] } = {},
): void {
  const time = { created: 1_795_876_514_061, updated: Date.now() };
  const info = {
    id: session,
    slug: "eager-nebula",
    title: "Steps",
    version: "1.18.33",
    projectID: "p",
  };
  const file = join(machine.home, "put.json");
  machine.write(
    file,
    JSON.stringify({ info: { ...info, directory: machine.scene.cwd, time, ...more }, messages }),
  );
  opencode(machine, "put", file);
}

const stateOf = ({ home }: Machine) =>
  JSON.parse(readFileSync(join(home, ".local/share/opencode/opencode.db.json"), "utf8"));

/** What a machine's opencode may do in the session without asking, or may not. */
export const ruled = (machine: Machine): object[] => {
  const session = stateOf(machine).sessions.find((one: Message) => one.id === id);
  return JSON.parse(session.permission ?? "[]");
};

/** What a machine's opencode has of a session. */
export function told(machine: Machine, session = id): Message[] {
  const state = stateOf(machine);
  const own = state.messages.filter((one: Message) => one.session_id === session);
  own.sort((a: Message, b: Message) => a.time_created - b.time_created);
  return own.map(({ id: message, data }: Message) => ({
    info: { ...JSON.parse(data), id: message, sessionID: session },
    parts: state.parts
      .filter((one: Message) => one.message_id === message)
      .map((one: Message) => ({
        ...JSON.parse(one.data),
        id: one.id,
        messageID: message,
        sessionID: session,
      })),
  }));
}

/** The sum of changes that a question carries is not taken along. */
export const carried = (messages: Message[]): Message[] =>
  messages.map(({ info: { summary, ...info }, parts }) => ({ info, parts }));

export const turns = (machine: Machine, to: number, from = 0): Message[] =>
  Array.from({ length: to - from }, (_, n) => turn(machine, from + n)).flat();
