import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { formatEvent, type HookEvent, noteEvent, parseEvent, settleEvents, takeEvents } from "./events.ts";

const folders: string[] = [];
afterAll(() => {
  for (const one of folders) rmSync(one, { recursive: true, force: true });
});
function clone(): string {
  const folder = mkdtempSync(join(tmpdir(), "convosync-events-"));
  folders.push(folder);
  return folder;
}

const oid = fc.stringMatching(/^[0-9a-f]{40}$/);
const session = fc.stringMatching(/^[a-z][a-z0-9-]{0,9}:[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/);
const path = fc.string({ minLength: 1 }).map((text) => `/${text.replace(/[\n\r\u2028\u2029]/g, "")}`);
const branch = fc.stringMatching(/^[a-z/]{2,20}$/);
const events: fc.Arbitrary<HookEvent> = fc.oneof(
  fc.record({
    kind: fc.constant("commit" as const),
    commit: fc.option(oid),
    branch: fc.option(branch),
    session: fc.option(session),
    path,
  }),
  fc.record({ kind: fc.constant("rewrite" as const), from: oid, to: oid, session: fc.option(session), path }),
  fc.record({ kind: fc.constant("agent" as const), event: fc.constant("stop"), session, path }),
  fc.record({ kind: fc.constantFrom("push" as const, "fetch" as const), path }),
);

test("a line is read as it was written", () => {
  fc.assert(
    fc.property(events, (event) => {
      expect(parseEvent(formatEvent(event))).toEqual(event);
    }),
  );
});

test("what is no line of ours is passed over", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseEvent(text)));
  for (const line of [
    "",
    "commit",
    "commit x main - /a",
    "agent claude stop ../x /a",
    "push ",
    "rewrite - - - /a",
  ])
    expect(parseEvent(line)).toBeNull();
});

test("what was taken stays until it is settled, beside what comes meanwhile, in order", async () => {
  const dir = clone();
  const event = (n: number): HookEvent => ({ kind: "push", path: `/${n}` });
  await noteEvent(dir, event(1));
  expect(await takeEvents(dir)).toEqual([event(1)]);
  await noteEvent(dir, event(2));
  // A worker that dies here has settled nothing.
  expect(await takeEvents(dir)).toEqual([event(1), event(2)]);
  await settleEvents(dir, [event(2)]);
  await noteEvent(dir, event(3));
  expect(await takeEvents(dir)).toEqual([event(2), event(3)]);
  await settleEvents(dir, []);
  expect(await takeEvents(dir)).toEqual([]);
});

test("a worker that died while moving the file, and a line that a full disk cut short, cost nothing", async () => {
  const dir = clone();
  writeFileSync(join(dir, "events.taken"), "push /1\npush /2\npu");
  writeFileSync(join(dir, "events.moving"), "push /3\n");
  appendFileSync(join(dir, "events"), "push /4\n");
  expect((await takeEvents(dir)).map((one) => one.path)).toEqual(["/1", "/2", "/3", "/4"]);
});
