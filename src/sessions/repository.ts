import { join } from "node:path";
import { type Config, configAround, discover, type Git, type Repository, repositoryGit } from "../git/git.ts";
import { openGitDatabase } from "../refs/git-database.ts";
import { INCOMING, OWN } from "../refs/names.ts";
import type { ObjectDatabase, Oid } from "../refs/object-database.ts";
import { userCacheDir, userStateDir } from "../user-directories.ts";
import { remoteSettings } from "../worktree/remotes.ts";
import { Chores } from "./chores.ts";
import { neverMake, withLock } from "./files.ts";
import { KeyStore } from "./key-store.ts";
import { isOn, variableOf } from "./settings.ts";

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
  /** git's settings about remotes, and ours, as they were when the repository was opened. */
  readonly config: Config;
  /** Where this clone keeps its queue, cursors and locks: inside the common git directory, never pushed. */
  readonly cloneDir: string;
  /**
   * Where what holds conversations in the clear is kept (backups of replaced transcripts): in the user's state
   * directory, because a repository's folder is copied and handed on.
   */
  readonly stateDir: string;
  /** Where opened heads are kept, in the clear and for the same reason, so that reading them again costs nothing. */
  readonly cacheDir: string;
  readonly chores: Chores;
  close(): Promise<void>;
}

/** `git config convosync.*`; the environment variable CONVOSYNC_<NAME> wins over it. */
export class Settings {
  readonly #values: Config;
  readonly #env: NodeJS.ProcessEnv;

  constructor(values: Config, env: NodeJS.ProcessEnv) {
    this.#values = values;
    this.#env = env;
  }

  get(name: string): string | undefined {
    return this.#env[variableOf(name)] || this.#values.get(`convosync.${name.toLowerCase()}`)?.at(-1);
  }

  /** Whether a flag is on, in any of git's words for it; `otherwise` where it is not set. */
  flag(name: string, otherwise = false): boolean {
    const value = this.get(name);
    return value === undefined ? otherwise : isOn(value);
  }

  all(name: string): readonly string[] {
    return this.#values.get(`convosync.${name.toLowerCase()}`) ?? [];
  }
}

/** `prepare` is called while git looks for the repository. */
export async function openRepository(world: World, prepare?: () => void): Promise<Context> {
  const discovering = discover(world.cwd, world.env);
  const reading = configAround(
    world.cwd,
    world.env,
    `^(convosync\\.|status\\.showuntrackedfiles$|${remoteSettings})`,
  );
  // Where there is no repository, that is what is wrong.
  reading.catch(() => undefined);
  prepare?.();
  const repo = await discovering;
  neverMake(repo.commonDir);
  const chores = new Chores();
  const git = repositoryGit(repo, world.env, () => void chores.do());
  const config = await reading;
  const db = remembering(openGitDatabase(git, repo));
  return {
    world,
    repo,
    git,
    db,
    keys: new KeyStore(world.env),
    settings: new Settings(config, world.env),
    config,
    cloneDir: join(repo.commonDir, "convosync"),
    stateDir: userStateDir(world.env),
    cacheDir: userCacheDir(world.env),
    chores,
    close: async () => {
      await chores.do();
      await db.close();
    },
  };
}

/** A database that asks for our own refs once; when it moves one itself it knows where that is. */
export interface RememberingDatabase extends ObjectDatabase {
  /** Others may have moved refs; a fetch, those in quarantine alone. */
  forgetRefs(which?: "incoming"): void;
}

const namespaceOf = (ref: string): string | undefined =>
  [OWN, INCOMING].find((namespace) => ref.startsWith(namespace));

function remembering(db: ObjectDatabase): RememberingDatabase {
  const known = new Map<string, Promise<ReadonlyMap<string, Oid>>>();

  /** Both are asked for at once while neither is known. */
  function load(namespace: string): Promise<ReadonlyMap<string, Oid>> {
    const missing = [OWN, INCOMING].filter((one) => !known.has(one));
    if (missing.includes(namespace)) {
      const all = db.refs(...missing);
      for (const one of missing) {
        const refs = all.then((found) => new Map([...found].filter(([ref]) => ref.startsWith(one))));
        refs.catch(() => undefined);
        known.set(one, refs);
      }
    }
    return known.get(namespace)!;
  }

  return {
    ...db,
    forgetRefs: (which) => {
      if (which === undefined) known.delete(OWN);
      known.delete(INCOMING);
    },
    async refs(...prefixes) {
      const namespaces = prefixes.map(namespaceOf);
      if (namespaces.includes(undefined)) return db.refs(...prefixes);
      const wanted = (ref: string): boolean =>
        prefixes.some((prefix) => (prefix.endsWith("/") ? ref.startsWith(prefix) : ref === prefix));
      const found = await Promise.all([...new Set(namespaces)].map((one) => load(one!)));
      return new Map(found.flatMap((refs) => [...refs]).filter(([ref]) => wanted(ref)));
    },
    async update(updates) {
      const before = [...known];
      known.clear();
      await db.update(updates);
      for (const [namespace, loading] of before) {
        const refs = new Map(await loading);
        for (const { ref, to } of updates) {
          if (to === null) refs.delete(ref);
          else if (namespaceOf(ref) === namespace) refs.set(ref, to);
        }
        known.set(namespace, Promise.resolve(refs));
      }
    },
  };
}

/** Runs `work` on the repository around `world.cwd` and closes it again, whatever happens. */
export async function withRepository<T>(
  world: World,
  work: (context: Context) => Promise<T>,
  prepare?: () => void,
): Promise<T> {
  const context = await openRepository(world, prepare);
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
  return withLock(join(context.cloneDir, "lock"), lockPatienceMs, async (abandoned) => {
    context.db.forgetRefs();
    if (abandoned) await (await import("./after-crash.ts")).recover(context);
    try {
      return await work();
    } finally {
      await context.chores.do();
    }
  });
}
