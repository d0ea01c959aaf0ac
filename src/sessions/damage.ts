import { existsSync } from "node:fs";
import { lstat, readdir, readFile, rm } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { ConvosyncError } from "../errors.ts";
import { olderThan } from "../leftovers.ts";
import { lostObjects, unreadable } from "../refs/lost-objects.ts";
import { parseRef } from "../refs/names.ts";
import { isOid } from "../refs/object-database.ts";
import { currentBranch, findRemote } from "./chosen-remote.ts";
import { abandoned } from "./files.ts";
import { fetchLost, lostRefs } from "./lost-objects.ts";
import { remoteQueue, updateQueue } from "./queue.ts";
import { dropIncoming } from "./remote.ts";
import { type Context, withCloneLock } from "./repository.ts";

/**
 * What a crash of the machine can leave below our refs, and what it does to the user: a ref of no bytes, or one whose
 * commit is not there, breaks their `git fetch` and `git gc`; so does an object of no bytes.
 */
export type Repair =
  | { readonly kind: "lock"; readonly path: string }
  /** A ref's file that holds no object name. */
  | { readonly kind: "ref-file"; readonly ref: string; readonly path: string }
  /** A ref whose commit is not there. */
  | { readonly kind: "ref-target"; readonly ref: string; readonly oid: string }
  | { readonly kind: "object"; readonly path: string }
  /** Objects that refs of ours reach and that are not there. */
  | { readonly kind: "lost" }
  | { readonly kind: "incoming" };

export interface Damage {
  readonly repair: Repair;
  readonly what: string;
  /** It is in the way of the user's own git, or of ours. */
  readonly serious: boolean;
}

const namespaces = ["refs/convosync", "refs/convosync-incoming"];

export async function findDamage(context: Context): Promise<Damage[]> {
  const found: Damage[] = [];
  const broken = new Set<string>();
  for (const { ref, path } of await looseRefs(context)) {
    if (path.endsWith(".lock")) {
      if (olderThan(path, staleLockMs))
        found.push({ repair: { kind: "lock", path }, what: `a lock was left on ${ref}`, serious: true });
      continue;
    }
    if (isOid((await readFile(path, "utf8")).trim())) continue;
    broken.add(ref);
    const what = `${ref} was left empty by a crash; it breaks git fetch and git gc`;
    found.push({ repair: { kind: "ref-file", ref, path }, what, serious: true });
  }
  const refs = await allRefs(context);
  const missing = await missingObjects(context, [...new Set(refs.values())]);
  for (const [ref, oid] of refs) {
    if (broken.has(ref) || !missing.has(oid)) continue;
    const what = `${ref} names a commit that cannot be read; it breaks git gc`;
    found.push({ repair: { kind: "ref-target", ref, oid }, what, serious: true });
  }
  const whole = [...refs].filter(([ref, oid]) => !broken.has(ref) && !missing.has(oid));
  const lost = await lostObjects(
    context.git,
    whole.map(([, oid]) => oid),
  );
  if (lost.size > 0) {
    const objects = lost.size === 1 ? "an object" : `${lost.size} objects`;
    const what = `${objects} of the conversations cannot be read; that breaks resume and git gc`;
    found.push({ repair: { kind: "lost" }, what, serious: true });
  }
  const remote = await theRemote(context);
  const away = remote ? [...(await lostRefs(context, remote, refs)).keys()] : [];
  const gone = away.filter((ref) => !broken.has(ref)).length;
  if (gone > 0) {
    const what = `${gone === 1 ? "a session" : `${gone} sessions`} of this clone's lost the ref that held ${gone === 1 ? "it" : "them"}`;
    found.push({ repair: { kind: "lost" }, what, serious: true });
  }
  for (const path of await emptyObjects(context)) {
    const what = `${path} was left empty by a crash; it breaks git gc`;
    found.push({ repair: { kind: "object", path }, what, serious: true });
  }
  const incoming = [...refs.keys()].filter((ref) => ref.startsWith("refs/convosync-incoming/")).length;
  if (incoming > 0) {
    const what = `${incoming} fetched ${incoming === 1 ? "ref" : "refs"} were left unexamined`;
    found.push({ repair: { kind: "incoming" }, what, serious: false });
  }
  return found;
}

const staleLockMs = 10 * 60_000;

/** Files below our namespaces, as the files backend keeps refs; a reftable has none. */
async function looseRefs(context: Context): Promise<{ ref: string; path: string }[]> {
  const { commonDir } = context.repo;
  const found: { ref: string; path: string }[] = [];
  for (const namespace of namespaces) {
    const root = join(commonDir, namespace);
    if (!existsSync(root)) continue;
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      found.push({ ref: relative(commonDir, path).split(sep).join("/"), path });
    }
  }
  return found;
}

/** Every ref of ours, without a look at what it names; git leaves out, with a warning, those it cannot read. */
async function allRefs(context: Context): Promise<Map<string, string>> {
  const lines = await context.git.text(["for-each-ref", "--format=%(objectname) %(refname)", ...namespaces]);
  return new Map(
    lines
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => [line.slice(line.indexOf(" ") + 1), line.slice(0, line.indexOf(" "))]),
  );
}

const missingObjects = async (context: Context, oids: readonly string[]): Promise<Set<string>> =>
  new Set(oids.length > 0 ? await unreadable(context.git, oids) : []);

