import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { currentStreams, type Manifest, type StreamRecord } from "../packing/manifest.ts";
import { joinVersions } from "./join.ts";
import { relateVersions, type Version } from "./sessions.ts";

// As in merge.test.ts a log is modelled by its text, and a hash is the text itself.

type Logs = Readonly<Record<string, readonly (readonly string[])[]>>;

function recordOf(name: string, gen: number, parts: readonly string[], first: number): StreamRecord {
  let off = 0;
  const segments = parts.map((text, at) => {
    const part = { i: first + at, off, raw: text.length, lines: 1, enc: 1, sha: text, ct: "", epoch: 1 };
    off += text.length;
    return { ...part, codec: "gz" as const };
  });
  return { name, gen, lines: parts.length, bytes: off, sha: parts.join(""), segments };
}

function manifestOf(logs: Logs, device: string): Manifest {
  let i = 0;
  const streams = Object.entries(logs).flatMap(([name, gens]) =>
    gens.map((parts, gen) => {
      const record = recordOf(name, gen, parts, i);
      i += parts.length;
      return record;
    }),
  );
  const [main] = currentStreams({ streams } as unknown as Manifest).filter((one) => one.name === "main");
  const upto = { main: [main!.lines, main!.bytes] };
  const snapshots = [{ n: 1, ts: "t", device, upto, commit: null, ...(main!.gen > 0 && { gen: main!.gen }) }];
  const files = [{ name: `${device}.txt` }, { name: "both.txt", sha: device }];
  return { streams, files, snapshots } as unknown as Manifest;
}

const version = (replica: string, manifest: Manifest): Version => ({ replica, manifest });

function joined(manifests: readonly Manifest[]): Manifest {
  const { streams, files, snapshots, joined: records, dropped } = joinVersions(manifests);
  return {
    streams: streams.map(({ record }) => record),
    files: files.map(({ record }) => record),
    snapshots,
    joined: records,
    dropped,
  } as unknown as Manifest;
}

/** Versions whose logs are cut into parts of up to so many characters. */
function versionsOf(maxLength: number): fc.Arbitrary<Manifest[]> {
  const part = fc.string({ minLength: 1, maxLength, unit: fc.constantFrom("a", "b") });
  const log = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => ["m", ...parts]);
  const logs: fc.Arbitrary<Logs> = fc.record(
    {
      main: fc.array(log, { minLength: 1, maxLength: 3 }),
      sub: fc.array(log, { minLength: 1, maxLength: 2 }),
    },
    { requiredKeys: ["main"] },
  );
  return fc
    .array(logs, { minLength: 1, maxLength: 4 })
    .map((all) => all.map((one, at) => manifestOf(one, `device${at}`)));
}

const versions = versionsOf(2);

