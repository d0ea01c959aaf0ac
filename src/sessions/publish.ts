import { ConvosyncError, Exit } from "../errors.ts";
import { parseRef, vaultPrefix } from "../refs/names.ts";
import type { Oid } from "../refs/object-database.ts";
import { type PushRequest, type PushResult, push, pushInOrder } from "../refs/transport.ts";
import { followPushed } from "../worktree/branches.ts";
import { mindsSubmodules } from "../worktree/remotes.ts";
import type { ChosenRemote } from "./chosen-remote.ts";
import {
  holdBranch,
  type PendingUpdate,
  pendingUpdates,
  type RemoteQueue,
  remoteQueue,
  updateQueue,
} from "./queue.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";

export interface Branch {
  readonly name: string;
  readonly commit: Oid;
  /** The commit was made by this very command: no remote has it. */
  readonly isNew?: boolean;
}

export type PublishResult =
  | { readonly status: "unchanged" }
  | { readonly status: "pushed"; readonly refs: readonly string[]; readonly branch: boolean }
  /** Everything, or the half that `refs` and `branch` do not name, waits in the queue. */
  | {
      readonly status: "queued";
      readonly reason: QueueReason;
      readonly text: string;
      /** What the server, or the pre-push hook, says to it. */
      readonly words: readonly string[];
      readonly refs: readonly string[];
      readonly branch: boolean;
      /** The branch's remote, where that is another one: then the branch is what waits. */
      readonly elsewhere?: string;
    };

export type QueueReason =
  | "offline"
  | "branch-rejected"
  | "branch-refused"
  | "submodules-missing"
  /** The user's own pre-push hook. */
  | "hook-declined"
  /** git cannot read an object here that was to go along. */
  | "object-lost"
  | "conversation-refused"
  | "replica-taken"
  | "keyring-moved"
  | "refused";

const pushTimeoutMs = 30 * 60_000;
/** So many heads back a remote may be put and we still know what it shows for our own. */
const rememberedHeads = 64;

/**
 * Pushes all of this replica that the remote has not confirmed, and the branch, in one atomic push. Whatever
 * comes of it, the queue says what still waits; entries leave it only on the remote's word.
 */
export async function publish(
  context: Context,
  vault: OpenVault,
  replica: string | null,
  remote: ChosenRemote,
  branch: Branch | null,
): Promise<PublishResult> {
  const queue = await remoteQueue(context, remote.key);
  const updates = await pendingUpdates(context, vault, replica, queue);
  const moved = branch && !(await remoteHas(context, remote, queue, branch)) ? branch : null;
  if (updates.length === 0 && !moved) {
    await updateQueue(context, remote.key, (entry) => settle(entry, branch));
    return { status: "unchanged" };
  }
  const since = context.world.now().toISOString();
  const local = await context.db.refs(vaultPrefix(vault.ref));
  await updateQueue(context, remote.key, (entry) => {
    // What was to be deleted and has been taken up again is an update like any other.
    for (const ref of Object.keys(entry.deletions)) if (local.has(ref)) delete entry.deletions[ref];
    const sent = Object.fromEntries(updates.flatMap(({ ref, oid }) => (oid ? [[ref, oid]] : [])));
    const older = Object.entries(entry.sent ?? {}).filter(([ref, oid]) => sent[ref] !== oid);
    if (older.length > 0) entry.sentBefore = Object.fromEntries(older);
    entry.sent = sent;
    const heads = Object.entries(sent).flatMap(([ref, oid]) => (parseRef(ref)?.kind === "head" ? [oid] : []));
    entry.sentHeads = [...new Set([...heads, ...(entry.sentHeads ?? [])])].slice(0, rememberedHeads);
    // A run that was cut short may have pushed the branch and not noted it.
    if (branch && !moved) settle(entry, branch);
    entry.since ??= since;
    if (moved) entry.branches[moved.name] ??= since;
  });
  const result = await send(context, remote, updates, moved);
  if (result.status === "pushed") {
    await confirm(context, remote, updates, moved);
    return { status: "pushed", refs: updates.map((one) => one.ref), branch: moved !== null };
  }
  if (result.status === "not-atomic-capable") return inOrder(context, remote, updates, moved);
  const reason = reasonOf(result, moved);
  if (moved && (reason === "conversation-refused" || (reason === "hook-declined" && isAboutOurs(result)))) {
    // Policy keeps our refs out; the user's code must not suffer for it.
    const code = await send(context, remote, [], moved);
    // A remote that takes no push at all has nothing against our refs in particular.
    if (code.status !== "pushed") return waits(context, remote, reasonOf(code, moved), code, [], false);
    await confirm(context, remote, [], moved);
    return waits(context, remote, reason, result, [], true);
  }
  return waits(context, remote, reason, result, [], false);
}

