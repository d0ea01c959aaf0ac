import { type Device, deviceSigner } from "../crypto/device.ts";
import { createKeyring, type Keyring, type KeyringFiles, loadKeyring } from "../crypto/keyring.ts";
import { newId, vaultRef } from "../crypto/names.ts";
import { newRecoveryCode } from "../crypto/recovery-code.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { formatRef } from "../refs/names.ts";
import { rootCommits } from "../worktree/remotes.ts";
import { catalog, type Heads } from "./catalog.ts";
import { type ChosenRemote, currentBranch, findRemote, otherRemotes } from "./chosen-remote.ts";
import { nativeCodec } from "./codec.ts";
import { enrol, makeDevice, type NewDevice } from "./enrol.ts";
import { type FoundKeyring, findKeyrings } from "./find-keyrings.ts";
import { loadHeads } from "./heads.ts";
import { keyringTree, openVaultAt, readKeyringTree, sealRepoRecord } from "./keyring-tree.ts";
import { type PublishResult, publish } from "./publish.ts";
import { confirmRef } from "./queue.ts";
import { dropIncoming, fetchHeads } from "./remote.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { type OpenVault, openOrRenew, ownReplica } from "./vault.ts";
import { openWorkplace } from "./workplace.ts";

export interface InitOptions extends NewDevice {
  readonly join?: boolean;
  readonly newVault?: boolean;
  /** Those that the repository has are somebody else's. */
  readonly ownVault?: boolean;
  readonly public?: boolean;
}

/** What `init` asks for on the way. */
export interface InitDialogue {
  /** A new vault's recovery code: must be in safe hands when this returns, for it is never shown again. */
  keepRecoveryCode(code: string): Promise<void>;
  /** The recovery code of the vault to join. */
  recoveryCode(): Promise<string>;
}

export interface InitResult {
  readonly device: { readonly id: string; readonly name: string; readonly type: string };
  readonly vault: string;
  readonly repo: string;
  readonly replica: string;
  /** A new vault was made. */
  readonly created: boolean;
  /** This device was added to a vault that existed. */
  readonly joined: boolean;
  /** Everything had been set up before. */
  readonly already: boolean;
  readonly remote: ChosenRemote | null;
  /** The vault was found there, on another remote than the branch's. */
  readonly apart?: boolean;
  readonly publish: PublishResult | null;
  /** How many sessions are known here by now. */
  readonly sessions: number;
}

/**
 * Sets this repository up: joins the vault whose keyring is there already, or makes one. A device has one vault
 * for all its repositories unless told otherwise.
 */
export async function init(
  context: Context,
  options: InitOptions,
  dialogue: InitDialogue,
): Promise<InitResult> {
  return withCloneLock(context, async () => {
    const result = await initLocked(context, options, dialogue);
    // From now on it is known where the work trees are, or were.
    if (context.repo.root) await openWorkplace(context);
    return result;
  });
}

async function initLocked(
  context: Context,
  options: InitOptions,
  dialogue: InitDialogue,
): Promise<InitResult> {
  const remote = await findRemote(context, await currentBranch(context));
  if (remote && !options.public) await refusePublic(context, remote);
  const device = await context.keys.device();
  const keyrings = await findKeyrings(context, remote, options.join === true);
  try {
    const apart = remote && keyrings.size === 0 ? await findApart(context, options, device, remote) : null;
    if (apart) {
      const result = await decide(context, options, dialogue, device, apart.keyrings, apart.remote);
      return { ...result, apart: true };
    }
    return await decide(context, options, dialogue, device, keyrings, remote);
  } finally {
    await dropIncoming(context, "refs/convosync-incoming/");
  }
}

/**
 * The first of the other remotes that has a vault to join, or one that this device is in: the vault may be on a fork alone,
 * and the clone of what it was forked from. Somebody else's vault there is no reason not to make one.
 */
