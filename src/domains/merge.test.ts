import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Manifest, StreamRecord } from "../packing/manifest.ts";
import { flip, merge, type Relation } from "./domain.ts";
import {
  commonBytes,
  relateStreams,
  relateVersions,
  sessions,
  undetermined,
  type Version,
} from "./sessions.ts";

// A log is modelled by its text, one character per byte; hashes are the texts themselves, so that equal hashes mean
// equal contents and nothing else.

/** A stream in segments, as several saves left it. */
interface Log {
  readonly gen: number;
  readonly segments: readonly string[];
  /** Retention dropped it: which versions of it went. */
  readonly dropped?: readonly string[];
}
type Logs = Readonly<Record<string, readonly Log[]>>;

const textOf = (log: Log): string => log.segments.join("");

function recordOf(name: string, log: Log): StreamRecord {
  let off = 0;
  const segments = log.segments.map((text, i) => {
    const at = off;
    off += text.length;
    return {
      i,
      off: at,
      raw: text.length,
      lines: 1,
      enc: 1,
      sha: text,
      ct: "",
      codec: "gz" as const,
      epoch: 1,
    };
  });
  return { name, gen: log.gen, lines: segments.length, bytes: off, sha: textOf(log), segments };
}

/** A version; `exact` knows the hash of every prefix of the streams that stand. */
function versionOf(replica: string, logs: Logs, exact: boolean): Version {
  const all = Object.entries(logs).flatMap(([name, gens]) => gens.map((log) => ({ name, log })));
  const streams = all.filter(({ log }) => !log.dropped).map(({ name, log }) => recordOf(name, log));
  const dropped = all
    .filter(({ log }) => log.dropped)
    .map(({ name, log }) => ({ name, gen: log.gen, known: log.dropped!.map((one) => [one.length, one]) }));
  const version = { replica, manifest: { streams, dropped } as unknown as Manifest };
  if (!exact) return version;
  const prefixes = Object.entries(logs).map(([name, gens]): [string, Map<number, string>] => {
    const text = textOf(gens.at(-1) as Log);
    return [name, new Map([...text, ""].map((_, length) => [length, text.slice(0, length)]))];
  });
  return { ...version, prefixes: new Map(prefixes) };
}

/** What devices do to a conversation, each on its own or after having taken over another's state. */
type Step =
  | { readonly do: "append"; readonly by: number; readonly stream: string; readonly text: string }
  | { readonly do: "rewrite"; readonly by: number; readonly text: string }
  | { readonly do: "take"; readonly by: number; readonly from: number }
  /** Retention, where all others' states are contained in the own one. */
  | { readonly do: "drop"; readonly by: number };

const devices = 4;
const device = fc.nat(devices - 1);
const text = fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom("a", "b", "c") });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      by: device,
      stream: fc.constantFrom("main", "sub"),
      text,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("rewrite" as const), by: device, text }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("take" as const), by: device, from: device }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("drop" as const), by: device }) },
);
const story = fc.array(step, { maxLength: 30 });

/** Plays a story; a device takes another's state only when it is behind it, as `resume` does. */
function play(steps: readonly Step[], exact: boolean): Version[] {
  const states: Logs[] = Array.from({ length: devices }, () => ({ main: [{ gen: 0, segments: ["m"] }] }));
  for (const one of steps) {
    const mine = states[one.by] as Logs;
    if (one.do === "append") {
      const gens = mine[one.stream] ?? [{ gen: 0, segments: [] }];
      const last = gens.at(-1) as Log;
      const grown = { gen: last.gen, segments: [...last.segments, one.text] };
      states[one.by] = { ...mine, [one.stream]: [...gens.slice(0, -1), grown] };
    } else if (one.do === "rewrite") {
      const gens = mine["main"] as readonly Log[];
      const fresh = { gen: (gens.at(-1) as Log).gen + 1, segments: [one.text] };
      states[one.by] = { ...mine, main: [...gens, fresh] };
    } else if (one.do === "drop") {
      const ours = versionOf("a", mine, exact);
      const contained = states.every((other) =>
        ["equal", "behind"].includes(relateVersions(versionOf("b", other, exact), ours)),
      );
      if (contained) states[one.by] = { ...mine, main: without(mine["main"] as readonly Log[], states) };
    } else {
      const theirs = states[one.from] as Logs;
      if (relateVersions(versionOf("a", mine, exact), versionOf("b", theirs, exact)) === "behind")
        states[one.by] = theirs;
    }
  }
  return states.map((logs, index) => versionOf(`replica${index}`, logs, exact));
}

/** The main stream without its older generations. */
function without(gens: readonly Log[], states: readonly Logs[]): Log[] {
  return gens.map((log, at): Log => {
    if (at === gens.length - 1 || log.dropped) return log;
    const versions = states.flatMap((other) =>
      (other["main"] as readonly Log[]).filter((one) => one.gen === log.gen && !one.dropped).map(textOf),
    );
    return { gen: log.gen, segments: [], dropped: [...new Set(versions)] };
  });
}

const byReplica = (version: Version): string => version.replica;
const names = (versions: readonly Version[]): string[] => versions.map(byReplica);

