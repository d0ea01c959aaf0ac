import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { createDevice } from "../../src/crypto/device.ts";
import { utf8 } from "../../src/crypto/encoding.ts";
import { addDevice, removeDevice, sealFor } from "../../src/crypto/keyring.ts";
import { sessionDir } from "../../src/crypto/names.ts";
import type { Page } from "../../src/domains/head.ts";
import { hashOf } from "../../src/domains/sealed-objects.ts";
import { filePath, type Manifest, segmentPath, workPath } from "../../src/packing/manifest.ts";
import type { NewFile } from "../../src/refs/object-database.ts";
import { writeBundle } from "../../src/sessions/bundle.ts";
import { nativeCodec } from "../../src/sessions/codec.ts";
import { keyringTree, readKeyringTree } from "../../src/sessions/keyring-tree.ts";
import { openReading } from "../../src/sessions/reading.ts";
import { sessionId } from "../faults/sandbox.ts";
import { assemble } from "./cast.ts";
import {
  asMember,
  forgeHead,
  forgeSession,
  type Member,
  pushTo,
  refused,
  tamper,
  tracesOfUser,
} from "./forge.ts";

// The laptop is a member of the vault that runs another program than ours. The tablet is its victim.

const cast = assemble();
const { sandbox, desktop, laptop, tablet, head, keyring } = cast;
const resume = ["resume", sessionId];
beforeEach(() => sandbox.rewind(cast.known));
afterAll(() => sandbox.remove());