describe("bringing versions together", () => {
  test("the result is ahead of all of them, or equal, whichever goes on", () => {
    fc.assert(
      fc.property(versions, (all) => {
        const result = version("z", joined(all));
        for (const [at, one] of all.entries())
          expect(["ahead", "equal"]).toContain(relateVersions(result, version(`${at}`, one)));
      }),
    );
  });

  test("what retention dropped of any of them, the result may lack: whoever still has it is not ahead", () => {
    const old = ["m", "old"];
    const [had, has] = [
      manifestOf({ main: [old, ["m", "new"]] }, "a"),
      manifestOf({ main: [old, ["m", "new"]] }, "b"),
    ];
    const streams = had.streams.filter(({ gen }) => gen > 0);
    const known = had.streams
      .filter(({ gen }) => gen === 0)
      .map((one): [number, string] => [one.bytes, one.sha]);
    const without = { ...had, streams, dropped: [{ name: "main", gen: 0, known }] };
    const grown = manifestOf(
      {
        main: [
          ["m", "x"],
          ["m", "new", "more"],
        ],
      },
      "c",
    );
    const other = { ...grown, streams: grown.streams.filter(({ gen }) => gen > 0) };
    for (const both of [
      [without, other],
      [other, without],
    ]) {
      const result = joined(both);
      expect(result.dropped).toEqual(without.dropped);
      expect(relateVersions(version("z", result), version("b", has))).toBe("ahead");
    }
  });

  test("every line of every version is in it, in a stream of the same name; what goes on is the first one's", () => {
    fc.assert(
      fc.property(versions, (all) => {
        const result = joined(all);
        for (const { streams } of all)
          for (const one of streams)
            expect(result.streams.some(({ name, sha }) => name === one.name && sha.startsWith(one.sha))).toBe(
              true,
            );
        const main = (manifest: Manifest): string =>
          currentStreams(manifest).find((one) => one.name === "main")!.sha;
        expect(main(result).startsWith(main(all[0]!))).toBe(true);
      }),
    );
  });

  test("segments have numbers of their own, and each is found where its bytes are", () => {
    fc.assert(
      fc.property(versions, (all) => {
        const { streams } = joinVersions(all);
        const numbers = streams.flatMap(({ record }) => record.segments.map(({ i }) => i));
        expect(numbers).toEqual(numbers.map((_, at) => at));
        const generations = streams.map(({ record: { name, gen } }) => `${name} ${gen}`);
        expect(new Set(generations).size).toBe(generations.length);
        for (const { record, from } of streams)
          for (const [at, { version: of, i }] of from.entries()) {
            const source = all[of]!.streams.flatMap((one) => one.segments).find((one) => one.i === i);
            expect(source?.sha).toBe(record.segments[at]!.sha);
          }
      }),
    );
  });

  test("a version that goes on all the same is not held by the result; joined again it is", () => {
    // Where the same bytes are cut differently only their hashes, which reading takes, could tell.
    const more = fc.tuple(versionsOf(1), fc.nat(3)).filter(([all, at]) => at < all.length);
    fc.assert(
      fc.property(more, ([all, at]) => {
        const result = joined(all);
        const before = all[at]!;
        const current = currentStreams(before).find((one) => one.name === "main")!;
        const texts = [...current.segments.map((one) => one.sha), "new words"];
        const grown = recordOf("main", current.gen, texts, 100);
        const after = { ...before, streams: before.streams.map((one) => (one === current ? grown : one)) };
        expect(["behind", "diverged"]).toContain(relateVersions(version("a", result), version("b", after)));
        const again = joined([result, after]);
        for (const one of [result, after, ...all])
          expect(["ahead", "equal"]).toContain(relateVersions(version("z", again), version("b", one)));
      }),
    );
  });

  test("joining what is joined changes no stream, where all cut alike", () => {
    fc.assert(
      fc.property(versionsOf(1), (all) => {
        const result = joined(all);
        for (const one of all) {
          const again = joined([result, one]);
          expect(again.streams.map(({ name, gen, sha }) => [name, gen, sha])).toEqual(
            result.streams.map(({ name, gen, sha }) => [name, gen, sha]),
          );
        }
      }),
    );
  });

  test("a snapshot names the generation that holds its own through a third one, cut in other places", () => {
    const logs = [
      [["m", "aa"]],
      [
        ["m", "ab"],
        ["m", "a", "b"],
      ],
      [
        ["m", "a"],
        ["m", "ab", "a"],
      ],
    ];
    const result = joined(logs.map((main, at) => manifestOf({ main }, `device${at}`)));
    const [, second] = result.snapshots;
    expect(result.streams.find(({ gen }) => gen === second!.gen)?.sha).toBe("maba");
  });

  test("snapshots are numbered upwards and name a generation that has them; files are the first version's first", () => {
    fc.assert(
      fc.property(versions, (all) => {
        const result = joined(all);
        const numbers = result.snapshots.map(({ n }) => n);
        expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
        expect(result.snapshots).toHaveLength(all.length);
        for (const { gen = 0, upto } of result.snapshots) {
          const stream = result.streams.find((one) => one.name === "main" && one.gen === gen);
          expect(stream!.bytes).toBeGreaterThanOrEqual(upto["main"]![1]);
        }
        expect(result.files.find(({ name }) => name === "both.txt")?.sha).toBe("device0");
        expect(result.files).toHaveLength(all.length + 1);
      }),
    );
  });
});