describe.for([true, false])("merging histories (prefixes known: %s)", (exact) => {
  test("every version is a tip or superseded, exactly once", () => {
    fc.assert(
      fc.property(story, (steps) => {
        const versions = play(steps, exact);
        const { tips, superseded } = merge(sessions.policy, versions, byReplica);
        expect(names([...tips, ...superseded]).sort()).toEqual(names(versions).sort());
        expect(tips.length).toBeGreaterThan(0);
      }),
    );
  });

  test("the order of arrival does not matter", () => {
    const shuffled = story.chain((steps) =>
      fc.tuple(
        fc.constant(steps),
        fc.shuffledSubarray([0, 1, 2, 3], { minLength: devices, maxLength: devices }),
      ),
    );
    fc.assert(
      fc.property(shuffled, ([steps, order]) => {
        const versions = play(steps, exact);
        const other = order.map((at) => versions[at] as Version);
        expect(names(merge(sessions.policy, other, byReplica).tips)).toEqual(
          names(merge(sessions.policy, versions, byReplica).tips),
        );
      }),
    );
  });

  test("nothing is dropped: all that a superseded version holds, some tip holds", () => {
    fc.assert(
      fc.property(story, (steps) => {
        const { tips, superseded } = merge(sessions.policy, play(steps, exact), byReplica);
        for (const version of superseded) {
          const holds = (tip: Version): boolean =>
            version.manifest.streams.every((one) =>
              [
                ...tip.manifest.streams.filter((other) => other.name === one.name && other.gen === one.gen),
                ...(tip.manifest.dropped ?? [])
                  .filter((other) => other.name === one.name && other.gen === one.gen)
                  .flatMap(({ known }) => known.map(([, sha]) => ({ sha }))),
              ].some((other) => other.sha.startsWith(one.sha)),
            );
          expect(tips.some(holds)).toBe(true);
        }
      }),
    );
  });

  test("dropping an old generation changes no relation that was one of containment", () => {
    fc.assert(
      fc.property(story, device, (steps, by) => {
        const before = play(steps, exact);
        const after = play([...steps, { do: "drop", by }], exact);
        for (const [at, one] of before.entries()) {
          for (const [to, other] of before.entries())
            expect(relateVersions(after[at] as Version, after[to] as Version)).toBe(
              relateVersions(one, other),
            );
        }
      }),
    );
  });

  test("tips are incomparable, and comparing is symmetric", () => {
    fc.assert(
      fc.property(story, (steps) => {
        const versions = play(steps, exact);
        for (const a of versions)
          for (const b of versions) expect(relateVersions(b, a)).toBe(flip(relateVersions(a, b)));
        const { tips } = merge(sessions.policy, versions, byReplica);
        for (const a of tips)
          for (const b of tips) if (a !== b) expect(relateVersions(a, b)).toBe("diverged");
      }),
    );
  });
});

const segments = fc.array(text, { maxLength: 5 });
const whatTheTextsSay = (a: string, b: string): Relation =>
  a === b ? "equal" : b.startsWith(a) ? "behind" : a.startsWith(b) ? "ahead" : "diverged";

describe("two logs", () => {
  test("with known prefixes the answer is that of the contents, however they are cut", () => {
    fc.assert(
      fc.property(segments, segments, fc.boolean(), (left, right, related) => {
        const a = { main: [{ gen: 0, segments: left }] };
        const b = {
          main: [{ gen: 0, segments: related ? [left.join("") + right.join("")].filter(Boolean) : right }],
        };
        const [one, other] = [versionOf("a", a, true), versionOf("b", b, true)];
        expect(relateVersions(one, other)).toBe(whatTheTextsSay(left.join(""), textOf(b.main[0] as Log)));
      }),
    );
  });

  test("without them no divergence is overlooked, and what is undetermined is named", () => {
    fc.assert(
      fc.property(segments, segments, (left, right) => {
        const [one, other] = [
          versionOf("a", { main: [{ gen: 0, segments: left }] }, false),
          versionOf("b", { main: [{ gen: 0, segments: right }] }, false),
        ];
        const said = relateVersions(one, other);
        const truth = whatTheTextsSay(left.join(""), right.join(""));
        if (said !== "diverged") expect(said).toBe(truth);
        if (said !== truth) expect(undetermined(one, other)).toHaveLength(1);
      }),
    );
  });

  test("a length or a hash alone proves nothing", () => {
    const record = (...parts: string[]): StreamRecord => recordOf("main", { gen: 0, segments: parts });
    expect(relateStreams(record("ab"), record("cd"))).toBe("diverged");
    expect(relateStreams(record("ab"), record("cd", "e"))).toBe("diverged");
    expect(relateStreams(record("ab"), record("ab", "e"))).toBe("behind");
    expect(relateStreams(record("ab", "c"), record("ab"))).toBe("ahead");
    expect(relateStreams(record(), record("ab"))).toBe("behind");
    expect(commonBytes(record("ab", "c"), record("ab", "d"))).toBe(2);
  });

  test("a stream that only one has, or that is empty, makes no conflict", () => {
    const base = { main: [{ gen: 0, segments: ["m"] }] };
    const sub = { ...base, sub: [{ gen: 0, segments: ["s"] }] };
    const empty = { ...base, sub: [{ gen: 0, segments: [] }] };
    const more = { main: [{ gen: 0, segments: ["m", "n"] }] };
    const relate = (a: Logs, b: Logs): Relation =>
      relateVersions(versionOf("a", a, false), versionOf("b", b, false));
    expect(relate(base, sub)).toBe("behind");
    expect(relate(base, empty)).toBe("equal");
    expect(relate(more, sub)).toBe("diverged");
  });
});
