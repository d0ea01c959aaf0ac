import { beforeAll, describe, expect, test } from "vitest";
import { deviceSigner } from "../crypto/device.ts";
import { toBase64url, utf8 } from "../crypto/encoding.ts";
import { newVault } from "../crypto/keyring.fixture.ts";
import { type Keyring, sealFor } from "../crypto/keyring.ts";
import { newId, newReplicaId, sessionDir } from "../crypto/names.ts";
import {
  filePath,
  type Manifest,
  type ManifestPage,
  type PageRef,
  parseManifestPage,
  segmentPath,
} from "../packing/manifest.ts";
import { portableCodec } from "../packing/portable-codec.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import { openIsoDatabase } from "../refs/iso-database.ts";
import { memoryFs } from "../refs/memory-fs.ts";
import type { ObjectDatabase, Oid } from "../refs/object-database.ts";
import type { Entry } from "./head.ts";
import { proveSession, readSession, readSidecar, readStream } from "./reader.ts";
import { readHead } from "./replica-heads.ts";
import { hashOf, type PageCache, type Vault } from "./sealed-objects.ts";
import { MemorySpool } from "./spool.ts";
import { nextHead, sealHead, sealManifest } from "./writer.ts";

// One replica with one session, in memory and in portable code alone: what a browser would do.

const now = new Date("2026-01-02T03:04:05.000Z");
const line = utf8('{"type":"user","message":"hello"}\n');
const note = utf8("a sidecar\n");
let keyring: Keyring;
let vault: Vault;
let db: ObjectDatabase;
let replica: string;
let entry: Entry;
let head: ReadonlyMap<string, Uint8Array>;
let session: Map<string, Uint8Array>;

const commit = (files: ReadonlyMap<string, Uint8Array>): Promise<Oid> =>
  db.commit({ parents: [], files: [...files].map(([path, content]) => ({ path, content })), when: now });

beforeAll(async () => {
  const made = await newVault();
  ({ keyring } = made);
  db = await openIsoDatabase(memoryFs(), "/repository");
  vault = { keyring, repo: newId(), db, codec: portableCodec, newSpool: () => new MemorySpool() };
  replica = newReplicaId();
  const seal = (body: Uint8Array) => sealFor(keyring, vault.codec.pack(body)).then(({ file }) => file);
  const [segment, file] = [await seal(line), await seal(note)];
  const whole = StreamHash.start();
  whole.update(line);
  const manifest: Manifest = {
    v: 1,
    type: "manifest",
    vault: keyring.vault,
    repo: vault.repo,
    replica,
    agent: "claude",
    session: "one",
    seq: 1,
    streams: [
      {
        name: "main",
        gen: 0,
        lines: 1,
        bytes: line.length,
        sha: toBase64url(whole.digest()),
        segments: [
          {
            i: 0,
            off: 0,
            raw: line.length,
            lines: 1,
            enc: line.length,
            sha: await hashOf(line),
            ct: await hashOf(segment),
            codec: "gz",
            epoch: 1,
          },
        ],
      },
    ],
    files: [
      {
        name: "tool-results/a.txt",
        bytes: note.length,
        sha: await hashOf(note),
        ct: await hashOf(file),
        epoch: 1,
      },
    ],
    snapshots: [],
    links: [],
    pages: [],
    meta: { cwd: "/", tool: "claude-code", toolVersion: null, origin: null, roots: [] },
  };
  const sealed = await sealManifest(vault, manifest, null);
  session = new Map([
    [segmentPath(0), segment],
    [filePath(await hashOf(file)), file],
    ...sealed.files.map((one) => [one.path, one.content as Uint8Array] as const),
  ]);
  entry = {
    s: "claude:one",
    d: await sessionDir(keyring.nameKey, vault.repo, "claude", "one"),
    q: 1,
    m: sealed.m,
    n: 1,
    b: line.length,
    u: now.toISOString(),
    t: "hello",
    br: null,
    c: null,
    pin: false,
    k: 0,
    msg: "",
  };
  const context = { replica, device: made.device.id, previous: null, others: [], now };
  head = (await sealHead(vault, deviceSigner(made.device), nextHead(vault, context, { put: [entry] }))).files;
});

test("a manifest that no reader would accept is not written", async () => {
  const at = await commit(session);
  const { manifest } = await readSession(vault, replica, entry, { commit: at, files: await db.files(at) });
  const meta = { ...manifest.meta, cwd: "/".padEnd(5 * 2 ** 20, "x") };
  await expect(sealManifest(vault, { ...manifest, meta }, null)).rejects.toMatchObject({
    code: "index-too-large",
    exit: 1,
  });
});

