import { ConvosyncError, Exit } from "../errors.ts";
import type { Untracked } from "../sessions/code-here.ts";
import { captureNoted } from "../sessions/noted.ts";
import { notifyOthers } from "../sessions/notify.ts";
import { queuedError } from "../sessions/publish.ts";
import { type Settings, withRepository } from "../sessions/repository.ts";
import { type SaveEvent, type SaveResult, save } from "../sessions/save.ts";
import type { LeftOutWhy } from "../sessions/save-code.ts";
import { warmUp } from "../sessions/warm-up.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { byteSize, grouped, plural } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

interface Options {
  message?: string;
  session?: string;
  agent?: string;
  allSessions?: boolean;
  code?: boolean;
  stash?: boolean;
  branch?: string;
  retry?: boolean;
  includeEnv?: string[];
  interactive?: boolean;
  push?: boolean;
  rawPaths?: boolean;
  dryRun?: boolean;
  force?: boolean;
  notify?: boolean;
}

/** What cannot be meant together. */
function refuseBoth(options: Options, [message]: readonly string[]): void {
  const given: Record<string, boolean> = {
    "--no-code": options.code === false,
    "--stash": options.stash === true,
    "--branch": options.branch !== undefined,
    "--retry": options.retry === true,
    "--no-push": options.push === false,
    "--session": options.session !== undefined,
    "--all-sessions": options.allSessions === true,
    "--message": options.message !== undefined && options.message !== message,
    "a message as an argument": message !== undefined,
  };
  const apart = [
    ["--no-code", "--stash", "--branch"],
    ["--retry", "--no-push"],
    ["--session", "--all-sessions"],
    ["--message", "a message as an argument"],
  ].map((group) => group.filter((name) => given[name]));
  const [one, other] = apart.find(({ length }) => length > 1) ?? [];
  if (other === undefined) return;
  throw new ConvosyncError("usage", Exit.usage, `${one} and ${other} exclude each other`, [
    "choose one of them",
  ]);
}

