import { hostname } from "node:os";
import { createDevice, type Device, withVault } from "../crypto/device.ts";
import { addDevice, openRecovery } from "../crypto/keyring.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { formatRef } from "../refs/names.ts";
import { push } from "../refs/transport.ts";
import { remoteNames } from "../worktree/remotes.ts";
import { type ChosenRemote, noRemote, unreachable } from "./chosen-remote.ts";
import { nativeCodec } from "./codec.ts";
import { type FoundKeyring, findKeyrings } from "./find-keyrings.ts";
import { keyringTree, openRepoRecord, readKeyringTree } from "./keyring-tree.ts";
import { confirmRef } from "./queue.ts";
import type { Context } from "./repository.ts";

export type DeviceType = Device["type"];

/** What a device that is to be made is called, where that was said. */
export interface NewDevice {
  readonly deviceName?: string;
  readonly deviceType?: DeviceType;
}

/** A device that is a member of the vault by now. */
export interface Enrolled {
  readonly device: Device;
  readonly vault: string;
  readonly found: FoundKeyring;
}

const pushTimeoutMs = 60_000;

/** The host's name, as its owner knows it. */
export const defaultDeviceName = (): string => hostname().replace(/\.(local|lan|home)$/i, "") || "my device";

/** Hosts that nobody has named are often called the same: then the next gets a number. A name that was chosen stays. */
export async function makeDevice(
  context: Context,
  about: NewDevice,
  taken: ReadonlySet<string> = new Set(),
): Promise<Device> {
  const host = defaultDeviceName();
  const wanted = about.deviceName ?? host;
  let name = wanted;
  for (let n = 2; wanted === host && taken.has(name); n++) name = `${host} ${n}`;
  const type = about.deviceType ?? "laptop";
  return createDevice({ name, type, created: context.world.now().toISOString() });
}

/** Another device may enrol at the same moment; the one whose push loses looks again. */
const joinAttempts = 5;

/** Joins the vault that the recovery code belongs to, with a device that is made where there is none yet. Exit 7, 8. */
export async function enrol(
  context: Context,
  about: NewDevice,
  askCode: () => Promise<string>,
  device: Device | null,
  keyrings: ReadonlyMap<string, FoundKeyring>,
  remote: ChosenRemote | null,
): Promise<Enrolled> {
  if (!remote) throw noRemote();
  if (keyrings.size === 0) {
    throw new ConvosyncError("no-vault", Exit.failed, `'${remote.title}' has no vault to join`, [
      "set it up on the machine that has the conversations: git convosync init",
      ...(remoteNames(context.config).length > 1
        ? ["if it is on another remote: git config convosync.remote <name>, then once more"]
        : []),
    ]);
  }
  const code = await askCode();
  const { ref, opened } = await tryCode(context, keyrings, code);
  const names = new Set([...opened.keyring.members.values()].map((one) => one.name));
  const fresh = device ?? (await makeDevice(context, about, names));
  // Before the remote hears of them: a crash must not leave keys enrolled that nobody has.
  await context.keys.saveDevice(fresh);
  let found = keyrings.get(ref)!;
  let recovery = opened;
  for (let attempt = 1; ; attempt++) {
    const { commit } = found;
    const { repoFile } = await readKeyringTree(context, commit);
    await openRepoRecord(recovery.keyring, repoFile);
    if (recovery.keyring.members.has(fresh.id)) {
      // The push of an earlier run arrived, its answer did not.
      const enrolled = withVault(fresh, recovery.keyring);
      await context.keys.saveDevice(enrolled);
      return { device: enrolled, vault: recovery.keyring.vault, found };
    }
    const now = context.world.now();
    const added = await addDevice(
      recovery.keyring,
      recovery.recoveryDevice,
      fresh,
      now.toISOString(),
      nativeCodec,
    );
    const next = await context.db.commit({
      parents: [commit],
      files: keyringTree(added.keyring, added.files, repoFile),
      when: now,
    });
    const name = formatRef({ kind: "keyring", vault: ref });
    const result = await push(context.git, {
      remote: remote.name,
      updates: [{ ref: name, oid: next, lease: found.there }],
      verifyHooks: false,
      prompt: true,
      timeoutMs: pushTimeoutMs,
    });
    if (result.status === "pushed") {
      await context.keys.saveDevice(added.device);
      // With a refspec of the user's that covers it, git has moved it along with the push.
      context.db.forgetRefs();
      const from = (await context.db.refs(name)).get(name) ?? null;
      if (from !== next) await context.db.update([{ ref: name, to: next, from }]);
      await confirmRef(context, remote.key, name, next);
      const everywhere = { commit: next, here: next, there: next };
      return { device: added.device, vault: added.keyring.vault, found: everywhere };
    }
    if (result.status === "unreachable") throw unreachable(remote, result.text);
    if (attempt === joinAttempts) {
      throw new ConvosyncError(
        "join-refused",
        Exit.remote,
        `'${remote.title}' did not take the enrolment of this device`,
        ["you need permission to push to it; then try again"],
      );
    }
    found = (await findKeyrings(context, remote, true)).get(ref) ?? found;
    recovery = await openRecovery((await readKeyringTree(context, found.commit)).files, code, nativeCodec);
  }
}

/** Opens the vault that the code belongs to; there is more than one when several people share a repository. */
async function tryCode(context: Context, keyrings: ReadonlyMap<string, FoundKeyring>, code: string) {
  let failure: unknown;
  for (const [ref, { commit }] of keyrings) {
    try {
      const { files } = await readKeyringTree(context, commit);
      const opened = await openRecovery(files, code, nativeCodec);
      if (opened.keyring.vaultRef !== ref)
        throw integrityError("wrong-vault", "a keyring stands under another vault's name");
      return { ref, opened };
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