/**
 * The same where the branch goes to another remote than conversations do. It is pushed first, so that there is no moment at
 * which the conversation names a commit nobody can fetch; but a remote that has nothing to do with conversations, and may
 * be somebody else's, keeps none of them here.
 */
export async function publishApart(
  context: Context,
  vault: OpenVault,
  replica: string | null,
  remote: ChosenRemote,
  code: { readonly remote: ChosenRemote; readonly branch: Branch },
): Promise<PublishResult> {
  const sent = await publishBranch(context, code.remote, code.branch);
  const rest = await publish(context, vault, replica, remote, null);
  if (rest.status === "unchanged") return sent;
  if (rest.status === "pushed" && sent.status === "queued") return { ...sent, refs: rest.refs };
  return { ...rest, branch: sent.status === "pushed" };
}

/** Pushes a branch alone. */
export async function publishBranch(
  context: Context,
  remote: ChosenRemote,
  branch: Branch,
): Promise<PublishResult> {
  if (await remoteHas(context, remote, await remoteQueue(context, remote.key), branch)) {
    await updateQueue(context, remote.key, (entry) => settle(entry, branch));
    return { status: "unchanged" };
  }
  await holdBranch(context, remote.key, branch.name, context.world.now().toISOString());
  const result = await send(context, remote, [], branch);
  if (result.status !== "pushed") {
    const waiting = await waits(context, remote, reasonOf(result, branch), result, [], false);
    return { ...waiting, elsewhere: remote.title };
  }
  await confirm(context, remote, [], branch);
  return { status: "pushed", refs: [], branch: true };
}

/** A hook may run for minutes: it does once more only where it says nothing, or something of our refs. */
const isAboutOurs = (result: PushResult): boolean =>
  result.status === "rejected" &&
  (result.words.length === 0 || result.words.some((line) => /convosync/i.test(line)));

/** Has the branch wait until somebody pushes, or until there is a remote, unless the remote has it. */
export async function holdBack(context: Context, remote: ChosenRemote | null, branch: Branch): Promise<void> {
  if (remote && (await remoteHas(context, remote, await remoteQueue(context, remote.key), branch))) return;
  await holdBranch(context, remote?.key ?? null, branch.name, context.world.now().toISOString());
}

/** Whether the remote had the branch at this commit when it was last heard of, by us or by the user's own git. */
async function remoteHas(
  context: Context,
  remote: ChosenRemote,
  queue: RemoteQueue,
  branch: Branch,
): Promise<boolean> {
  if (branch.isNew) return false;
  if (queue.confirmed[`refs/heads/${branch.name}`] === branch.commit) return true;
  const tracking = `refs/remotes/${remote.name}/${branch.name}`;
  return (await context.db.refs(tracking)).get(tracking) === branch.commit;
}