export default async function saveCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: Options,
): Promise<number> {
  const chosen = options.interactive ? await askWhat({ world, terminal }, args, options) : null;
  const message = chosen?.message ?? options.message ?? args[0];
  const includeEnv = chosen?.includeEnv ?? options.includeEnv ?? [];
  refuseBoth(options, args);
  const noCode = chosen ? !chosen.code : options.code === false;
  terminal.note("ConvoSync: saving session…");
  if (options.retry && !options.dryRun) await sendWaiting(world, terminal);
  let settings: Settings | null = null;
  const result = await withRepository(
    world,
    async (context) => {
      settings = context.settings;
      if (!options.dryRun) await captureNoted(context);
      return save(
        context,
        {
          ...(message !== undefined && { message }),
          ...(options.session !== undefined && { session: options.session }),
          ...(options.agent !== undefined && { agent: options.agent }),
          allSessions: options.allSessions === true,
          noCode,
          includeEnv: includeEnv.flatMap((one) => one.split(",")).filter((one) => one !== ""),
          stash: options.stash === true,
          ...(options.branch !== undefined && { branch: options.branch }),
          noPush: options.push === false,
          rawPaths: options.rawPaths === true,
          dryRun: options.dryRun === true,
          force: options.force === true,
        },
        (event) => tell(terminal, event, options.dryRun === true),
      );
    },
    warmUp,
  );
  const { publish, remote, sessions } = result;
  const [first] = sessions;
  const changed = sessions.some((one) => one.changed);
  const unchanged = publish.status === "unchanged" && !changed && !result.committed;
  if (publish.status === "pushed") {
    terminal.step(`Pushed ${whatWent(result, publish)}`);
  }
  const isLeft = result.committed && result.upstream !== null;
  if (isLeft && result.codeRemote) {
    const [from, to] = [result.branch, result.upstream].map((one) => safeText(one ?? ""));
    const name = safeText(result.codeRemote.title);
    terminal.warn(`not pushed, as git has '${from}' follow another branch, '${to}' of ${name}`);
    terminal.hint(`push it there yourself: git push ${name} ${from}:${to}`);
  }
  const notified =
    publish.status === "pushed" && options.notify !== false && settings
      ? await notifyOthers(settings)
      : false;
  // Which devices there are is known as of the last fetch.
  const whom = result.devices > 0 ? plural(result.devices, "device") : "other devices";
  if (notified) terminal.step(`Notified ${whom}`);
  for (const one of sessions.flatMap(({ leftOut }) => leftOut)) {
    const why = one.why === "too-large" ? "is over 32 MiB" : "cannot be read";
    terminal.warn(`left out of the conversation, as it ${why}: '${safeText(one.name, 200)}'`);
    terminal.hint(
      `the conversation itself is complete; what the agent kept there is only in ${safeText(one.path)}`,
    );
  }
  if (publish.status === "dry-run") {
    for (const one of sessions) terminal.print(`would save ${one.session}  ${safeText(one.title, 60)}`);
  } else if (unchanged) terminal.step("Nothing new since the last save");
  else if (first) {
    terminal.note(`\nSession: ${terminal.style("bold", first.session)}`);
    const where = result.codeRemote ? " that knows that remote" : "";
    if (publish.status === "pushed" && !isLeft) terminal.note(`Ready to resume on any device${where}.`);
    terminal.note(`Resume with: git convosync resume ${first.session.slice(0, 8)}`);
  }
  tellUnsaved(terminal, result.unsaved);
  const waiting = publish.status === "queued" && remote ? queuedError(publish, remote) : null;
  terminal.document({
    session: first?.session ?? null,
    agent: first?.agent ?? null,
    snapshot: first?.snapshot ?? null,
    commit: result.commit,
    branch: result.branch,
    messages: first?.messages ?? 0,
    newMessages: first?.newMessages ?? 0,
    pushed: publish.status === "pushed" || publish.status === "unchanged",
    queued: publish.status === "queued" || publish.status === "not-pushed",
    remote: remote?.title ?? null,
    sealedBytes: first?.sealedBytes ?? 0,
    leftOut: first?.leftOut.map(({ path }) => path) ?? [],
    notified,
    unsaved: result.unsaved.map(({ found }) => found.id),
    sessions: sessions.map(({ session, agent, snapshot, messages, newMessages, sealedBytes, leftOut }) => ({
      session,
      agent,
      snapshot,
      messages,
      newMessages,
      sealedBytes,
      leftOut: leftOut.map(({ path }) => path),
    })),
  });
  if (waiting) {
    if (!terminal.json) terminal.fail(waiting);
    return waiting.exit;
  }
  if (publish.status === "not-pushed") {
    terminal.note(
      remote ? "Kept here; send it with: git convosync sync" : "Kept here: this repository has no remote yet",
    );
    if (!remote) terminal.hint("add one, then send it: git remote add origin <url> && git convosync sync");
    return options.push === false ? Exit.done : Exit.queued;
  }
  return Exit.done;
}

/** Several conversations may go on at once in a work tree, and this save was of one. */
function tellUnsaved(terminal: Terminal, [first, ...more]: SaveResult["unsaved"]): void {
  if (!first) return;
  const { id, title } = first.found;
  const what =
    more.length === 0
      ? `another conversation here is not: ${id.slice(0, 8)} ${safeText(title, 40)}`
      : `${more.length + 1} other conversations here are not`;
  terminal.note(`\nThis one is saved; ${what}.`);
  terminal.note("Save all of them with: git convosync save --all-sessions");
}

function whatWent(
  { remote, codeRemote, branch }: SaveResult,
  pushed: Extract<SaveResult["publish"], { status: "pushed" }>,
): string {
  const conversation = `the conversation to ${remote?.title}`;
  if (!pushed.branch) return conversation;
  if (!codeRemote) return `${remote?.title}/${branch} and the conversation together`;
  return `${branch} to ${codeRemote.title}${pushed.refs.length > 0 ? `, and ${conversation}` : ""}`;
}

