import { join } from "node:path";
import * as v from "valibot";
import { vaultPrefix } from "../refs/names.ts";
import type { CatalogEntry, Heads } from "./catalog.ts";
import { currentBranch } from "./chosen-remote.ts";
import { readState, withLock, writeAtomic } from "./files.ts";
import type { Context } from "./repository.ts";

/**
 * What commands did in this clone that a person may regret, the newest last, so that `undo` can take it back. Of what
 * was deleted it holds names of objects and no refs: once git has pruned them they are gone, and nothing here says what
 * they were about.
 */
const common = { n: v.number(), at: v.string(), undone: v.nullable(v.string()) };
const oids = v.array(v.tuple([v.string(), v.string()]));

const deletion = v.object({
  ...common,
  kind: v.picklist(["delete", "retention"]),
  /** `<agent>:<id>` */
  sessions: v.array(v.string()),
  /** All replicas' heads as they were: replica and commit. */
  heads: oids,
  /** The sessions' own refs as they were. */
  refs: oids,
});
const pin = v.object({
  ...common,
  kind: v.literal("pin"),
  sessions: v.array(v.string()),
  pinned: v.boolean(),
});
const place = v.object({ branch: v.nullable(v.string()), commit: v.nullable(v.string()) });
const resume = v.object({
  ...common,
  kind: v.literal("resume"),
  session: v.string(),
  before: place,
  after: place,
  /** The session's branch before: the commit it was at, null when it was made. */
  branch: v.nullable(v.object({ name: v.string(), from: v.nullable(v.string()) })),
  /** Files that were written: bytes of what was there, null for nothing; where a copy of that is kept; what is there now. */
  files: v.array(
    v.object({
      path: v.string(),
      before: v.nullable(v.number()),
      backup: v.nullable(v.string()),
      size: v.number(),
      mtimeMs: v.number(),
    }),
  ),
});
const save = v.object({
  ...common,
  kind: v.literal("save"),
  branch: v.nullable(v.string()),
  commit: v.string(),
  parent: v.nullable(v.string()),
});

const operation = v.variant("kind", [deletion, pin, resume, save]);
const logSchema = v.object({ v: v.literal(1), next: v.number(), operations: v.array(operation) });

export type Operation = v.InferOutput<typeof operation>;
export type DeletionOperation = v.InferOutput<typeof deletion>;
export type ResumeOperation = v.InferOutput<typeof resume>;
export type SaveOperation = v.InferOutput<typeof save>;
export type Place = v.InferOutput<typeof place>;

/** Without what every operation has. */
type Noted<O> = O extends Operation ? Omit<O, "n" | "at" | "undone"> : never;

const keptOperations = 50;

const path = (context: Context): string => join(context.cloneDir, "operations.json");

type Log = v.InferOutput<typeof logSchema>;

async function readLog(context: Context): Promise<Log> {
  return (await readState(path(context), logSchema)) ?? { v: 1, next: 1, operations: [] };
}

/** What was done, the newest last. */
export async function operations(context: Context): Promise<readonly Operation[]> {
  return (await readLog(context)).operations;
}

function changeLog(context: Context, change: (log: Log) => void): Promise<void> {
  return withLock(join(context.cloneDir, "operations.lock"), 10_000, async () => {
    const log = await readLog(context);
    change(log);
    await writeAtomic(path(context), JSON.stringify(log));
  });
}

export function note(context: Context, what: Noted<Operation>): Promise<void> {
  return changeLog(context, (log) => {
    const made = { ...what, n: log.next++, at: context.world.now().toISOString(), undone: null };
    log.operations = [...log.operations, made as Operation].slice(-keptOperations);
  });
}

export function markUndone(context: Context, n: number): Promise<void> {
  return changeLog(context, (log) => {
    const one = log.operations.find((it) => it.n === n);
    if (one) one.undone = context.world.now().toISOString();
  });
}

/** Writes down, before it happens, what is needed to bring deleted sessions back. */
export async function noteDeletion(
  context: Context,
  vault: { readonly ref: string },
  heads: Heads,
  sessions: readonly CatalogEntry[],
  kind: DeletionOperation["kind"],
): Promise<void> {
  const local = await context.db.refs(vaultPrefix(vault.ref));
  const refs = sessions.flatMap((one) =>
    one.copies.flatMap(({ ref, entry }): [string, string][] => {
      const oid = local.get(ref);
      return oid && !entry.a ? [[ref, oid]] : [];
    }),
  );
  const replicas = new Set(sessions.flatMap((one) => one.copies.map((copy) => copy.replica)));
  await note(context, {
    kind,
    sessions: sessions.map((one) => one.key),
    heads: heads.all.filter((one) => replicas.has(one.replica)).map((one) => [one.replica, one.commit]),
    refs,
  });
}

/** Where the work tree stands. */
export async function whereabouts(context: Context): Promise<Place> {
  const [branch, { code, stdout }] = await Promise.all([
    currentBranch(context),
    context.git.run(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], { okCodes: [0, 1, 128] }),
  ]);
  return { branch, commit: code === 0 ? stdout.toString().trim() : null };
}
