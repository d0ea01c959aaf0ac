import { lstatSync } from "node:fs";
import { lstat, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Inventory } from "../agents/agent.ts";
import { identify, RestoreFile } from "../agents/local-files.ts";
import { isAgentName, loadAgent } from "../agents/registry.ts";
import { storeAround } from "../agents/spellings.ts";
import { sessionDir } from "../crypto/names.ts";
import { type Entry, lastUse, type Tombstone } from "../domains/head.ts";
import { proveSession, readSession, type StoredSession } from "../domains/reader.ts";
import { readHead } from "../domains/replica-heads.ts";
import { sealManifest } from "../domains/writer.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { formatRef, parseRef, vaultPrefix } from "../refs/names.ts";
import type { NewCommit, NewFile } from "../refs/object-database.ts";
import { checkoutDetached, switchTo } from "../worktree/branches.ts";
import { checkResume } from "../worktree/safety.ts";
import { catalog, refOf, tombstonesOf } from "./catalog.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import { lookAtCode } from "./code-here.ts";
import { forgetCursor } from "./cursor.ts";
import { deliver } from "./deliver.ts";
import { withFreshHeads } from "./fresh-heads.ts";
import { writeIndex } from "./index-writer.ts";
import {
  type DeletionOperation,
  markUndone,
  type Operation,
  operations,
  type ResumeOperation,
  type SaveOperation,
  whereabouts,
} from "./operations.ts";
import { pinSessions } from "./pins.ts";
import type { PublishResult } from "./publish.ts";
import { allQueues, updateQueue } from "./queue.ts";
import { publishSettled } from "./replica.ts";
import { type Context, withCloneLock } from "./repository.ts";
import { type OpenVault, ownReplica } from "./vault.ts";
import { tipsOf } from "./versions.ts";
import { findSession, openWorkplace } from "./workplace.ts";

/** What an undo did, one thing after the other. */
export type UndoEvent =
  /** `left`: versions that hold more than what came back, or something else, and did not. */
  | { readonly step: "session"; readonly id: string; readonly left: number }
  /** Its objects are gone, or it is there already. */
  | { readonly step: "not-session"; readonly id: string; readonly why: string }
  | { readonly step: "pin"; readonly id: string; readonly pinned: boolean }
  | { readonly step: "uncommitted"; readonly commit: string; readonly branch: string | null }
  | { readonly step: "switched"; readonly to: string }
  | { readonly step: "branch-removed" | "branch-moved"; readonly branch: string }
  | { readonly step: "file-removed" | "file-restored"; readonly path: string };

export interface UndoResult {
  readonly operation: Operation;
  readonly did: readonly UndoEvent[];
  readonly remote: ChosenRemote | null;
  readonly publish: PublishResult | null;
}

const refuse = (message: string, ...hints: string[]): ConvosyncError =>
  new ConvosyncError("cannot-undo", Exit.stopped, message, hints);

/** Takes back the last operation that was not, or the one with this number, where nothing can get lost by it. */
export async function undo(context: Context, n: number | null): Promise<UndoResult> {
  const all = await operations(context);
  const chosen = n === null ? all.findLast((one) => one.undone === null) : all.find((one) => one.n === n);
  if (!chosen) {
    throw n === null
      ? new ConvosyncError("nothing-to-undo", Exit.failed, "nothing was done here that could be undone")
      : new ConvosyncError("nothing-to-undo", Exit.failed, `there is no operation ${n}`, [
          "see them: git convosync undo --list",
        ]);
  }
  if (chosen.undone !== null) throw refuse(`operation ${chosen.n} was undone already`);
  const result = await take(context, chosen);
  await markUndone(context, chosen.n);
  return result;
}

async function take(context: Context, one: Operation): Promise<UndoResult> {
  switch (one.kind) {
    case "delete":
    case "retention":
      return bringBack(context, one);
    case "pin": {
      const {
        changed,
        remote,
        publish: sent,
      } = await pinSessions(context, one.sessions, !one.pinned, {
        note: false,
      });
      const did = changed.map(({ id }): UndoEvent => ({ step: "pin", id, pinned: !one.pinned }));
      return { operation: one, did, remote, publish: sent };
    }
    case "save":
      return withCloneLock(context, async () => alone(one, await uncommit(context, one)));
    case "resume":
      return withCloneLock(context, async () => alone(one, await goBack(context, one)));
  }
}