/** For remotes without atomic pushes: the code first, so that no conversation names a commit nobody can fetch. */
async function inOrder(
  context: Context,
  remote: ChosenRemote,
  updates: readonly PendingUpdate[],
  branch: Branch | null,
): Promise<PublishResult> {
  // Sessions before heads: a head never names what is not there.
  const ordered = [...updates].sort((a, b) => Number(isHead(a.ref)) - Number(isHead(b.ref)));
  const { code, refs } = await pushInOrder(context.git, request(context, remote, ordered, branch));
  if (code.status !== "pushed") return waits(context, remote, reasonOf(code, branch), code, [], false);
  if (branch) await confirm(context, remote, [], branch);
  if (!refs || refs.status === "pushed") {
    await confirm(context, remote, ordered, branch);
    return { status: "pushed", refs: ordered.map((one) => one.ref), branch: branch !== null };
  }
  const arrived = refs.status === "rejected" ? ordered.filter((one) => refs.refs.get(one.ref)?.ok) : [];
  if (arrived.length > 0) await confirm(context, remote, arrived, null);
  return waits(
    context,
    remote,
    reasonOf(refs, null),
    refs,
    arrived.map((one) => one.ref),
    branch !== null,
  );
}

export const isHead = (ref: string): boolean => parseRef(ref)?.kind === "head";

function send(
  context: Context,
  remote: ChosenRemote,
  updates: readonly PendingUpdate[],
  branch: Branch | null,
): Promise<PushResult> {
  return push(context.git, request(context, remote, updates, branch));
}

function request(
  context: Context,
  remote: ChosenRemote,
  updates: readonly PendingUpdate[],
  branch: Branch | null,
): PushRequest {
  return {
    remote: remote.name,
    updates,
    ...(branch && { branch: { commit: branch.commit, to: `refs/heads/${branch.name}` } }),
    verifyHooks: branch !== null,
    checkSubmodules: mindsSubmodules(context.config),
    prompt: true,
    timeoutMs: pushTimeoutMs,
  };
}

async function confirm(
  context: Context,
  remote: ChosenRemote,
  updates: readonly PendingUpdate[],
  branch: Branch | null,
): Promise<void> {
  await updateQueue(context, remote.key, (entry) => {
    for (const { ref, oid } of updates) {
      if (oid) entry.confirmed[ref] = oid;
      else {
        delete entry.confirmed[ref];
        delete entry.deletions[ref];
      }
    }
    if (branch) {
      entry.confirmed[`refs/heads/${branch.name}`] = branch.commit;
      delete entry.branches[branch.name];
    }
    entry.contact = context.world.now().toISOString();
    if (entry.background) entry.background = { ...entry.background, failures: 0, next: null };
    settle(entry, branch);
  });
  if (branch && context.settings.get("remote") === undefined)
    await followPushed(context.git, context.config, branch.name, remote.name);
}

/** The branch waits no longer; the reason for waiting is cleared once nothing does. */
function settle(entry: RemoteQueue, branch: Branch | null): void {
  if (branch) delete entry.branches[branch.name];
  if (Object.keys(entry.branches).length === 0 && Object.keys(entry.deletions).length === 0) {
    entry.since = null;
    entry.reason = null;
  }
}

/** Why others' refs that were sent in their place have not arrived. */
export const heldBack = (
  context: Context,
  remote: ChosenRemote,
  result: PushResult,
): Promise<PublishResult> => waits(context, remote, reasonOf(result, null), result, [], false);

async function waits(
  context: Context,
  remote: ChosenRemote,
  reason: QueueReason,
  result: PushResult,
  refs: readonly string[],
  branch: boolean,
): Promise<Extract<PublishResult, { status: "queued" }>> {
  const text = textOf(result);
  const words = result.status === "rejected" ? result.words : [];
  const cause = words.find((line) => /error|fatal|fail/i.test(line)) ?? words[0];
  await updateQueue(context, remote.key, (entry) => {
    entry.since ??= context.world.now().toISOString();
    entry.reason = cause === undefined ? text : `${text}: ${cause}`;
  });
  return { status: "queued", reason, text, words, refs, branch };
}