describe("a member's head", () => {
  test("in the place of another device's", async () => {
    const replica = head.replace(/^.*\//, "");
    await forgeHead(
      laptop,
      (own) => ({ ...own, replica, seq: 99, seen: {} }),
      () => head,
    );
    refused(tablet, ["sync"], /another device writes under the name/);
  });

  test("that names another device as its writer", async () => {
    const device = await asMember(desktop, async ({ vault }) => vault.device.id);
    await forgeHead(laptop, (own) => ({ ...own, device }));
    refused(tablet, ["sync"], /another device than it names/, { code: "wrong-signer" });
  });

  test("with the number of one that is known, and other contents", async () => {
    await forgeHead(laptop, (own) => ({ ...own, seq: own.seq - 1, ts: "2027-01-01T00:00:00.000Z" }));
    refused(tablet, ["sync"], /two different states/);
  });

  test("that drops a session without a tombstone", async () => {
    await forgeHead(laptop, (own) => ({ ...own, sessions: [] }));
    refused(tablet, ["sync"], /vanished/);
  });

  test("with a session under another one's directory", async () => {
    await forgeHead(laptop, (own) => ({
      ...own,
      sessions: own.sessions.map((one) => ({ ...one, d: "a".repeat(16) })),
    }));
    refused(tablet, ["sync"], /stands under another one's directory/, { code: "wrong-directory" });
  });

  test("that claims to have seen what the remote does not show", async () => {
    const replica = head.replace(/^.*\//, "");
    await forgeHead(laptop, (own) => ({ ...own, seen: { [replica]: [999, own.prev ?? ""] } }));
    refused(tablet, ["sync"], /older state/);
  });

  test("of another repository, or vault", async () => {
    await forgeHead(laptop, (own) => ({ ...own, repo: "A".repeat(22) }));
    refused(tablet, ["sync"], /another repository/, { code: "wrong-repository" });
    sandbox.rewind(cast.known);
    await forgeHead(laptop, (own) => ({ ...own, vault: "A".repeat(22) }));
    refused(tablet, ["sync"], /another vault/, { code: "wrong-vault" });
  });

  test("that would change the prototype of what it is parsed into: those keys are as if they were not there", async () => {
    await forgeHead(laptop, (own) => {
      const evil = JSON.parse('{"__proto__":{"seq":1},"constructor":{"prototype":{}}}') as object;
      return Object.assign(Object.create(null), own, { domains: evil, seen: evil });
    });
    tablet.convosync(["sync"]);
    tablet.convosync(["verify"]);
    tablet.convosync(resume);
  });

  test.each([
    ["a negative number", { seq: -1 }],
    ["a number beyond all numbers", { seq: 1e300 }],
    ["a wrong type", { sessions: "many" }],
    ["a later version", { v: 3 }],
  ])("with %s", async (what, change) => {
    await forgeHead(laptop, (own) => ({ ...own, ...change }) as typeof own);
    const newer = what === "a later version";
    refused(tablet, ["sync"], newer ? /newer version/ : /malformed/, {
      codes: [newer ? 1 : 6],
      code: newer ? "newer-version" : "damaged-head",
    });
  });
});

test("a session of an agent that this version does not know is listed, left alone, and said so", async () => {
  const d = await asMember(laptop, ({ vault }) =>
    sessionDir(vault.keyring.nameKey, vault.repo, "zed", "of-tomorrow"),
  );
  await forgeHead(laptop, (own) => ({
    ...own,
    sessions: [...own.sessions, { ...own.sessions[0]!, s: "zed:of-tomorrow", d }],
  }));
  tablet.convosync(["sync"]);
  const { stdout } = tablet.convosync(["list", "--all", "--json"]);
  expect(JSON.parse(stdout).sessions).toContainEqual(
    expect.objectContaining({ agent: "zed", id: "of-tomorrow" }),
  );
  refused(tablet, ["resume", "of-tomorrow"], /does not know the agent 'zed'/, {
    codes: [1],
    code: "unsupported-agent",
  });
  tablet.convosync(resume);
});

test("a page of a member's index that is another than its head says", async () => {
  const told: Page = { v: 1, type: "page", n: 0, sessions: [] };
  const page: Page & { toJSON(): object } = { ...told, toJSON: () => ({ ...told, n: 1 }) };
  await forgeHead(laptop, (own) => own, undefined, [page]);
  refused(tablet, ["sync"], /a page of the index is not the one its head names/, { code: "damaged-page" });
});

describe("bombs", () => {
  const zeros = gzipSync(Buffer.alloc(256 << 20), { level: 9 });
  const seal = ({ vault }: Member): Promise<Uint8Array> =>
    sealFor(vault.keyring, zeros).then(({ file }) => file);
  const quickly = (work: () => void): void => {
    const start = performance.now();
    work();
    expect(performance.now() - start).toBeLessThan(10_000);
  };

  test("as a head", async () => {
    const bomb = await asMember(laptop, seal);
    await tamper(sandbox, head, (tree) => tree.set("head.age", bomb));
    quickly(() => refused(tablet, ["sync"], /longer|larger|limit|more than/));
  });

  test("as a segment of a kilobyte", async () => {
    let ct = "";
    await forgeSession(laptop, {
      files: async (files, member) => {
        const bomb = await seal(member);
        ct = await hashOf(bomb);
        files.set(segmentPath(0), bomb);
      },
      manifest: (manifest) => {
        const main = manifest.streams.find((one) => one.name === "main")!;
        const declared = { raw: 1024, enc: 1024, lines: 1, off: 0, i: 0, ct };
        const segments = [{ ...main.segments[0]!, ...declared }];
        return { ...manifest, streams: [{ ...main, lines: 1, bytes: 1024, segments }] };
      },
    });
    quickly(() => refused(tablet, resume, /./, { look: tracesOfUser }));
  });
});

describe("a device that was removed", () => {
  /** The desktop removes the laptop, accepting what it had saved until then. */
  async function revoke(): Promise<void> {
    await asMember(desktop, async ({ context, vault, heads }) => {
      const gone = heads.others.find(
        (one) => vault.keyring.members.get(one.head.device)?.name === "laptop of mine",
      )!;
      const cut = { [vault.repo]: { [gone.replica]: [gone.head.seq, gone.hash] as const } };
      const ts = "2027-01-01T00:00:00.000Z";
      const { keyring: next, files } = await removeDevice(
        vault.keyring,
        vault.device,
        gone.head.device,
        cut,
        ts,
        nativeCodec,
      );
      const { repoFile } = await readKeyringTree(context, vault.keyringCommit);
      const tree: NewFile[] = keyringTree(next, files, repoFile);
      pushTo(
        desktop,
        await context.db.commit({ parents: [vault.keyringCommit], files: tree, when: new Date() }),
        keyring,
      );
    });
    desktop.convosync(["sync"]);
  }

  test("is still believed in what it had saved", async () => {
    await revoke();
    tablet.convosync(["sync"]);
    tablet.convosync(resume);
    tablet.convosync(["verify"]);
  });

  test("cannot open the keyring that shuts it out", async () => {
    await revoke();
    refused(laptop, ["sync"], /cannot open the vault/, { codes: [7] });
    // What is sealed from now on is sealed to keys it was not given.
    desktop.talk(22, 3);
    desktop.convosync(["save", "after"]);
    const epoch = await asMember(desktop, async ({ heads }) => heads.own!.head.epoch);
    expect(epoch).toBe(2);
  });

  test("writes on", async () => {
    await revoke();
    tablet.convosync(["sync"]);
    await forgeHead(laptop, (own) => own);
    refused(tablet, ["sync"], /after it was revoked/);
  });

  test("writes on, and the victim hears of both at once", async () => {
    await revoke();
    await forgeHead(laptop, (own) => own);
    refused(tablet, ["sync"], /after it was revoked/);
  });

  test("forks the log, and adds a device of its choice", async () => {
    await revoke();
    tablet.convosync(["sync"]);
    await asMember(laptop, async ({ context, vault }) => {
      const helper = await createDevice({ name: "helper", type: "server", created: "2026-01-01T00:00:00Z" });
      const { keyring: next, files } = await addDevice(
        vault.keyring,
        vault.device,
        helper,
        "2027-01-01T00:00:00.000Z",
        nativeCodec,
      );
      const { repoFile } = await readKeyringTree(context, vault.keyringCommit);
      const oid = await context.db.commit({
        parents: [vault.keyringCommit],
        files: keyringTree(next, files, repoFile),
        when: new Date(),
      });
      pushTo(laptop, oid, keyring);
    });
    refused(tablet, ["sync"], /not the one this device has seen/);
  });

  test("is named, and its last save dated, in status", async () => {
    await revoke();
    tablet.convosync(["sync"]);
    expect(tablet.convosync(["status"]).stdout).toMatch(/laptop of mine \(laptop\), revoked/);
  });
});

describe("manifests", () => {
  const main = { name: "main", gen: 0 };

  test.each<[string, string, RegExp, (manifest: Manifest) => unknown]>([
    ["a path upwards", "unsafe-name", /names a file Claude Code does not have/, named("../../evil")],
    ["an absolute path", "unsafe-name", /names a file Claude Code does not have/, named("/tmp/evil")],
    [
      "a path upwards below a folder of ours",
      "unsafe-name",
      /names a file/,
      named("tool-results/../../../../evil"),
    ],
    ["a device", "unsafe-name", /names a file/, named("tool-results/CON")],
    ["a hidden file", "unsafe-name", /names a file/, named("tool-results/.bashrc")],
    ["a stream that is a file", "unsafe-name", /names a (?:file|stream)/, named("subagents/agent-x.jsonl")],
    ["a negative length", "damaged-manifest", /malformed/, first({ bytes: -1 })],
    ["a length beyond all lengths", "damaged-manifest", /malformed|larger/, first({ bytes: 2 ** 52 })],
    ["more than a session may hold", "oversized-session", /larger than 512 MiB/, twice(288)],
    [
      "a stream that is not the sum of its segments",
      "damaged-manifest",
      /sum of its segments/,
      first({ lines: 1 }),
    ],
    [
      "10,001 streams that are not what it says",
      "wrong-stream",
      /does not hold what its manifest says/,
      streams(10_001),
    ],
    ["another session's id", "wrong-manifest", /manifest of another/, whole({ session: "x" })],
    ["a session id with slashes", "damaged-manifest", /malformed/, whole({ session: "../../x" })],
    ["another replica", "wrong-manifest", /manifest of another/, whole({ replica: "aaaaaaaaaaaaa" })],
    [
      "a snapshot on a branch that git takes for an option",
      "bad-branch-name",
      /not a branch name/,
      snapshot({ branch: "-f" }),
    ],
    [
      "a snapshot on a branch that git would expand",
      "bad-branch-name",
      /not a branch name/,
      snapshot({ branch: "@{-1}" }),
    ],
    [
      "a snapshot on a refspec",
      "bad-branch-name",
      /not a branch name/,
      snapshot({ branch: "main:refs/heads/main" }),
    ],
    ["a snapshot on a pattern", "bad-branch-name", /not a branch name/, snapshot({ branch: "*" })],
    [
      "a snapshot on an option for its commit",
      "damaged-manifest",
      /malformed/,
      snapshot({ commit: "--upload-pack=evil" }),
    ],
    [
      "a prototype",
      "damaged-manifest",
      /./,
      whole(JSON.parse('{"__proto__":{"v":1},"meta":{"__proto__":{}}}') as object),
    ],
  ])("with %s", async (_, code, why, change) => {
    await forgeSession(laptop, { manifest: change });
    refused(tablet, resume, why, { look: tracesOfUser, code });
  });

  function whole(change: object) {
    return (manifest: Manifest) => ({ ...manifest, ...change });
  }
  function first(change: object) {
    return (manifest: Manifest) => ({
      ...manifest,
      streams: manifest.streams.map((one, at) => (at === 0 ? { ...one, ...change } : one)),
    });
  }
  /** Two streams of so many MiB, in segments of 32. */
  function twice(size: number) {
    const raw = 32 * 2 ** 20;
    const count = size / 32;
    return (manifest: Manifest) => {
      const [part] = manifest.streams[0]!.segments;
      const streams = ["main", "subagents/agent-1.jsonl"].map((name, n) => {
        const segments = Array.from({ length: count }, (_, k) => {
          return { ...part, i: n * count + k, off: k * raw, raw, enc: raw, lines: 1, codec: "gz" };
        });
        return { ...manifest.streams[0], name, bytes: count * raw, lines: count, segments };
      });
      return { ...manifest, streams };
    };
  }
  function named(name: string) {
    return (manifest: Manifest) => ({
      ...manifest,
      files: manifest.files.map((one, at) => (at === 0 ? { ...one, name } : one)),
    });
  }
  function streams(count: number) {
    return (manifest: Manifest) => ({
      ...manifest,
      streams: [
        ...manifest.streams,
        ...Array.from({ length: count }, (_, n) => ({
          ...manifest.streams[0],
          ...main,
          name: `subagents/agent-${n}.jsonl`,
          segments: [],
          bytes: 0,
          lines: 0,
        })),
      ],
    });
  }
  function snapshot(change: object) {
    return (manifest: Manifest) => ({
      ...manifest,
      snapshots: [...manifest.snapshots.slice(0, -1), { ...manifest.snapshots.at(-1), ...change }],
    });
  }

  /** Seals something into the session's tree. Gives the hash that a manifest names it by. */
  async function sealInto(
    files: Map<string, Uint8Array | string>,
    { vault }: Member,
    path: (ct: string) => string,
    content: string,
  ): Promise<string> {
    const { file } = await sealFor(vault.keyring, vault.codec.pack(utf8(content)));
    const ct = await hashOf(file);
    files.set(path(ct), file);
    return ct;
  }

  test("with variables that are none", async () => {
    let ct = "";
    await forgeSession(laptop, {
      files: async (files, member) => {
        ct = await sealInto(files, member, filePath, '{"PORT":{"toString":"8080"}}');
      },
      manifest: (manifest) => ({ ...manifest, env: { names: ["PORT"], ct, epoch: 1 } }),
    });
    refused(tablet, resume, /the variables of the session are damaged/, {
      look: tracesOfUser,
      code: "damaged-environment",
    });
  });

  test("with work in progress that is no bundle of ours", async () => {
    let wip = "";
    await forgeSession(laptop, {
      files: async (files, member) => {
        wip = await sealInto(files, member, () => workPath, "# v2 git bundle\n\nPACK");
      },
      manifest: (manifest) => snapshot({ wip })(manifest),
    });
    refused(tablet, resume, /the work in progress of the session is damaged: it is made for another commit/, {
      look: tracesOfUser,
      code: "bad-work-in-progress",
    });
  });

  test("with a segment that is sealed to keys of its own", async () => {
    let ct = "";
    await forgeSession(laptop, {
      files: async (files) => {
        const encrypter = new Encrypter();
        encrypter.addRecipient(await identityToRecipient(await generateX25519Identity()));
        const foreign = await encrypter.encrypt(gzipSync("{}\n"));
        ct = await hashOf(foreign);
        files.set(segmentPath(0), foreign);
      },
      manifest: (manifest) => ({
        ...manifest,
        streams: manifest.streams.map((one) => ({
          ...one,
          segments: one.segments.map((part) => (part.i === 0 ? { ...part, ct } : part)),
        })),
      }),
    });
    refused(tablet, resume, /an object is not sealed to this vault/, {
      look: tracesOfUser,
      code: "foreign-object",
    });
  });

  test("without its streams: what others have of the conversation counts", async () => {
    await forgeSession(laptop, { manifest: whole({ streams: [] }) });
    const before = tablet.read();
    tablet.convosync(resume);
    expect(tablet.read()).toBe(before);
  });

  test("whose folder lies outside the work tree: the conversation comes to its root", async () => {
    await forgeSession(laptop, {
      manifest: (manifest) => ({ ...manifest, meta: { ...manifest.meta, cwd: "/etc" } }),
    });
    const { stdout } = tablet.convosync(["resume", sessionId, "--json"]);
    expect((JSON.parse(stdout) as { workingDirectory: string }).workingDirectory).toBe(tablet.work);
  });
});

describe("a bundle from a member", () => {
  test.each<[string, string, (manifest: Manifest) => void]>([
    ["a file with a path upwards", "unsafe-name", renamed("files", "tool-results/../../../../evil")],
    ["a file with an absolute path", "unsafe-name", renamed("files", "/tmp/evil")],
    ["a stream with a path upwards", "unsafe-name", renamed("streams", "subagents/../../../evil.jsonl")],
    ["a hidden file", "unsafe-name", renamed("files", "tool-results/.bashrc")],
    ["two files of one name", "damaged-bundle", renamed("files", "main")],
    [
      "a session id with a path",
      "damaged-bundle",
      (manifest) => Object.assign(manifest, { session: "../../x" }),
    ],
    ["a session id of no agent", "unsafe-name", (manifest) => Object.assign(manifest, { session: "x" })],
  ])("with %s", async (_, code, change) => {
    const path = join(tablet.home, "talk.convosync");
    await asMember(laptop, async ({ context, vault }) => {
      const reading = await openReading(context, sessionId);
      const manifest = structuredClone(reading.stored.manifest);
      change(manifest);
      const forged = { ...reading, stored: { ...reading.stored, manifest } };
      const parts: Uint8Array[] = [];
      for await (const part of writeBundle(forged, { vault })) parts.push(part);
      writeFileSync(path, Buffer.concat(parts));
    });
    rmSync(join(tablet.home, ".claude"), { recursive: true, force: true });
    refused(tablet, ["import", path], /./, { code });
  });

  function renamed(kind: "files" | "streams", name: string) {
    return (manifest: Manifest) => void Object.assign(manifest[kind].at(-1)!, { name });
  }
});
