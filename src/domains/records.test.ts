import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { deviceSigner } from "../crypto/device.ts";
import { newVault } from "../crypto/keyring.fixture.ts";
import { newId, newReplicaId } from "../crypto/names.ts";
import { portableCodec } from "../packing/portable-codec.ts";
import { openIsoDatabase } from "../refs/iso-database.ts";
import { memoryFs } from "../refs/memory-fs.ts";
import type { NewFile } from "../refs/object-database.ts";
import { flip } from "./domain.ts";
import type { Head } from "./head.ts";
import {
  allRecords,
  lastWriterWins,
  mergeRecords,
  nextRev,
  readRecords,
  type SmallRecord,
  type StoredRecords,
  sealRecords,
} from "./records.ts";
import { type ReplicaHead, readHead } from "./replica-heads.ts";
import type { Vault } from "./sealed-objects.ts";
import { MemorySpool } from "./spool.ts";
import { type Template, templates } from "./templates.ts";
import { nextHead, sealHead } from "./writer.ts";

const domain = templates.repository;
const at = "2026-11-25T00:00:00.000Z";
const replicas = ["aaaaaaaaaaaaa", "bbbbbbbbbbbbb", "ccccccccccccc"];

const body = fc.record({
  prompts: fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 2 }),
  agent: fc.constantFrom(null, "claude"),
});
const record: fc.Arbitrary<SmallRecord<Template>> = fc
  .record({
    id: fc.constantFrom("x", "y", "z"),
    rev: fc.tuple(fc.nat(4), fc.constantFrom(...replicas)),
    at: fc.constant(at),
    body: fc.option(body, { nil: null }),
  })
  .map(({ body: said, ...rest }) => (said ? { ...rest, body: said } : { ...rest, deleted: true as const }));
const sets = fc.array(fc.array(record, { maxLength: 4 }), { maxLength: 4 });

describe("last writer wins", () => {
  test("any two versions compare, the same way from both sides, and in no circle", () => {
    const { relate } = lastWriterWins;
    fc.assert(
      fc.property(record, record, record, (a, b, c) => {
        expect(relate(b, a)).toBe(flip(relate(a, b)));
        if (relate(a, b) === "behind" && relate(b, c) === "behind") expect(relate(a, c)).toBe("behind");
        if (relate(a, b) === "equal") expect(a).toEqual({ ...b, id: a.id });
      }),
    );
  });

  test("merging is the same in any order and grouping, and loses no last word", () => {
    fc.assert(
      fc.property(sets, (all) => {
        const merged = mergeRecords(domain, all);
        expect(
          mergeRecords(
            domain,
            [...all].reverse().map((set) => [...set].reverse()),
          ),
        ).toEqual(merged);
        const steps = all.reduce<SmallRecord<Template>[]>(
          (known, set) => [...mergeRecords(domain, [known, set]).values()],
          [],
        );
        expect(new Map(steps.map((one) => [one.id, one]))).toEqual(merged);
        for (const one of all.flat()) expect(merged.get(one.id)!.rev[0]).toBeGreaterThanOrEqual(one.rev[0]);
        for (const replica of replicas) {
          const rev = nextRev(merged, replica);
          for (const one of all.flat())
            expect(lastWriterWins.relate(one, { id: "n", rev, at, deleted: true })).toBe("behind");
        }
      }),
    );
  });
});

describe("what a replica keeps", () => {
  let vault: Vault;
  let sign: Parameters<typeof sealHead>[1];
  let device: string;
  const replica = newReplicaId();

  beforeAll(async () => {
    const made = await newVault();
    const db = await openIsoDatabase(memoryFs(), "/repository");
    vault = {
      keyring: made.keyring,
      repo: newId(),
      db,
      codec: portableCodec,
      newSpool: () => new MemorySpool(),
    };
    sign = deviceSigner(made.device);
    device = made.device.id;
  });

  /** Writes records as the next head would, and reads them back through it. */
  async function written(
    previous: ReplicaHead | null,
    stored: StoredRecords<Template>,
    put: readonly SmallRecord<Template>[],
    meddle: (files: NewFile[]) => NewFile[] = (files) => files,
  ): Promise<{ head: ReplicaHead; records: StoredRecords<Template> }> {
    const { files, hash } = await sealRecords(vault, domain, stored, put);
    const context = { replica, device, previous, others: [], now: new Date(at) };
    const next = nextHead(vault, context, { domains: { [domain.name]: hash } });
    const sealed = await sealHead(vault, sign, next);
    const all = [...[...sealed.files].map(([path, content]) => ({ path, content })), ...meddle(files)];
    const commit = await vault.db.commit({ parents: [], files: all, when: new Date(at) });
    const head = await readHead(vault, replica, commit);
    return { head, records: await readRecords(vault, head, domain) };
  }

  const one = (n: number, lamport: number): SmallRecord<Template> => ({
    id: `t${n}`,
    rev: [lamport, replica],
    at,
    body: { prompts: [`prompt ${n}.${lamport}`], agent: null },
  });
  const empty: StoredRecords<Template> = { records: [], pages: [] };

  test("comes back whole: few records, many in pages, changed ones, and all anew when most were replaced", async () => {
    let state = await written(null, empty, [one(0, 1)]);
    expect(allRecords(state.records)).toEqual([one(0, 1)]);
    const many = Array.from({ length: 200 }, (_, n) => one(n, n + 2));
    state = await written(state.head, state.records, many);
    expect(state.records.pages).toHaveLength(3);
    expect(mergeRecords(domain, [allRecords(state.records)]).size).toBe(200);
    const kept = state.records.pages.map((page) => page.blob);
    state = await written(state.head, state.records, [
      one(5, 300),
      { id: "t6", rev: [301, replica], at, deleted: true },
    ]);
    expect(state.records.pages.map((page) => page.blob)).toEqual(kept);
    const merged = mergeRecords(domain, [allRecords(state.records)]);
    expect(merged.get("t5")).toEqual(one(5, 300));
    expect(merged.get("t6")!.deleted).toBe(true);
    for (let round = 0; round < 4; round++)
      state = await written(
        state.head,
        state.records,
        many.map((_, n) => one(n, 400 + 200 * round + n)),
      );
    expect(allRecords(state.records).length).toBeLessThanOrEqual(2 * 200 + 64);
    expect(mergeRecords(domain, [allRecords(state.records)]).get("t5")).toEqual(one(5, 1005));
  });

  test("a page or index that is not the bound one is refused", async () => {
    const many = Array.from({ length: 70 }, (_, n) => one(n, n + 1));
    const state = await written(null, empty, many);
    const stale = await sealRecords(vault, domain, empty, [one(0, 9)]);
    const swapped = stale.files.find(({ path }) => path.endsWith("index.age"))!;
    await expect(
      written(state.head, state.records, [one(1, 99)], (files) => [
        ...files.filter(({ path }) => !path.endsWith("index.age")),
        swapped,
      ]),
    ).rejects.toMatchObject({ code: "wrong-page", exit: 6 });
    await expect(
      written(state.head, state.records, [one(1, 99)], (files) =>
        files.filter(({ path }) => !path.endsWith("/0.age")),
      ),
    ).rejects.toMatchObject({ code: "object-missing", exit: 6 });
  });

  test("a head without the domain has none of it", async () => {
    const head = { head: { domains: {} } as unknown as Head } as ReplicaHead;
    expect(await readRecords(vault, head, domain)).toEqual(empty);
  });
});