async function readBack(from: Vault, at: Oid): Promise<void> {
  const stored = await readSession(from, replica, entry, { commit: at, files: await db.files(at) });
  await proveSession(from, stored, new Set());
  for await (const bytes of readStream(from, stored, stored.manifest.streams[0]!))
    expect(bytes).toEqual(line);
  expect(await readSidecar(from, stored, stored.manifest.files[0]!)).toEqual(note);
}

/** The vault on a host that serves other bytes for one object. */
const serving = (oid: Oid, bytes: Uint8Array): Vault => ({
  ...vault,
  db: { ...db, read: async (blob, limit) => (blob === oid ? bytes : db.read(blob, limit)) },
});

test("what was written is read", async () => {
  const read = await readHead(vault, replica, await commit(head));
  expect(read.entries).toEqual([entry]);
  await readBack(vault, await commit(session));
});

/** Copies of a file with one bit turned, in every byte of it in turn. */
function* flips(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Uint8Array.from(bytes);
    flipped[at]! ^= 1 << (at % 8);
    yield flipped;
  }
}

describe("a bit flipped in any byte", () => {
  const damage = { name: "ConvosyncError", exit: 6 };

  test("of the head is an integrity error", async () => {
    const at = await commit(head);
    const oid = (await db.files(at)).get("head.age")!;
    for (const flipped of flips(head.get("head.age")!)) {
      await expect(readHead(serving(oid, flipped), replica, at)).rejects.toMatchObject(damage);
    }
  });

  test.each(["manifest.age", "segment/", "file/"])("of %s is an integrity error", async (place) => {
    const at = await commit(session);
    const [path, bytes] = [...session].find(([one]) => one.startsWith(place))!;
    const oid = (await db.files(at)).get(path)!;
    for (const flipped of flips(bytes)) {
      await expect(readBack(serving(oid, flipped), at)).rejects.toMatchObject(damage);
    }
  });
});

describe("what is missing", () => {
  test.each(["manifest.age", "segment/", "file/"])("%s: an integrity error", async (prefix) => {
    const left = new Map([...session].filter(([path]) => !path.startsWith(prefix)));
    await expect(readBack(vault, await commit(left))).rejects.toMatchObject({
      code: "object-missing",
      exit: 6,
    });
  });
});

test("what has been proved before is not read again", async () => {
  const at = await commit(session);
  const files = await db.files(at);
  const stored = await readSession(vault, replica, entry, { commit: at, files });
  const bad = { ...stored, files: new Map([...files, [segmentPath(0), "0".repeat(40)]]) };
  await expect(proveSession(vault, bad, new Set(files.values()))).rejects.toThrow();
  await proveSession(vault, bad, new Set([...files.values(), "0".repeat(40)]));
});

test("a head under another replica's name", async () => {
  const other = newReplicaId();
  await expect(readHead(vault, other, await commit(head))).rejects.toMatchObject({
    code: "wrong-replica",
    exit: 6,
  });
});

test("a manifest that another entry names", async () => {
  const at = await commit(session);
  const place = { commit: at, files: await db.files(at) };
  const renamed = { ...entry, s: "claude:two" };
  await expect(readSession(vault, replica, renamed, place)).rejects.toMatchObject({ code: "wrong-manifest" });
  await expect(readSession(vault, newReplicaId(), entry, place)).rejects.toMatchObject({
    code: "wrong-manifest",
  });
  const rebound = { ...entry, m: await hashOf(utf8("x")) };
  await expect(readSession(vault, replica, rebound, place)).rejects.toMatchObject({
    code: "manifest-mismatch",
  });
});

test("a page that names pages says so by its version", () => {
  const page = { type: "manifest-page", n: 8, streams: [], files: [], snapshots: [], links: [] };
  const named = { pages: [{ n: 7, m: "A".repeat(43), epoch: 1 }] };
  const parse = (json: object) => () => parseManifestPage(JSON.stringify(json), 8);
  expect(parse({ v: 1, ...page })).not.toThrow();
  expect(parse({ v: 2, ...page, ...named })).not.toThrow();
  for (const wrong of [{ v: 2 }, { v: 1, ...named }])
    expect(parse({ ...page, ...wrong })).toThrow(expect.objectContaining({ code: "damaged-manifest" }));
  expect(parse({ v: 3, ...page })).toThrow(expect.objectContaining({ code: "newer-version" }));
});

