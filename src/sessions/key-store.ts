import { getFips } from "node:crypto";
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { Device } from "../crypto/device.ts";
import type { KeyringFiles } from "../crypto/keyring.ts";
import type { Mark } from "../domains/head.ts";
import type { Marks } from "../domains/replica-heads.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { makeFolder } from "../make-folder.ts";
import { xdgDirectory } from "../user-directories.ts";
import { readIfPresent, withLock, writeAtomic } from "./files.ts";

/**
 * What this device keeps outside any repository (security.md): its keys, what it remembers of every vault and
 * replica, and a copy of each vault's keyring for the next repository. Directory 0700, files 0600.
 *
 * `device.txt` may come from the environment instead: CONVOSYNC_IDENTITY (its contents),
 * CONVOSYNC_IDENTITY_FILE (its path), CONVOSYNC_IDENTITY_CMD (a command that prints it).
 */

const mark = v.pipe(v.tuple([v.number(), v.string()]), v.readonly());
const stateSchema = v.object({
  v: v.literal(1),
  vaults: v.record(v.string(), v.object({ genesis: v.string(), kr: mark })),
  repos: v.record(
    v.string(),
    v.object({
      vault: v.string(),
      heads: v.record(v.string(), v.object({ seq: v.number(), hash: v.string(), device: v.string() })),
      /** Replicas of which a remote that was reset has not all → up to which `seq` of theirs. */
      incomplete: v.optional(v.record(v.string(), v.number())),
      clones: v.array(
        v.object({
          replica: v.string(),
          dir: v.string(),
          dev: v.number(),
          ino: v.number(),
          born: v.number(),
        }),
      ),
    }),
  ),
});

export type DeviceState = v.InferOutput<typeof stateSchema>;
export type RepoState = DeviceState["repos"][string];
export type CloneIdentity = {
  readonly dir: string;
  readonly dev: number;
  readonly ino: number;
  readonly born: number;
};

const emptyState = (): DeviceState => ({ v: 1, vaults: {}, repos: {} });

export class KeyStore {
  readonly dir: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
    this.dir = configDir(env);
  }

  get devicePath(): string {
    return join(this.dir, "device.txt");
  }

  /** This device's keys, or null when it has none yet. Refuses a key file that others can read. */
  async device(): Promise<Device | null> {
    // One that is bound to FIPS 140, as a distribution's is when its system is, and Electron's, which has BoringSSL.
    const mayLack = getFips() === 1 || process.versions["electron"] !== undefined;
    if (mayLack) (await import("./cryptography.ts")).requireCryptography();
    const { parseDevice } = await import("../crypto/device.ts");
    const given = await this.#fromEnvironment();
    if (given !== null) return parseDevice(given);
    const text = readPrivate(this.#env["CONVOSYNC_IDENTITY_FILE"] ?? this.devicePath);
    if (text === null && this.#env["CONVOSYNC_IDENTITY_FILE"]) {
      throw new ConvosyncError(
        "no-key",
        Exit.noKey,
        "the file that CONVOSYNC_IDENTITY_FILE names does not exist",
      );
    }
    return text === null ? null : parseDevice(text);
  }

  /** Keeps the device's keys: a new device never overwrites another one's file. */
  async saveDevice(device: Device): Promise<void> {
    const before = await this.device();
    if (before && before.id !== device.id) {
      throw new ConvosyncError(
        "device-exists",
        Exit.failed,
        `this device has keys already, in ${this.devicePath}`,
      );
    }
    const { formatDevice } = await import("../crypto/device.ts");
    await writeAtomic(this.devicePath, formatDevice(device));
    // Before anything is made with keys that the next command would refuse: not every disk keeps permissions.
    readPrivate(this.devicePath);
  }

  /** The replica id of a clone, by its git directory; null when it has not written anything yet. */
  async replica(repo: string, commonDir: string, here = cloneIdentity(commonDir)): Promise<string | null> {
    const clones = (await this.state()).repos[repo]?.clones ?? [];
    const stamped = here.born > 0 ? null : await stampOf(commonDir);
    const known = clones.find((one) => one.replica === stamped && one.dir === here.dir);
    return (known ?? clones.find((one) => isSameClone(one, here)))?.replica ?? null;
  }

  /** The same, while it is not known which repository it is. */
  async replicas(commonDir: string): Promise<string[]> {
    const here = cloneIdentity(commonDir);
    const clones = Object.values((await this.state()).repos).flatMap((repo) => repo.clones);
    return clones.filter((one) => isSameClone(one, here)).map(({ replica }) => replica);
  }

  /** Throws the system's error where the state could not be changed: before anything is done that this would leave half done. */
  requireWritable(): void {
    if (existsSync(this.dir)) accessSync(this.dir, constants.W_OK);
  }

  async state(): Promise<DeviceState> {
    const bytes = await readIfPresent(this.#statePath);
    if (!bytes) return emptyState();
    try {
      return v.parse(stateSchema, JSON.parse(bytes.toString("utf8")));
    } catch (cause) {
      // Starting afresh would silently forget what protects against rollback.
      throw new ConvosyncError(
        "damaged-state",
        Exit.failed,
        `${this.#statePath} is damaged`,
        ["restore it from a backup", "or remove it: what it remembers against rollbacks is learnt anew"],
        cause,
      );
    }
  }

  /** Changes the state under a lock. Marks only ever rise: of two processes the one that saw more wins. */
  async update(change: (state: DeviceState) => void): Promise<void> {
    makeFolder(this.dir, 0o700);
    await withLock(join(this.dir, "state.lock"), 10_000, async () => {
      const state = await this.state();
      change(state);
      await writeAtomic(this.#statePath, `${JSON.stringify(state, null, 1)}\n`);
    });
  }

  async rememberHeads(repo: string, vault: string, marks: Marks): Promise<void> {
    const known = (await this.state()).repos[repo]?.heads ?? {};
    if (Object.entries(marks).every(([replica, one]) => known[replica]?.hash === one.hash)) return;
    await this.update((state) => {
      const heads = repoState(state, repo, vault).heads;
      for (const [replica, one] of Object.entries(marks)) {
        if ((heads[replica]?.seq ?? -1) <= one.seq) heads[replica] = { ...one };
      }
    });
  }

  /** @param instead hash of the last line of the keyring that this one has taken in, if it is another history of it */
  async rememberKeyring(vault: string, genesis: string, kr: Mark, instead?: string): Promise<void> {
    const known = (await this.state()).vaults[vault];
    if (known?.kr[1] === kr[1]) return;
    await this.update((state) => {
      const before = state.vaults[vault];
      if (!before || before.kr[0] <= kr[0] || before.kr[1] === instead) state.vaults[vault] = { genesis, kr };
    });
  }

  /** The copy of a vault's keyring that the next repository starts from. */
  async keyringCopy(ref: string): Promise<KeyringFiles | null> {
    const [genesis, vault, log, recovery] = await Promise.all(
      keyringNames.map((name) => readIfPresent(join(this.dir, "vault", ref, name))),
    );
    return genesis && vault && log && recovery ? { genesis, vault, log, recovery } : null;
  }

  async saveKeyringCopy(ref: string, files: KeyringFiles): Promise<void> {
    const parts = [files.genesis, files.vault, files.log, files.recovery];
    for (const [index, name] of keyringNames.entries()) {
      const path = join(this.dir, "vault", ref, name);
      const before = await readIfPresent(path);
      if (!before?.equals(parts[index]!)) await writeAtomic(path, parts[index]!);
    }
  }

  get #statePath(): string {
    return join(this.dir, "state.json");
  }

  async #fromEnvironment(): Promise<string | null> {
    const contents = this.#env["CONVOSYNC_IDENTITY"];
    if (contents) return contents;
    const command = this.#env["CONVOSYNC_IDENTITY_CMD"];
    if (!command) return null;
    const { execa } = await import("execa");
    try {
      const options = {
        shell: true,
        env: this.#env,
        extendEnv: false,
        timeout: 60_000,
        stdin: "ignore",
      } as const;
      return (await execa(command, options)).stdout;
    } catch (cause) {
      throw new ConvosyncError(
        "no-key",
        Exit.noKey,
        "the command in CONVOSYNC_IDENTITY_CMD failed",
        [],
        cause,
      );
    }
  }
}

