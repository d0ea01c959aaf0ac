import { basename, join } from "node:path";
import { homeOf } from "../agents/spellings.ts";
import { discover, type Git, type Repository, readConfig, repositoryGit } from "../git/git.ts";
import { openGitDatabase } from "../refs/git-database.ts";
import type { ObjectDatabase, Oid } from "../refs/object-database.ts";
import { withLock } from "./files.ts";
import { KeyStore } from "./key-store.ts";

/** All a use case knows of the machine it runs on. */
export interface World {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  now(): Date;
}

/** An opened repository with everything a use case needs; `close` ends the children it started. */
export interface Context {
  readonly world: World;
  readonly repo: Repository;
  readonly git: Git;
  readonly db: RememberingDatabase;
  readonly keys: KeyStore;
  readonly settings: Settings;
  /** Where this clone keeps its queue, cursors and locks: inside the common git directory, never pushed. */
  readonly cloneDir: string;
  /**
   * Where what holds conversations in the clear is kept (backups of replaced transcripts): in the user's state
   * directory, because a repository's folder is copied and handed on.
   */
  readonly stateDir: string;
  /** Where opened heads are kept, in the clear and for the same reason, so that reading them again costs nothing. */
  readonly cacheDir: string;
  close(): Promise<void>;
}

/** `git config convosync.*`; the environment variable CONVOSYNC_<NAME> wins over it. */
export class Settings {
  readonly #values: ReadonlyMap<string, readonly string[]>;
  readonly #env: NodeJS.ProcessEnv;

  constructor(values: ReadonlyMap<string, readonly string[]>, env: NodeJS.ProcessEnv) {
    this.#values = values;
    this.#env = env;
  }

  get(name: string): string | undefined {
    const variable = `CONVOSYNC_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
    return this.#env[variable] || this.#values.get(`convosync.${name.toLowerCase()}`)?.at(-1);
  }

  all(name: string): readonly string[] {
    return this.#values.get(`convosync.${name.toLowerCase()}`) ?? [];
  }
}

export async function openRepository(world: World): Promise<Context> {
  const repo = await discover(world.cwd, world.env);
  const git = repositoryGit(repo, world.env);
  const settings = new Settings(await readConfig(git, "^convosync\\."), world.env);
  const db = remembering(openGitDatabase(git, repo));
  return {
    world,
    repo,
    git,
    db,
    keys: new KeyStore(world.env),
    settings,
    cloneDir: join(repo.commonDir, "convosync"),
    stateDir: userStateDir(world.env),
    cacheDir: userDirectory(world.env, "XDG_CACHE_HOME", ".cache"),
    close: () => db.close(),
  };
}

/** A database that asks for our own refs once, until it moves one itself. */
export interface RememberingDatabase extends ObjectDatabase {
  /** Others may have moved refs. */
  forgetRefs(): void;
}

const ownRefs = "refs/convosync/";

function remembering(db: ObjectDatabase): RememberingDatabase {
  let known: Promise<ReadonlyMap<string, Oid>> | null = null;
  return {
    ...db,
    forgetRefs: () => {
      known = null;
    },
    async refs(prefix) {
      if (!prefix.startsWith(ownRefs)) return db.refs(prefix);
      known ??= db.refs(ownRefs);
      const below = (ref: string): boolean =>
        prefix.endsWith("/") ? ref.startsWith(prefix) : ref === prefix;
      return new Map([...(await known)].filter(([ref]) => below(ref)));
    },
    async update(updates) {
      known = null;
      await db.update(updates);
      known = null;
    },
  };
}

/** Runs `work` on the repository around `world.cwd` and closes it again, whatever happens. */
export async function withRepository<T>(world: World, work: (context: Context) => Promise<T>): Promise<T> {
  const context = await openRepository(world);
  try {
    return await work(context);
  } finally {
    await context.close();
  }
}

const lockPatienceMs = 60_000;

/**
 * Runs `work` as the only one that changes this clone's refs, queue and cursors. What it goes by, the vault first
 * of all, must be read inside: another process may have moved it while this one waited.
 */
export function withCloneLock<T>(context: Context, work: () => Promise<T>): Promise<T> {
  return withLock(join(context.cloneDir, "lock"), lockPatienceMs, () => {
    context.db.forgetRefs();
    return work();
  });
}

/** Where what is not of one repository, and may be lost without harm, is kept. */
export const userStateDir = (env: NodeJS.ProcessEnv): string =>
  userDirectory(env, "XDG_STATE_HOME", ".local/state");

function userDirectory(env: NodeJS.ProcessEnv, variable: string, usual: string): string {
  if (process.platform === "win32" && env["LOCALAPPDATA"])
    return join(env["LOCALAPPDATA"], "convosync", basename(usual));
  return join(env[variable] || join(homeOf(env), usual), "convosync");
}