const alone = (operation: Operation, did: readonly UndoEvent[]): UndoResult => ({
  operation,
  did,
  remote: null,
  publish: null,
});

/** Takes a commit off its branch again: the index stays as it is, so that what it held is staged. */
async function uncommit(context: Context, one: SaveOperation): Promise<UndoEvent[]> {
  const here = await whereabouts(context);
  if (here.commit !== one.commit || here.branch !== one.branch)
    throw refuse(
      `the commit ${one.commit.slice(0, 7)} is not where ${one.branch ? `'${one.branch}'` : "HEAD"} is any more`,
      `take it back with git itself: git revert ${one.commit.slice(0, 12)}`,
    );
  const queues = await allQueues(context);
  const tracked = await context.git.text([
    "for-each-ref",
    "--count=1",
    "--contains",
    one.commit,
    "--format=%(refname:short)",
    "refs/remotes",
  ]);
  const isSent = queues.some(({ confirmed }) => confirmed[`refs/heads/${here.branch}`] === one.commit);
  if (tracked !== "" || isSent)
    throw refuse(
      `the commit ${one.commit.slice(0, 7)} was pushed; others may build on it`,
      `take it back with a commit of its own: git revert ${one.commit.slice(0, 12)}`,
    );
  const move = one.parent ? ["HEAD", one.parent, one.commit] : ["-d", "HEAD", one.commit];
  await context.git.run(["update-ref", "-m", "convosync: undo save", ...move]);
  return [{ step: "uncommitted", commit: one.commit, branch: one.branch }];
}

/** Back to the branch and commit before a resume, and the files as they were, if nothing has changed since. */
async function goBack(context: Context, one: ResumeOperation): Promise<UndoEvent[]> {
  const here = await whereabouts(context);
  const moved = one.before.branch !== one.after.branch || one.before.commit !== one.after.commit;
  if (moved && (here.branch !== one.after.branch || here.commit !== one.after.commit))
    throw refuse(
      "the code has moved on since that resume",
      `go back with git itself: git switch ${one.before.branch ?? `--detach ${one.before.commit}`}`,
    );
  if (moved) {
    const state = await lookAtCode(context);
    const stop = checkResume(state, { movesCode: true, headIsKept: true });
    if (stop) throw stop;
  }
  const agent = await agentOf(one.session);
  const place = await openWorkplace(context);
  const id = one.session.slice(one.session.indexOf(":") + 1);
  if (await agent.live(id, place))
    throw refuse(`${agent.title} has this conversation open`, "leave it first");
  // What an agent that keeps no files has gone on with since is seen in them only once they are brought up to it.
  const found = await findSession(agent, place, id);
  const cwd = found?.cwd ?? place.root;
  for (const file of one.files) await requireUnchanged(file);
  const main = one.files.find(({ path, before }) => path === found?.path && before === null);
  if (found && main) requireNothingAdded(await agent.inventory(found, place), main);
  const did: UndoEvent[] = [];
  if (moved) did.push(...(await codeBack(context, one)));
  const backupDir = join(context.stateDir, "backup", id);
  // The main transcript was put in place last and goes first, so that a halted undo leaves no session in parts.
  for (const file of [...one.files].reverse()) {
    if (file.before === null) await rm(file.path);
    else await putBack(file, storeAround(file.path, agent, place), backupDir);
    did.push({ step: file.before === null ? "file-removed" : "file-restored", path: file.path });
  }
  await deliver(agent, { id, cwd }, place);
  forgetCursor(context, one.session);
  return did;
}

type WrittenFile = ResumeOperation["files"][number];

async function agentOf(session: string) {
  const name = session.slice(0, session.indexOf(":"));
  if (!isAgentName(name)) throw refuse(`this version does not know the agent '${name}'`);
  return loadAgent(name);
}