/** Loose objects of no bytes, whosever they are: none can be right, and git takes each for corruption. */
async function emptyObjects(context: Context): Promise<string[]> {
  const root = join(context.repo.commonDir, "objects");
  const found: string[] = [];
  for (const folder of await readdir(root).catch(() => [])) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue;
    for (const name of await readdir(join(root, folder)).catch(() => [])) {
      const path = join(root, folder, name);
      if (!/^[0-9a-f]{38}(?:[0-9a-f]{24})?$/.test(name)) continue;
      if ((await lstat(path).catch(() => null))?.size === 0) found.push(path);
    }
  }
  return found;
}

/**
 * Mends one after the other. Nothing that holds a byte of anything is removed: an empty file tells nothing, and a ref
 * without its commit gives way to what the remote confirmed last, or to what the next sync fetches.
 */
export async function repairDamage(context: Context, repairs: readonly Repair[]): Promise<string[]> {
  const done: string[] = [];
  for (const repair of repairs) {
    if (repair.kind !== "lock") continue;
    const own = !repair.path.includes(`${sep}refs${sep}`);
    if (own && !abandoned(repair.path)) continue;
    await rm(repair.path, { force: true });
    done.push(`removed ${repair.path}`);
  }
  await withCloneLock(context, async () => {
    // Empty objects first: a ref is judged by whether its commit is there.
    for (const repair of repairs) {
      if (repair.kind !== "object") continue;
      if ((await lstat(repair.path).catch(() => null))?.size !== 0) continue;
      await rm(repair.path, { force: true });
      done.push(`removed the empty object ${repair.path}`);
    }
    for (const repair of repairs)
      if (repair.kind === "ref-file") done.push(await dropRefFile(context, repair.ref, repair.path));
    if (repairs.some(({ kind }) => kind === "lost" || kind === "object" || kind === "ref-target"))
      done.push(...(await fetchAgain(context)));
    const missing = await missingObjects(
      context,
      repairs.flatMap((one) => (one.kind === "ref-target" ? [one.oid] : [])),
    );
    for (const repair of repairs) {
      if (repair.kind === "ref-target" && missing.has(repair.oid)) {
        const there = (await context.db.refs(repair.ref)).get(repair.ref) ?? null;
        if (there) await context.db.update([{ ref: repair.ref, from: there, to: null }]);
        done.push(await putBack(context, repair.ref));
      }
      if (repair.kind === "incoming") {
        await dropIncoming(context, "refs/convosync-incoming/");
        done.push("removed what was fetched and left unexamined");
      }
    }
    await dropStillMissing(context, done);
  });
  return done;
}

const theRemote = async (context: Context) =>
  findRemote(context, await currentBranch(context)).catch(() => null);

/** Fetches what the remote has of what is lost here. */
async function fetchAgain(context: Context): Promise<string[]> {
  const remote = await theRemote(context);
  if (!remote) return [];
  try {
    const { back, letGo } = await fetchLost(context, remote);
    return [
      ...(back > 0 ? [`fetched ${back === 1 ? "an object" : `${back} objects`} again`] : []),
      ...letGo.map((ref) =>
        parseRef(ref)?.kind === "session"
          ? `removed ${ref}, of which something is lost for good; what its agent has is saved anew: git convosync save --all-sessions`
          : `${ref} is broken, and the remote does not have what it lacks`,
      ),
    ];
  } catch (error) {
    if (!(error instanceof ConvosyncError) || error.code !== "remote-unreachable") throw error;
    return [`${error.message}: what is lost may still be there; try again when it can be reached`];
  }
}

async function dropRefFile(context: Context, ref: string, path: string): Promise<string> {
  if (isOid((await readFile(path, "utf8").catch(() => "")).trim())) return `${ref} is whole again`;
  await rm(path, { force: true });
  context.db.forgetRefs();
  return putBack(context, ref);
}

/** Refs whose commit was one of the empty objects that have just been removed. */
async function dropStillMissing(context: Context, done: string[]): Promise<void> {
  const refs = await allRefs(context);
  const missing = await missingObjects(context, [...new Set(refs.values())]);
  for (const [ref, oid] of refs) {
    if (!missing.has(oid)) continue;
    await context.db.update([{ ref, from: oid, to: null }]);
    done.push(await putBack(context, ref));
  }
}

/** Gives a ref of ours the value the remote confirmed last, if its commit is here. */
async function putBack(context: Context, ref: string): Promise<string> {
  const remote = await theRemote(context);
  const confirmed = remote ? (await remoteQueue(context, remote.key)).confirmed[ref] : undefined;
  const there = (await context.db.refs(ref)).get(ref);
  if (there && !(await missingObjects(context, [there])).has(there))
    return `${ref} has its packed value again`;
  if (there || !parseRef(ref)) return `removed ${ref}`;
  if (confirmed && !(await missingObjects(context, [confirmed])).has(confirmed)) {
    await context.db.update([{ ref, from: null, to: confirmed }]);
    return `${ref} has the value again that the remote confirmed`;
  }
  // By what the remote has of a session it is fetched again, or replaced.
  if (remote && parseRef(ref)?.kind !== "session")
    await updateQueue(context, remote.key, (queue) => {
      delete queue.confirmed[ref];
    });
  return `removed ${ref}; git convosync sync brings it back if the remote has it`;
}