function reasonOf(result: PushResult, branch: Branch | null): QueueReason {
  if (result.status === "unreachable") return "offline";
  if (result.status !== "rejected") return "refused";
  let reason: QueueReason = "refused";
  for (const [ref, outcome] of result.refs) {
    if (outcome.ok) continue;
    if (outcome.reason === "submodules") return "submodules-missing";
    if (outcome.reason === "lost-object") return "object-lost";
    if (outcome.reason === "pre-push") return "hook-declined";
    const ours = parseRef(ref);
    if (!ours && branch && (outcome.reason === "not-fast-forward" || outcome.reason === "fetch-first"))
      return "branch-rejected";
    if (!ours && branch && outcome.reason !== "atomic") reason = "branch-refused";
    if (!ours) continue;
    if (outcome.reason === "hidden" || outcome.reason === "declined") return "conversation-refused";
    // Locked there: another push of ours was in the middle of it, and may have moved what we go by.
    if (outcome.reason === "stale-lease" || outcome.reason === "locked")
      return ours.kind === "keyring" ? "keyring-moved" : "replica-taken";
  }
  return reason;
}

function textOf(result: PushResult): string {
  if (result.status === "unreachable") return result.text;
  if (result.status !== "rejected") return "the remote refused";
  const causes = [...result.refs.values()].filter((one) => !one.ok && one.reason !== "atomic");
  return causes[0]?.text ?? "the remote refused the push";
}

/** What a queued result means to a person, with the command that mends it. */
export function queuedError(
  result: Extract<PublishResult, { status: "queued" }>,
  { title }: ChosenRemote,
): ConvosyncError {
  const apart = result.elsewhere !== undefined;
  const remote = result.elsewhere ?? title;
  const waits = apart ? "the branch is saved here, not pushed" : "saved here, not pushed";
  const sent = apart && result.refs.length > 0 ? [`the conversation is on '${title}' already`] : [];
  const alone = apart ? sent : ["send the conversation without the code: git convosync sync --no-code"];
  const retry = "when it is mended: git convosync sync";
  switch (result.reason) {
    case "offline":
      return new ConvosyncError(
        "queued",
        Exit.queued,
        `saved here; '${remote}' cannot be reached, so ${apart ? "the branch" : "it"} waits in the queue`,
        [...sent, "send it later: git convosync sync", result.text],
      );
    case "branch-rejected":
      return new ConvosyncError(
        "queued",
        Exit.queued,
        `${waits}: '${remote}' has commits this branch lacks`,
        ["bring them in, then send both: git pull --rebase && git convosync sync", ...alone],
      );
    case "branch-refused":
      return new ConvosyncError(
        "queued",
        Exit.queued,
        `${waits}: '${remote}' refuses the branch (${result.text})`,
        [
          ...result.words,
          retry,
          "put the work on a branch that it takes: git convosync save --branch <name>",
          ...alone,
        ],
      );
    case "submodules-missing":
      return new ConvosyncError("queued", Exit.queued, `${waits}: ${result.text}`, [
        "push the submodules, then send both: git push --recurse-submodules=on-demand && git convosync sync",
        ...alone,
      ]);
    case "object-lost":
      return new ConvosyncError("queued", Exit.queued, `${waits}: ${result.text}`, [
        "fetch it again, then send both: git convosync doctor --fix && git convosync sync",
      ]);
    case "conversation-refused": {
      const takes = result.branch ? "takes the code but refuses" : "refuses";
      return new ConvosyncError(
        "queued",
        Exit.queued,
        `saved here; '${remote}' ${takes} refs/convosync/* (${result.text})`,
        [
          ...result.words,
          retry,
          "if you may not push there, to a remote of your own: git config convosync.remote <name>",
        ],
      );
    }
    case "hook-declined":
      return new ConvosyncError("queued", Exit.queued, `${waits}: ${result.text}`, [
        ...result.words,
        retry,
        ...alone,
      ]);
    default:
      return new ConvosyncError("queued", Exit.queued, `${waits}: ${result.text}`, [...result.words, retry]);
  }
}