describe("a session saved often", () => {
  const snapshot = (n: number) => ({
    n,
    ts: now.toISOString(),
    device: "d",
    via: "save" as const,
    upto: { main: [1, line.length] as [number, number] },
    commit: null,
    branch: null,
    message: `save ${n}`,
    wip: null,
  });

  /** The session with so many snapshots, each saved after the one before. */
  async function savedOften(times: number) {
    const at = await commit(session);
    let stored = await readSession(vault, replica, entry, { commit: at, files: await db.files(at) });
    let files = new Map<string, Uint8Array | Oid>(session);
    let sizes: number[] = [];
    let bound = entry;
    for (let n = 1; n <= times; n++) {
      const manifest = {
        ...stored.manifest,
        seq: n + 1,
        snapshots: [...stored.manifest.snapshots, snapshot(n)],
      };
      const sealed = await sealManifest(vault, manifest, stored);
      const kept = [...files].filter(([path]) => path !== "manifest.age" && !path.startsWith("page/"));
      files = new Map([...kept, ...sealed.files.map((one) => [one.path, one.content] as const)]);
      const content = [...files].map(([path, content]) => ({ path, content }));
      const made = await db.commit({ parents: [], files: content, when: now });
      bound = { ...entry, m: sealed.m };
      stored = await readSession(vault, replica, bound, { commit: made, files: await db.files(made) });
      const manifestFile = sealed.files.find((one) => one.path === "manifest.age")!.content as Uint8Array;
      sizes = [...sizes, manifestFile.length];
    }
    return { stored, sizes, bound };
  }

  test("reads back whole, and its manifest does not grow", async () => {
    const { stored, sizes } = await savedOften(150);
    expect(stored.manifest.snapshots.map(({ n }) => n)).toEqual(Array.from({ length: 150 }, (_, i) => i + 1));
    expect(stored.manifest.files).toHaveLength(1);
    expect(stored.frozen.all.map(({ n }) => n)).toEqual(stored.frozen.all.map((_, i) => i));
    expect(stored.frozen.all.length).toBeGreaterThan(16);
    expect(stored.frozen.pages.length).toBeLessThanOrEqual(8);
    expect(Math.max(...sizes.slice(100))).toBeLessThan(1.5 * Math.max(...sizes.slice(4, 14)));
  });

  test("is looked at whole when it is served, whatever pages were known before", async () => {
    const { stored, bound } = await savedOften(20);
    const known = new Map<string, ManifestPage>();
    const cache: PageCache = {
      load: async () => known,
      keep: async (_dir, _replica, pages) => {
        for (const [m, page] of pages) known.set(m, page);
      },
    };
    const remembering = { ...vault, pages: cache };
    const served = async (change: (files: Map<string, Uint8Array | Oid>) => void) => {
      const files = new Map<string, Uint8Array | Oid>(stored.files);
      change(files);
      const content = [...files].map(([path, content]) => ({ path, content }));
      const made = await db.commit({ parents: [], files: content, when: now });
      const read = await readSession(remembering, replica, bound, {
        commit: made,
        files: await db.files(made),
      });
      await proveSession(remembering, read, new Set());
      return read;
    };
    await served(() => undefined);
    expect(known.size).toBeGreaterThan(1);
    const refused = (code: string) => expect.objectContaining({ code, exit: 6 });
    await expect(served((files) => files.set("page/00/00.age", utf8("another")))).rejects.toEqual(
      refused("wrong-page"),
    );
    await expect(served((files) => files.delete("page/00/00.age"))).rejects.toEqual(
      refused("object-missing"),
    );
    expect((await served(() => undefined)).manifest.snapshots).toHaveLength(20);
  });

  test.each([
    ["in another order", (refs: PageRef[]) => refs.reverse()],
    ["twice", (refs: PageRef[]) => [refs[0]!, ...refs]],
  ])("pages named %s are refused", async (_how, change) => {
    const { stored } = await savedOften(30);
    const { pages, ...frozen } = stored.frozen;
    expect(pages.length).toBeGreaterThan(1);
    const forged = { ...stored, frozen: { ...frozen, pages: change([...pages]) } };
    const sealed = await sealManifest(vault, stored.manifest, forged);
    const files = new Map<string, Uint8Array | Oid>([
      ...stored.files,
      ...sealed.files.map((one) => [one.path, one.content] as const),
    ]);
    const made = await db.commit({
      parents: [],
      files: [...files].map(([path, content]) => ({ path, content })),
      when: now,
    });
    const place = { commit: made, files: await db.files(made) };
    await expect(readSession(vault, replica, { ...entry, m: sealed.m }, place)).rejects.toMatchObject({
      code: "damaged-manifest",
      exit: 6,
    });
  });
});