async function findApart(
  context: Context,
  options: InitOptions,
  device: Device | null,
  chosen: ChosenRemote,
): Promise<{ remote: ChosenRemote; keyrings: ReadonlyMap<string, FoundKeyring> } | null> {
  const isSet = context.settings.get("remote") !== undefined;
  if (isSet || options.newVault || options.ownVault || !(options.join || device)) return null;
  const own = new Set(await Promise.all((device?.vaults ?? []).map(({ vault }) => vaultRef(vault))));
  for (const remote of await otherRemotes(context, chosen)) {
    const keyrings = await findKeyrings(context, remote, false, { prompt: false });
    if (options.join ? keyrings.size > 0 : [...keyrings.keys()].some((ref) => own.has(ref))) {
      if (!options.public) await refusePublic(context, remote);
      return { remote, keyrings };
    }
  }
  return null;
}

async function decide(
  context: Context,
  options: InitOptions,
  dialogue: InitDialogue,
  device: Device | null,
  keyrings: ReadonlyMap<string, FoundKeyring>,
  remote: ChosenRemote | null,
): Promise<InitResult> {
  for (const { vault } of device?.vaults ?? []) {
    const ref = await vaultRef(vault);
    const found = keyrings.get(ref);
    if (found && options.newVault) throw ownVaultExists(ref);
    if (found) return adopt(context, device!, vault, found, remote, { joined: false });
  }
  if (options.join) {
    const askCode = () => dialogue.recoveryCode();
    const { device: member, vault, found } = await enrol(context, options, askCode, device, keyrings, remote);
    return adopt(context, member, vault, found, remote, { joined: true });
  }
  if (keyrings.size > 0 && !options.newVault && !options.ownVault) {
    throw new ConvosyncError(
      "vault-exists",
      Exit.stopped,
      "this repository has a vault that this device has not joined",
      [
        "join it with its recovery code: git convosync init --join",
        device?.vaults.length
          ? "if it is somebody else's, put this device's beside it: git convosync init --own-vault"
          : "if it is somebody else's, make your own beside it: git convosync init --new-vault",
      ],
    );
  }
  const known = device?.vaults[0];
  if (device && known && !options.newVault) {
    const files = await context.keys.keyringCopy(await vaultRef(known.vault));
    if (files) {
      const mark = (await context.keys.state()).vaults[known.vault]?.kr;
      const keyring = await loadKeyring(
        files,
        device,
        { genesis: known.genesis, ...(mark && { mark }) },
        nativeCodec,
      );
      return setUp(context, device, keyring, files, remote, { created: false });
    }
  }
  const base = device ?? (await makeDevice(context, options));
  context.keys.requireWritable();
  const code = newRecoveryCode();
  await dialogue.keepRecoveryCode(code);
  const made = await createKeyring({
    device: base,
    recoveryCode: code,
    ts: context.world.now().toISOString(),
    codec: nativeCodec,
  });
  // In this order a device that names a vault can always open it: after a crash the next run goes on from here.
  await context.keys.saveKeyringCopy(made.keyring.vaultRef, made.files);
  await context.keys.saveDevice(made.device);
  return setUp(context, made.device, made.keyring, made.files, remote, { created: true });
}

const ownVaultExists = (ref: string): ConvosyncError =>
  new ConvosyncError("vault-exists", Exit.stopped, "this repository has a vault of this device already", [
    "every command goes on with it; a second one would never be used",
    `to start over without what it holds, first remove its refs, here and on the remote: refs/convosync/${ref}/`,
  ]);

/** The device is a member already: take the repository's keyring as it is. */
async function adopt(
  context: Context,
  device: Device,
  vault: string,
  found: FoundKeyring,
  remote: ChosenRemote | null,
  { joined }: { joined: boolean },
): Promise<InitResult> {
  const ref = formatRef({ kind: "keyring", vault: await vaultRef(vault) });
  const opened = await openOrRenew(context, device, vault, found.commit);
  const from = found.here;
  if (opened.keyringCommit !== from) await context.db.update([{ ref, to: opened.keyringCommit, from }]);
  if (remote && found.commit === found.there) await confirmRef(context, remote.key, ref, found.there);
  await remember(context, opened.keyring, (await readKeyringTree(context, opened.keyringCommit)).files);
  const already = found.here !== null && !joined;
  return finish(context, opened, remote, { created: false, joined, already, isThere: !already });
}

