import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Agent, Workplace } from "./agent.ts";
import { type Message, messagesOf, piecesOf } from "./conversation.ts";
import { startedIn } from "./one-store.ts";
import { toLocal, toPortable } from "./portable-paths.ts";

/** A machine with one work tree and nothing in its environment. */
export const placeAt = (home: string, root: string): Workplace => ({
  root,
  worktrees: [root],
  cwd: root,
  home,
  env: {},
});

/** What an agent's reader makes of these lines. */
export async function messagesIn(agent: Agent, ...lines: string[]): Promise<Message[]> {
  const content = (async function* () {
    yield Buffer.from(lines.map((one) => `${one}\n`).join(""));
  })();
  const found: Message[] = [];
  for await (const one of messagesOf(piecesOf(content, agent.reader!()))) found.push(one);
  return found;
}

/** Whatever records of these fields hold, an agent reads them or leaves them. */
export function neverThrows(agent: Agent, fields: readonly string[], words: readonly string[]): void {
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      fc.constantFrom(...words),
      fc.string(),
      fc.integer(),
      fc.constant(null),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...fields), tie("value"), { maxKeys: 6 }),
    ),
  })).value;
  const record = fc.dictionary(fc.constantFrom(...fields), value, { maxKeys: 8 });
  const typed = fc.tuple(fc.constantFrom(...words), record).map(([type, rest]) => ({ ...rest, type }));
  fc.assert(
    fc.property(fc.array(typed), (records) => {
      const reader = agent.reader!();
      for (const one of records) reader.read(JSON.stringify(one));
      const head = Buffer.from(records.map((one) => `${JSON.stringify(one)}\n`).join(""));
      agent.describe(head, head);
      agent.recognise?.(head);
    }),
  );
}

/** The agent's real conversations, where there are any, take another machine's paths and come back byte for byte. */
export function realOnes(agent: Agent): void {
  const folder = join(process.env["CONVOSYNC_CORPUS"] ?? "/nonexistent", agent.name);
  const what = "real ones come back byte for byte, and are read (skipped without CONVOSYNC_CORPUS)";
  test.skipIf(!existsSync(folder))(what, async () => {
    const there = placeAt("/home/me", "/home/me/code/shop");
    const other = agent.places({ cwd: there.root, workTree: there.root }, there);
    for (const name of readdirSync(folder).filter((one) => one.endsWith(".jsonl"))) {
      const bytes = readFileSync(join(folder, name));
      const cwd = startedIn(bytes.subarray(0, 65_536)) ?? "/home/you/x";
      const here = placeAt(cwd.split("/").slice(0, 3).join("/"), cwd);
      const own = agent.places({ cwd, workTree: cwd }, here);
      const portable = toPortable(bytes, own, "jsonl");
      expect(Buffer.compare(toLocal(portable, own, "jsonl"), bytes), name).toBe(0);
      const moved = toLocal(portable, other, "jsonl");
      expect(Buffer.compare(toPortable(moved, other, "jsonl"), portable), name).toBe(0);
      await messagesIn(agent, ...bytes.toString("utf8").split("\n"));
    }
  });
}
