import { randomBytes } from "node:crypto";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { createDevice, deviceSigner } from "../../src/crypto/device.ts";
import { utf8 } from "../../src/crypto/encoding.ts";
import { addDevice, createKeyring, type KeyringFiles } from "../../src/crypto/keyring.ts";
import { newRecoveryCode } from "../../src/crypto/recovery-code.ts";
import { seal } from "../../src/crypto/seal.ts";
import { signLine } from "../../src/crypto/signed-line.ts";
import { formatVault, newEpoch, sealVault } from "../../src/crypto/vault.ts";
import { parseRef } from "../../src/refs/names.ts";
import { nativeCodec } from "../../src/sessions/codec.ts";
import { initialise, type Machine, sessionId } from "../faults/sandbox.ts";
import { assemble } from "./cast.ts";
import {
  asMember,
  flip,
  onRemote,
  readTree,
  refused,
  type Tree,
  tamper,
  traces,
  tracesBelowHeads,
} from "./forge.ts";

// The host of the remote: sees every object, knows every public key, may change, drop, swap and replay anything.

const cast = assemble();
const { sandbox, desktop, laptop, tablet, head, first, second, keyring, olderHead } = cast;
afterAll(() => sandbox.remove());

sandbox.rewind(cast.fresh);
const honest = { first: sandbox.git("rev-parse", first), second: sandbox.git("rev-parse", second) };

const resume = ["resume", sessionId];

/** What the index names is not served as saved: refused, and as soon as it is, all is well. */
function keptOut(why: RegExp, code: string): void {
  refused(tablet, resume, why, { look: tracesBelowHeads, code });
  sandbox.git("update-ref", first, honest.first);
  sandbox.git("update-ref", second, honest.second);
  tablet.convosync(resume);
  const arrived = tablet.store();
  for (const [path, content] of desktop.store())
    if (path.includes(sessionId)) expect(arrived.get(path)).toBe(content);
}
const files = (tree: Tree, prefix: string): string[] =>
  [...tree.keys()].filter((path) => path.startsWith(prefix)).sort();
const put = (ref: string, to: string): string => sandbox.git("update-ref", ref, to);