/** Gives the repository its id and its copy of the keyring. */
async function setUp(
  context: Context,
  device: Device,
  keyring: Keyring,
  files: KeyringFiles,
  remote: ChosenRemote | null,
  { created }: { created: boolean },
): Promise<InitResult> {
  const signer = await deviceSigner(device);
  const now = context.world.now();
  const repoFile = await sealRepoRecord(keyring, signer, {
    v: 1,
    type: "repo",
    vault: keyring.vault,
    repo: newId(),
    ts: now.toISOString(),
    origins: remote ? [remote.origin] : [],
    roots: context.repo.shallow ? [] : await rootCommits(context.git),
  });
  const commit = await context.db.commit({
    parents: [],
    files: keyringTree(keyring, files, repoFile),
    when: now,
  });
  await context.db.update([
    { ref: formatRef({ kind: "keyring", vault: keyring.vaultRef }), to: commit, from: null },
  ]);
  await remember(context, keyring, files);
  return finish(context, await openVaultAt(context, device, keyring.vault, commit), remote, {
    created,
    joined: false,
    already: false,
    isThere: false,
  });
}

async function remember(context: Context, keyring: Keyring, files: KeyringFiles): Promise<void> {
  // The copy first: it must never be older than what is remembered.
  await context.keys.saveKeyringCopy(keyring.vaultRef, files);
  await context.keys.rememberKeyring(keyring.vault, keyring.genesis, [keyring.seq, keyring.hash]);
}

async function finish(
  context: Context,
  vault: OpenVault,
  remote: ChosenRemote | null,
  { isThere, ...how }: { created: boolean; joined: boolean; already: boolean; isThere: boolean },
): Promise<InitResult> {
  const replica = await ownReplica(context, vault);
  const { id, name, type } = vault.device;
  const heads = remote && isThere ? await headsOf(context, vault, remote) : await loadHeads(context, vault);
  return {
    device: { id, name, type },
    vault: vault.keyring.vault,
    repo: vault.repo,
    replica,
    ...how,
    remote,
    publish: remote ? await publish(context, vault, replica, remote, null) : null,
    sessions: catalog(heads, vault).length,
  };
}

/**
 * What has been saved of this repository, so that it can be listed, and a save goes on from it when the agent has it here
 * still. Who uses it is told where it is forged; the keys are not the worse for it.
 */
async function headsOf(context: Context, vault: OpenVault, remote: ChosenRemote): Promise<Heads> {
  try {
    return (await fetchHeads(context, vault, remote)).heads;
  } catch (error) {
    if (!(error instanceof ConvosyncError)) throw error;
    return loadHeads(context, vault);
  }
}

/** Ciphertext in a public repository is everyone's for ever: ask before, by trying to read it without credentials. */
async function refusePublic(context: Context, remote: ChosenRemote): Promise<void> {
  if (!/^https?:\/\//.test(remote.url)) return;
  const anonymous = remote.url.replace(/^(https?:\/\/)[^/@]*@/, "$1");
  const { code } = await context.git.run(
    [
      "-c",
      "credential.helper=",
      "-c",
      "core.askPass=",
      "-c",
      "http.extraHeader=",
      "ls-remote",
      "--exit-code",
      anonymous,
      "HEAD",
    ],
    { okCodes: [0, 1, 2, 128], timeoutMs: 10_000, env: { GIT_ASKPASS: "", SSH_ASKPASS: "" } },
  );
  if (code !== 0) return;
  throw new ConvosyncError("public-repository", Exit.stopped, "anyone can read this repository", [
    "what is pushed stays public for ever, if only as ciphertext; if you accept that: git convosync init --public",
  ]);
}