async function requireUnchanged(file: WrittenFile): Promise<void> {
  const now = await lstat(file.path).catch(() => null);
  if (now?.isFile() && now.size === file.size && now.mtimeMs === file.mtimeMs) {
    if (file.backup === null || (await lstat(file.backup).catch(() => null))) return;
    throw refuse(`what was in ${file.path} before is no longer kept`);
  }
  throw refuse(
    `${file.path} has changed since that resume`,
    ...(file.backup ? [`what was there before is in ${file.backup}`] : []),
  );
}

/** A helper's talk that was begun since would be left without the conversation it belongs to. */
function requireNothingAdded({ streams }: Inventory, main: WrittenFile): void {
  const isNewer = (path: string): boolean =>
    (lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) > main.mtimeMs;
  const added = streams.find(({ path }) => isNewer(path));
  if (added) throw refuse(`${added.path} has changed since that resume`);
}

/** What was there before: its backup, or the beginning of what is there now, where that holds all of it. */
async function putBack(file: WrittenFile, store: string, backupDir: string): Promise<void> {
  const expect = await identify(file.path);
  const source = await open(file.backup ?? file.path, "r");
  try {
    const target = await RestoreFile.create(file.path, store);
    for (let at = 0; at < file.before!; ) {
      const { buffer, bytesRead } = await source.read(
        Buffer.alloc(Math.min(1 << 20, file.before! - at)),
        0,
        undefined,
        at,
      );
      if (bytesRead === 0) break;
      await target.write(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    await target.commit({ backupDir, expect });
  } finally {
    await source.close();
  }
}

async function codeBack(context: Context, one: ResumeOperation): Promise<UndoEvent[]> {
  const { before, after, branch } = one;
  const did: UndoEvent[] = [];
  const { git } = context;
  if (before.branch !== after.branch || before.branch === null) {
    if (before.branch) await switchTo(git, before.branch);
    else if (before.commit) await checkoutDetached(git, before.commit);
    did.push({ step: "switched", to: before.branch ?? before.commit!.slice(0, 7) });
    if (branch && after.commit && branch.name === after.branch) {
      const ref = `refs/heads/${branch.name}`;
      if (branch.from === null) {
        await git.run(["update-ref", "-m", "convosync: undo resume", "-d", ref, after.commit]);
        await git.run(["config", "--remove-section", `branch.${branch.name}`], { okCodes: "any" });
        did.push({ step: "branch-removed", branch: branch.name });
      } else if (branch.from !== after.commit) {
        await git.run(["update-ref", "-m", "convosync: undo resume", ref, branch.from, after.commit]);
        did.push({ step: "branch-moved", branch: branch.name });
      }
    }
  } else if (before.commit && before.commit !== after.commit) {
    // Moves the branch and the files that differ, and refuses where one has changes of the user's.
    await git.run(["reset", "--quiet", "--keep", before.commit]);
    did.push({ step: "branch-moved", branch: before.branch });
  }
  return did;
}

/** Brings deleted sessions back from their objects, where git still has them. */
async function bringBack(context: Context, one: DeletionOperation): Promise<UndoResult> {
  return withFreshHeads(context, async ({ vault, heads, remote }) => {
    const replica = await ownReplica(context, vault);
    const alive = new Set(catalog(heads, vault).map((session) => session.key));
    const tombstones = tombstonesOf(heads.all);
    const when = context.world.now();
    const local = await context.db.refs(vaultPrefix(vault.ref));
    const did: UndoEvent[] = [];
    const put: Entry[] = [];
    const overridden = new Map<string, Tombstone>();
    const commits: NewCommit[] = [];
    const refs: { ref: string; from: string | null }[] = [];
    const old = await oldEntries(vault, one);
    for (const key of one.sessions) {
      const id = key.slice(key.indexOf(":") + 1);
      if (alive.has(key)) {
        did.push({ step: "not-session", id, why: "it is there" });
        continue;
      }
      const found = await newestCopy(vault, one, old, key);
      if (!found) {
        did.push({ step: "not-session", id, why: "git has pruned its objects" });
        continue;
      }
      const { entry, stored, left } = found;
      const manifest = { ...stored.manifest, replica, seq: stored.manifest.seq + 1 };
      const sealed = await sealManifest(vault, manifest, stored);
      const anew = new Set(sealed.files.map(({ path }) => path));
      const kept = [...stored.files]
        .filter(([path]) => !anew.has(path))
        .map(([path, content]): NewFile => ({ path, content }));
      const dir = await sessionDir(vault.keyring.nameKey, vault.repo, manifest.agent, manifest.session);
      const ref = formatRef({ kind: "session", vault: vault.ref, dir, replica });
      const tombstone = tombstones.get(key);
      const { a: _folded, back: _back, ...hot } = entry;
      put.push({ ...hot, m: sealed.m, q: manifest.seq, ...(tombstone && { back: tombstone.at }) });
      // A copy that had come further than all that is known was deleted unseen: it comes back by itself.
      if (tombstone) overridden.set(key, { at: tombstone.at, upto: lastUse(entry) });
      commits.push({
        parents: stored.commit ? [stored.commit] : [],
        files: [...kept, ...sealed.files],
        when,
      });
      refs.push({ ref, from: local.get(ref) ?? null });
      did.push({ step: "session", id, left });
    }
    if (put.length === 0) {
      const reasons = did.flatMap((event) =>
        event.step === "not-session" ? [`${event.id}: ${event.why}`] : [],
      );
      throw refuse("none of the sessions can be brought back", ...reasons);
    }
    await writeIndex(context, vault, {
      heads,
      replica,
      when,
      change: () => ({ put, overridden }),
      commits,
      refs,
    });
    if (remote) await keepFromDeletion(context, remote, new Set(put.map((entry) => entry.d)));
    const sent = remote && (await publishSettled(context, vault, replica, remote));
    return { operation: one, did, remote, publish: sent };
  });
}

/** A deletion that has not reached the remote yet need not. */
async function keepFromDeletion(
  context: Context,
  remote: ChosenRemote,
  dirs: ReadonlySet<string>,
): Promise<void> {
  await updateQueue(context, remote.key, (queue) => {
    for (const ref of Object.keys(queue.deletions)) {
      const name = parseRef(ref);
      if (name?.kind === "session" && dirs.has(name.dir)) delete queue.deletions[ref];
    }
  });
}

interface OldEntry {
  readonly replica: string;
  readonly entry: Entry;
}

/** The entries of all replicas before the deletion, from their heads of then. */
async function oldEntries(vault: OpenVault, one: DeletionOperation): Promise<OldEntry[]> {
  const found: OldEntry[] = [];
  for (const [replica, commit] of one.heads) {
    try {
      const { entries } = await readHead(vault, replica, commit);
      found.push(...entries.map((entry) => ({ replica, entry })));
    } catch (error) {
      if (!(error instanceof ConvosyncError)) throw error;
    }
  }
  return found;
}

/**
 * Of the copies whose objects are all there the longest that no other goes beyond, and how many others hold what it
 * does not: those that went on separately, and longer ones that never came here.
 */
async function newestCopy(
  vault: OpenVault,
  one: DeletionOperation,
  old: readonly OldEntry[],
  key: string,
): Promise<{ entry: Entry; stored: StoredSession; left: number } | null> {
  const refs = new Map(one.refs);
  const copies: { entry: Entry; stored: StoredSession }[] = [];
  const missing: Entry[] = [];
  for (const { replica, entry } of old.filter((it) => it.entry.s === key)) {
    try {
      const commit = entry.a ? null : refs.get(refOf(vault.ref, replica, entry));
      if (commit === undefined) {
        missing.push(entry);
        continue;
      }
      const files = entry.a ? await vault.db.filesOfTree(entry.a.t) : await vault.db.files(commit!);
      const stored = await readSession(vault, replica, entry, { commit, files });
      await proveSession(vault, stored, new Set());
      copies.push({ entry, stored });
    } catch (error) {
      if (!(error instanceof ConvosyncError)) throw error;
      missing.push(entry);
    }
  }
  const tips = await tipsOf(
    vault,
    copies.map(({ stored }) => stored),
  );
  const best = copies.filter((copy) => tips.includes(copy.stored)).sort((a, b) => b.entry.b - a.entry.b);
  const [newest] = best;
  if (!newest) return null;
  const longer = missing.filter(({ b }) => b > newest.entry.b);
  return { ...newest, left: best.length - 1 + longer.length };
}