/** Names of the keyring's files, in its tree and in the copy beside the keys. */
export const keyringNames = ["genesis", "vault.age", "log.age", "recovery.age"] as const;

export function repoState(state: DeviceState, repo: string, vault: string): RepoState {
  state.repos[repo] ??= { vault, heads: {}, clones: [] };
  return state.repos[repo];
}

function configDir(env: NodeJS.ProcessEnv): string {
  if (process.platform === "win32" && env["APPDATA"]) return join(env["APPDATA"], "convosync");
  return join(xdgDirectory(env, "XDG_CONFIG_HOME", ".config"), "convosync");
}

/** Reads a secret file, refusing it when group or others may read it. Null when it does not exist. */
function readPrivate(path: string): string | null {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  try {
    const info = fstatSync(file);
    if (process.platform !== "win32" && (info.mode & 0o077) !== 0) {
      throw new ConvosyncError("key-exposed", Exit.noKey, `others can read the key file ${path}`, [
        `make it yours alone: chmod 600 '${path}'`,
        "where the disk keeps no permissions, have your keys on another: XDG_CONFIG_HOME",
      ]);
    }
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}

/**
 * Whether both are one directory. One that was moved on its disk is; and so is one whose disk has another number since
 * the system started again, as those of btrfs, ZFS and networks get, or whose directories have, as behind FUSE. A copy
 * is not, as it was born later.
 */
export function isSameClone(one: CloneIdentity, other: CloneIdentity): boolean {
  if (one.born !== other.born) return false;
  const sameInode = one.ino === other.ino;
  // Where the system does not tell when a directory was made, all were made at once.
  const inPlace = one.dir === other.dir && (sameInode || one.born > 0);
  return inPlace || (sameInode && one.dev === other.dev);
}

const stampPath = (commonDir: string): string => join(commonDir, "convosync", "replica");

/**
 * Has a clone say itself which it is where the system tells neither when a directory was made nor, from one mount to the next,
 * which it is (sshfs, folders that a virtual machine shares): else it would be another clone each time. A copy says the
 * same, from another place.
 */
export async function stamp(commonDir: string, { born }: CloneIdentity, replica: string): Promise<void> {
  if (born === 0) await writeAtomic(stampPath(commonDir), replica);
}

const stampOf = async (commonDir: string): Promise<string | null> =>
  (await readIfPresent(stampPath(commonDir)).catch(() => null))?.toString("latin1") ?? null;

/** What tells one clone from another: where it lies, and which directory on which disk that is. */
export function cloneIdentity(commonDir: string): CloneIdentity {
  const info = statSync(commonDir);
  // Where the system does not tell it is 1970, or a moment before.
  const born = Math.max(0, Math.floor(info.birthtimeMs));
  return { dir: commonDir, dev: info.dev, ino: info.ino, born };
}