/** The form of `--interactive`. */
async function askWhat(
  { world, terminal }: Pick<Invocation, "world" | "terminal">,
  args: readonly string[],
  options: Options,
) {
  const { askSave } = await import("./save-form.ts");
  return askSave(world, terminal, {
    message: options.message ?? args[0] ?? "",
    stash: options.stash === true,
    code: options.code !== false,
    session: options.session,
  });
}

/** Sends what waits. A remote that does not answer is no reason not to save: then that waits as well. */
async function sendWaiting(world: Invocation["world"], terminal: Terminal): Promise<void> {
  const { sync } = await import("../sessions/sync.ts");
  try {
    const { pushed } = await withRepository(world, (context) => sync(context, {}));
    if (pushed.length > 0)
      terminal.step(`Sent what was waiting: ${pushed.map((one) => safeText(one, 60)).join(", ")}`);
  } catch (error) {
    if (!(error instanceof ConvosyncError) || error.exit !== Exit.remote) throw error;
    terminal.warn(safeText(error.message));
  }
}

const longConversation = 500;

/** What is said of files that are left out, and what to do about it. */
const leftOut: Record<LeftOutWhy, readonly [reason: string, hint: string]> = {
  excluded: ["looks like a secret", "commit it yourself if it is none; such names are never added by save"],
  private: [
    "belongs to an agent or holds keys, and would be readable on the remote",
    "keep it out of the work tree, or name it in .gitignore",
  ],
  repositories: [
    "is a repository of its own",
    "make it a submodule with git submodule add, or name it in .gitignore",
  ],
  unnamable: ["has a name that is not UTF-8", "commit it yourself: git add --all && git commit"],
};

const untracked: Record<Untracked, string> = {
  hidden: "untracked files are left out, as status.showUntrackedFiles says",
  home: "untracked files are left out, as your home directory lies in this work tree: git add what belongs here",
};

function tell(terminal: Terminal, event: SaveEvent, dryRun: boolean): void {
  switch (event.step) {
    case "changes":
      terminal.step(
        `${dryRun ? "Would commit" : "Detected"} ${plural(event.modified, "changed file")}, ${plural(event.created, "new file")}`,
      );
      return;
    case "untracked":
      terminal.detail(untracked[event.why]);
      return;
    case "branch":
      terminal.step(
        `${event.created ? "Made and switched to" : "Switched to"} branch '${safeText(event.branch)}'`,
      );
      return;
    case "carried":
      terminal.step(
        `Sealed uncommitted work (${byteSize(event.bytes)} encrypted); branch and work tree are as they were`,
      );
      return;
    case "large-files":
      terminal.warn(`large files are saved as well: ${safeText(event.files, 200)}`);
      return;
    case "environment":
      terminal.step(`Sealed ${plural(event.names.length, "variable")}: ${event.names.join(", ")}`);
      return;
    case "nothing-to-carry":
      terminal.detail("there is no uncommitted work to carry");
      return;
    case "stay-deleted": {
      const { sessions } = event;
      terminal.detail(`left out ${plural(sessions.length, "session")} that had been deleted`);
      terminal.detail(`one all the same: git convosync save --session ${sessions[0]!.slice(0, 8)} --force`);
      return;
    }
    case "left-out": {
      const [reason, hint] = leftOut[event.why];
      const names = event.paths.slice(0, 5).map((path) => safeText(path));
      terminal.warn(`left out, as it ${reason}: ${names.join(", ")}`);
      terminal.hint(hint);
      return;
    }
    case "committed":
      terminal.step(
        `Committed: "${safeText(event.message.split("\n")[0] ?? "")}" (${event.commit.slice(0, 7)})`,
      );
      return;
    case "generation":
      terminal.detail("the agent had rewritten its file; the earlier version is kept");
      return;
    case "captured": {
      const fresh = event.fresh === event.messages ? "" : `, ${grouped(event.fresh)} new`;
      terminal.step(
        `Sealed the conversation (${plural(event.messages, "message")}${fresh}; ${byteSize(event.sealedBytes)} encrypted)`,
      );
      // Said once: when it becomes so.
      if (event.messages >= longConversation && event.messages - event.fresh < longConversation)
        terminal.detail("a long conversation by now; each save sends only what is new");
      return;
    }
    case "pushing":
      return;
  }
}
