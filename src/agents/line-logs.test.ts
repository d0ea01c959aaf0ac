import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { joinTranscripts } from "./claude-code/join.ts";
import { type JoinedLogs, joinLines, joinLongest, linesOf } from "./line-logs.ts";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const bytes = (log: string): Uint8Array => Buffer.from(log, "latin1");

const whole = (logs: readonly Uint8Array[], { order, added }: JoinedLogs): string =>
  text(logs[order[0]!]!) + added.map(text).join("");

/** How often each line occurs. */
function counts(log: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of linesOf(bytes(log)).map(text)) found.set(line, (found.get(line) ?? 0) + 1);
  return found;
}

const line = fc
  .oneof(fc.constantFrom("a", "b", "", "{}"), fc.string({ maxLength: 4, unit: "binary-ascii" }))
  .map((one) => `${one.replaceAll("\n", "")}\n`);
/** Logs that begin alike, each with a tail of its own. */
const logs = fc
  .tuple(
    fc.array(line, { maxLength: 6 }),
    fc.array(fc.array(line, { maxLength: 6 }), { minLength: 1, maxLength: 4 }),
  )
  .map(([prefix, tails]) => tails.map((tail) => bytes([...prefix, ...tail].join(""))));

describe("joining logs of lines", () => {
  test("no line is lost and none is doubled", () => {
    fc.assert(
      fc.property(logs, (all) => {
        const result = counts(whole(all, joinLines(all, [...all.keys()])));
        const wanted = new Map<string, number>();
        for (const log of all)
          for (const [one, times] of counts(text(log)))
            wanted.set(one, Math.max(wanted.get(one) ?? 0, times));
        expect(result).toEqual(wanted);
      }),
    );
  });

  test("the first log stands in front, whole; each line's place holds that line", () => {
    fc.assert(
      fc.property(logs, (all) => {
        const joined = joinLines(all, [...all.keys()]);
        const result = linesOf(bytes(whole(all, joined))).map(text);
        for (const [at, log] of all.entries()) {
          const places = joined.places[at]!;
          expect(places.map((place) => result[place - 1])).toEqual(linesOf(log).map(text));
          expect(new Set(places).size).toBe(places.length);
        }
      }),
    );
  });

  test("a line that names a place otherwise is the same line", () => {
    const [a, b] = [
      "{{CS:ROOT2}}/x {{CS:HOME3-url}} {{CS:}}ROOT2\n",
      "{{CS:ROOT}}/x {{CS:HOME-url}} {{CS:}}ROOT2\n",
    ];
    const other = "{{CS:ROOT}}/x {{CS:HOME-url}} {{CS:}}ROOT\n";
    const joined = joinLines([bytes(`1\n${a}`), bytes(`1\n${b}2\n${other}`)], [0, 1]);
    expect(joined.added.map(text)).toEqual(["2\n", other]);
    expect(joined.places).toEqual([
      [1, 2],
      [1, 2, 3, 4],
    ]);
  });

  test("joining again what was joined changes nothing", () => {
    fc.assert(
      fc.property(logs, (all) => {
        const joined = bytes(whole(all, joinLines(all, [...all.keys()])));
        for (const log of all) expect(joinLines([joined, log], [0, 1]).added).toEqual([]);
      }),
    );
  });
});

describe("joining logs of which some begin with others", () => {
  /** Any of them may be cut short after a line. */
  const cut = fc
    .tuple(logs, fc.array(fc.nat(12), { minLength: 4, maxLength: 4 }), fc.nat(3))
    .map(([all, lengths, at]) => {
      const shorter = lengths.map((length) =>
        bytes(
          linesOf(all[at % all.length]!)
            .slice(0, length)
            .map(text)
            .join(""),
        ),
      );
      return [...shorter.slice(2), ...all, ...shorter.slice(0, 2)];
    });
  const join = (some: readonly Uint8Array[]): JoinedLogs => joinLines(some, [...some.keys()].reverse());

  test("what stands in front is the beginning of no other, and each line's place holds that line", () => {
    fc.assert(
      fc.property(cut, (all) => {
        const joined = joinLongest(all, join);
        expect([...joined.order].sort((a, b) => a - b)).toEqual([...all.keys()]);
        const front = text(all[joined.order[0]!]!);
        for (const log of all.map(text))
          expect(log.length > front.length && log.startsWith(front)).toBe(false);
        const result = linesOf(bytes(whole(all, joined))).map(text);
        for (const [at, log] of all.entries())
          expect(joined.places[at]!.map((place) => result[place - 1])).toEqual(linesOf(log).map(text));
        expect(counts(result.join(""))).toEqual(counts(whole(all, joinLines(all, [...all.keys()]))));
      }),
    );
  });
});

/** Records as Claude Code writes them: a chain from `parent`, one second apart from `from` on. */
function chain(name: string, parent: string | null, from: number, length: number, prompt = false): string {
  let text = "";
  let before = parent;
  for (let at = 0; at < length; at++) {
    const uuid = `${name}${at}`;
    const timestamp = new Date(Date.UTC(2026, 10, 20, 9, 0, from + at)).toISOString();
    text += `${JSON.stringify({ type: "user", parentUuid: before, uuid, timestamp, sessionId: "s" })}\n`;
    before = uuid;
  }
  return prompt
    ? `${text}${JSON.stringify({ type: "last-prompt", leafUuid: before, sessionId: "s" })}\n`
    : text;
}

const lastLeaf = (log: string): string | undefined =>
  log
    .split("\n")
    .filter((one) => one.includes("last-prompt"))
    .map((one) => (JSON.parse(one) as { leafUuid: string }).leafUuid)
    .at(-1);

describe("joining transcripts of Claude Code", () => {
  const prefix = chain("p", null, 0, 3);
  const early = (prompt: boolean): string => prefix + chain("e", "p2", 10, 2, prompt);
  const late = (prompt: boolean): string => prefix + chain("l", "p2", 20, 2, prompt);

  test("the order of arrival does not matter", () => {
    const tails = fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 3 }), fc.boolean()), {
      minLength: 2,
      maxLength: 4,
    });
    const shuffled = tails.chain((all) => {
      const made = all.map(([from, length, prompt], at) =>
        bytes(prefix + chain(`t${at}-`, "p2", from, length, prompt)),
      );
      return fc.tuple(fc.constant(made), fc.shuffledSubarray(made, { minLength: made.length }));
    });
    fc.assert(
      fc.property(shuffled, ([made, other]) => {
        expect(whole(other, joinTranscripts(other))).toBe(whole(made, joinTranscripts(made)));
      }),
    );
  });

  test.each([
    ["both name their branch", true, true],
    ["only the earlier one does", true, false],
    ["only the later one does", false, true],
  ])("the branch that was active last goes on, where %s", (_, first, second) => {
    const all = [late(second), early(first)].map(bytes);
    const joined = whole(all, joinTranscripts(all));
    expect(joined.startsWith(early(first))).toBe(true);
    expect(lastLeaf(joined)).toBe("l1");
  });

  test("where neither names one, none is named: the client takes the newest", () => {
    const all = [late(false), early(false)].map(bytes);
    expect(lastLeaf(whole(all, joinTranscripts(all)))).toBeUndefined();
  });

  test("lines that are no records are carried like all others", () => {
    const all = ['{"a":1}\nnot json\n\xff\xfe\n', `{"a":1}\n${"[".repeat(1000)}\n`].map(bytes);
    const joined = whole(all, joinTranscripts(all));
    for (const one of ["not json\n", "\xff\xfe\n", `${"[".repeat(1000)}\n`]) expect(joined).toContain(one);
  });
});