describe("what the desktop has just saved", () => {
  beforeEach(() => sandbox.rewind(cast.fresh));

  test("arrives, when nobody interferes", () => {
    tablet.convosync(resume);
    expect(tablet.store().get(`projects/<key>/${sessionId}.jsonl`)).toBe(
      desktop.store().get(`projects/<key>/${sessionId}.jsonl`),
    );
  });

  test.each([
    ["the manifest", "manifest.age", "manifest-mismatch", /not the one its index names/],
    ["a segment", "segment/", "wrong-segment", /not the one its manifest names/],
    ["a sidecar", "file/", "wrong-file", /not the one its manifest names/],
  ])("a bit flipped in %s", async (_, path, code, why) => {
    await tamper(sandbox, first, (tree) => flip(tree, files(tree, path).at(-1)!));
    keptOut(why, code);
  });

  test("a bit flipped in the head", async () => {
    await tamper(sandbox, head, (tree) => flip(tree, "head.age"));
    refused(tablet, resume, /damaged|decrypt|read|open/);
  });

  test.each(["genesis", "vault.age", "log.age", "repo.age", "recovery.age"])(
    "a bit flipped in %s of the keyring",
    async (name) => {
      await tamper(sandbox, keyring, (tree) => flip(tree, name));
      refused(tablet, ["sync"], /keyring|enrolled|vault|recovery|repo|damaged/, { codes: [6, 7] });
    },
  );

  test("a segment by a stranger who knows the epoch's recipient", async () => {
    const recipient = await asMember(laptop, async ({ vault }) => vault.keyring.epochs.get(1)!.recipient);
    const forged = await seal(nativeCodec.pack(utf8('{"type":"user"}\n')), [recipient]);
    await tamper(sandbox, first, (tree) => tree.set(files(tree, "segment/").at(-1)!, forged));
    keptOut(/not the one its manifest names/, "wrong-segment");
  });

  test("a head by a stranger who knows the epoch's recipient", async () => {
    const { recipient, json } = await asMember(laptop, async ({ vault, heads }) => ({
      recipient: vault.keyring.epochs.get(1)!.recipient,
      json: JSON.stringify({ ...heads.others[0]!.head, seq: 99 }),
    }));
    const stranger = await createDevice({
      name: "stranger",
      type: "server",
      created: "2026-01-01T00:00:00Z",
    });
    const line = await signLine("head", json, deviceSigner(stranger));
    const forged = await seal(nativeCodec.pack(utf8(`${line}\n`)), [recipient]);
    await tamper(sandbox, head, (tree) => tree.set("head.age", forged));
    refused(tablet, resume, /not entitled to sign/);
  });

  test("a segment out of another session", async () => {
    const other = await onRemote(sandbox, (db) => readTree(db, sandbox.git("rev-parse", second)));
    await tamper(sandbox, first, (tree) =>
      tree.set(files(tree, "segment/")[0]!, other.get(files(other, "segment/")[0]!)!),
    );
    keptOut(/not the one its manifest names/, "wrong-segment");
  });

  test("segments in another order", async () => {
    await tamper(sandbox, first, (tree) => {
      const [one, two] = files(tree, "segment/").slice(-2) as [string, string];
      const [a, b] = [tree.get(one)!, tree.get(two)!];
      tree.set(one, b).set(two, a);
    });
    keptOut(/not the one its manifest names/, "wrong-segment");
  });

  test("sessions under each other's name", () => {
    const [one, two] = [sandbox.git("rev-parse", first), sandbox.git("rev-parse", second)];
    put(first, two);
    put(second, one);
    keptOut(/not the one its index names/, "manifest-mismatch");
  });

  test("an old manifest under a new head", () => {
    put(first, `${first}~1`);
    keptOut(/not the one its index names/, "manifest-mismatch");
  });

  test("the tail dropped", async () => {
    await tamper(sandbox, first, (tree) => void tree.delete(files(tree, "segment/").at(-1)!));
    keptOut(/missing/, "object-missing");
  });

  test("the session dropped", () => {
    sandbox.git("update-ref", "-d", first);
    keptOut(/does not have/, "session-missing");
  });

  test("an oversized head", async () => {
    await tamper(sandbox, head, (tree) => tree.set("head.age", randomBytes(4 << 20)));
    refused(tablet, resume, /larger|too large|long/);
  });

  test("a head of 5,000 stanzas, refused before any of them is tried", async () => {
    const stanza = `-> X25519 ${"A".repeat(43)}\n${"A".repeat(43)}\n`;
    const junk = `age-encryption.org/v1\n${stanza.repeat(5000)}--- ${"A".repeat(43)}\n${"x".repeat(100)}`;
    await tamper(sandbox, head, (tree) => tree.set("head.age", utf8(junk)));
    const start = performance.now();
    refused(tablet, resume, /header|stanza|recipient/);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test("a vault.age of 5,000 stanzas", async () => {
    const stanza = `-> X25519 ${"A".repeat(43)}\n${"A".repeat(43)}\n`;
    const junk = `age-encryption.org/v1\n${stanza.repeat(5000)}--- ${"A".repeat(43)}\n${"x".repeat(100)}`;
    await tamper(sandbox, keyring, (tree) => tree.set("vault.age", utf8(junk)));
    refused(tablet, ["sync"], /keyring/);
  });

  test("a tree that lacks what it must have, or has a folder in its place", async () => {
    await tamper(sandbox, head, (tree) => {
      tree.delete("head.age");
      tree.set("head.age/x", utf8("x"));
    });
    refused(tablet, resume, /missing/);
  });

  test("a head that is no commit", () => {
    put(head, sandbox.git("rev-parse", `${head}:head.age`));
    refused(tablet, resume, /./);
  });
});

describe("what the victim has known before", () => {
  beforeEach(() => sandbox.rewind(cast.known));

  test("the replica rolled back", () => {
    put(head, olderHead);
    refused(tablet, ["sync"], /older state/);
    refused(tablet, resume, /older state/);
  });

  test("the replica deleted", () => {
    for (const ref of [head, first, second]) sandbox.git("update-ref", "-d", ref);
    // Nothing is lost here, and the desktop's next contact puts it back; but it does not go unsaid.
    refused(tablet, ["verify"], /no longer shows what desktop of mine saved/);
    tablet.convosync(resume);
    desktop.convosync(["sync"]);
    tablet.convosync(["verify"]);
  });

  test("the log cut short", () => {
    put(keyring, `${keyring}~1`);
    refused(laptop, ["sync"], /older keyring/);
  });

  test("the log cut short, in a commit like any that follows", async () => {
    const older = await onRemote(sandbox, (db) => readTree(db, sandbox.git("rev-parse", `${keyring}~1`)));
    await tamper(sandbox, keyring, (tree) => {
      for (const [path, content] of older) tree.set(path, content);
    });
    refused(laptop, ["sync"], /older keyring/);
  });

  test("a device that is new, and a replica that another one has seen further", () => {
    const phone = sandbox.machine("phone");
    phone.clone();
    put(head, olderHead);
    initialise(phone, "--join");
    refused(phone, resume, /older state/);
  });

  test("a device that is new, and a replica that another one has seen is gone", () => {
    const phone = sandbox.machine("phone-2");
    phone.clone();
    sandbox.git("update-ref", "-d", head);
    initialise(phone, "--join");
    refused(phone, resume, /no longer shows/);
  });

  test("a head under another replica's name", () => {
    const commit = sandbox.git("rev-parse", head);
    put(head.replace(/[^/]+$/, "aaaaaaaaaaaaa"), commit);
    refused(tablet, ["sync"], /another replica/);
  });

  test("one replica's head in the place of another's", () => {
    const other = sandbox
      .git("for-each-ref", "--format=%(refname)", "refs/convosync/")
      .split("\n")
      .find((ref) => parseRef(ref)?.kind === "head" && ref !== head)!;
    put(head, other);
    refused(tablet, ["sync"], /another replica/);
  });
});

describe("another repository of the same vault", () => {
  test("its replica and its keyring, transplanted", async () => {
    sandbox.rewind(cast.known);
    sandbox.git("init", "--quiet", "--bare", `${sandbox.remote}-2`);
    desktop.git("remote", "add", "second", `${sandbox.remote}-2`);
    const elsewhere = sandbox.machine("desktop");
    elsewhere.git("-C", elsewhere.home, "clone", "--quiet", `${sandbox.remote}-2`, "other");
    const other = Object.assign(Object.create(Object.getPrototypeOf(desktop)) as Machine, desktop, {
      work: `${desktop.home}/other`,
    });
    other.git("commit", "--quiet", "--allow-empty", "--message=first");
    other.talk(0, 3);
    initialise(other);
    other.convosync(["save", "elsewhere"]);
    for (const kind of ["head", "keyring"]) {
      const ref = other
        .git("for-each-ref", "--format=%(refname)", "refs/convosync/")
        .split("\n")
        .find((one) => parseRef(one)?.kind === kind)!;
      const before = traces(tablet);
      sandbox.git("fetch", "--quiet", `${sandbox.remote}-2`, `+${ref}:${kind === "head" ? ref : keyring}`);
      const { stderr } = tablet.convosync(["sync"], 6);
      expect(stderr).toMatch(/another repository/);
      expect(traces(tablet)).toEqual(before);
      if (kind === "head") sandbox.git("update-ref", "-d", ref);
    }
  });
});

describe("the keyring", () => {
  beforeEach(() => sandbox.rewind(cast.known));

  const replaceKeyring = (change: Partial<KeyringFiles>): Promise<void> =>
    tamper(sandbox, keyring, (tree) => {
      for (const [name, bytes] of Object.entries(change))
        tree.set(name === "genesis" ? name : `${name}.age`, bytes);
    });

  test("the attacker adds a device of his own", async () => {
    const mallory = await createDevice({ name: "mallory", type: "server", created: "2026-01-01T00:00:00Z" });
    const { log, vault } = await asMember(laptop, async ({ vault: { keyring: ring } }) => {
      const { id, recipient, signPub, name, type } = mallory;
      const entry = {
        v: 1,
        type: "add",
        vault: ring.vault,
        seq: ring.seq + 1,
        prev: ring.hash,
        ts: "2026-01-01T00:00:00Z",
        device: { id, recipient, sign: signPub, name, type },
      };
      const line = await signLine("keyring", JSON.stringify(entry), deviceSigner(mallory));
      const text = [...ring.lines, line].map((one) => `${one}\n`).join("");
      const recipients = [...ring.members.values()].map((one) => one.recipient);
      return {
        log: await seal(nativeCodec.pack(utf8(text)), [ring.epochs.get(1)!.recipient]),
        vault: await sealVault(formatVault(ring.vault, ring.epochs.values()), [...recipients, recipient]),
      };
    });
    await replaceKeyring({ log, vault });
    refused(tablet, ["sync"], /not entitled to sign/);
  });

  test.each(["and the genesis to it", "under the true genesis"])(
    "a whole vault of the attacker's, sealed to the device he knows, %s",
    async (how) => {
      const mallory = await createDevice({
        name: "mallory",
        type: "server",
        created: "2026-01-01T00:00:00Z",
      });
      const ts = "2026-01-01T00:00:00Z";
      const made = await createKeyring({
        device: mallory,
        recoveryCode: newRecoveryCode(),
        ts,
        codec: nativeCodec,
      });
      const victim = await asMember(tablet, async ({ vault }) => vault.device);
      const added = await addDevice(made.keyring, made.device, { ...victim, vaults: [] }, ts, nativeCodec);
      const { genesis, ...rest } = added.files;
      await replaceKeyring(how.startsWith("and") ? { genesis, ...rest } : rest);
      refused(tablet, ["sync"], /not the one this device was enrolled in/);
    },
  );

  test("the true log, and keys of the attacker's", async () => {
    const { id, recipients } = await asMember(laptop, async ({ vault: { keyring: ring } }) => ({
      id: ring.vault,
      recipients: [...ring.members.values()].map((one) => one.recipient),
    }));
    await replaceKeyring({ vault: await sealVault(formatVault(id, [await newEpoch(1, id)]), recipients) });
    refused(tablet, ["sync"], /keys are not those/);
  });

  test("a recovery file of the attacker's", async () => {
    const mallory = await createDevice({ name: "mallory", type: "server", created: "2026-01-01T00:00:00Z" });
    const made = await createKeyring({
      device: mallory,
      recoveryCode: newRecoveryCode(),
      ts: "2026-01-01T00:00:00Z",
      codec: nativeCodec,
    });
    await replaceKeyring({ recovery: made.files.recovery });
    refused(tablet, ["sync"], /recovery/, { code: "substituted-recovery" });
  });
});
