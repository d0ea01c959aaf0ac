import { Exit } from "../errors.ts";
import { scrubUrl } from "../git/git.ts";
import { withRepository } from "../sessions/repository.ts";
import { type StatusResult, status } from "../sessions/status.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import { byteSize, plural, relativeTime } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

export default async function statusCommand({ world, terminal }: Invocation): Promise<number> {
  const result = await withRepository(world, status);
  const { code, remote, current, queue, devices } = result;
  terminal.document({
    repository: result.repository,
    branch: code.branch,
    commit: code.head,
    clean: code.changes.length === 0,
    current,
    unsaved: result.unsaved,
    queue: queue.waiting.map((what) => ({
      what,
      since: queue.since,
      reason: queue.reason,
      next: queue.next,
    })),
    hooks: result.hooks,
    noted: result.noted,
    failure: result.failure,
    waiting: result.waiting,
    open: result.open,
    devices,
    storage: { sessions: result.sessions, bytes: result.bytes },
    remote: remote && {
      name: remote.chosen.name,
      url: scrubUrl(remote.chosen.url),
      lastContact: remote.contact,
    },
    policy: null,
  });
  print(terminal, result, world.now());
  return Exit.done;
}

/** Columns of what stands before a row. */
const label = 14;

function print(terminal: Terminal, result: StatusResult, now: Date): void {
  const { code, remote, current, queue } = result;
  const ago = (time: string | null): string => (time ? relativeTime(new Date(time), now) : "never");
  const row = (name: string, text: string): void =>
    terminal.printBeside(terminal.style("bold", name.padEnd(label)), label, text);
  row("Repository", result.repository);
  row(
    "Branch",
    `${code.branch ? safeText(code.branch) : "(detached)"}${code.head ? ` @ ${code.head.slice(0, 7)}` : ""}, ${code.changes.length === 0 ? "clean" : plural(code.changes.length, "change")}`,
  );
  row(
    "Remote",
    remote
      ? `${remote.chosen.name} (${scrubUrl(remote.chosen.url)}), last reached ${ago(remote.contact)}`
      : "none",
  );
  if (current) {
    const saved = current.saved
      ? `saved with ${plural(current.savedMessages ?? 0, "message")}${current.unsaved ? ", gone on since" : ""}`
      : "not saved yet";
    // In one line, if it can be.
    const titled = Math.min(50, Math.max(20, terminal.width - label - saved.length - 12));
    row("Conversation", `${current.session.slice(0, 8)} ${safeText(current.title, titled)} (${saved})`);
  } else row("Conversation", "none in this work tree");
  for (const [index, one] of result.unsaved.slice(0, 5).entries())
    row(index === 0 ? "Not saved" : "", `${one.session.slice(0, 8)} ${safeText(one.title, 50)}`);
  if (result.unsaved.length > 0) row("", "save all of them: git convosync save --all-sessions");
  const waiting = queue.waiting.map((what) => safeText(what)).join(", ");
  row("Queue", waiting === "" ? "empty" : `${waiting}${queue.since ? `, since ${ago(queue.since)}` : ""}`);
  if (queue.reason) row("", safeText(queue.reason));
  if (queue.waiting.length > 0) {
    const next = queue.next ? new Date(queue.next) : now;
    const later =
      next.getTime() - now.getTime() > 60_000 ? `, by itself ${relativeTime(next, now)} at the earliest` : "";
    const when =
      queue.sending && later === ""
        ? "sent by itself within half a minute"
        : `sent with the next ${result.hooks ? "commit or save" : "save"}${later}`;
    row("", `${when}; at once: git convosync sync`);
  }
  if (result.noted > 0) row("Hooks", `${plural(result.noted, "event")} noted, not captured yet`);
  if (result.failure) row("Hooks", `the last capture failed: ${safeText(result.failure, 300)}`);
  for (const [index, one] of result.waiting.slice(0, 5).entries()) {
    const name = `${one.session.slice(0, 8)} ${safeText(one.title, 40)}`;
    row(
      index === 0 ? "Elsewhere" : "",
      `${name} went on ${one.thisDevice ? "in another clone here" : `on ${safeText(one.device)}`}`,
    );
  }
  for (const one of result.open)
    row("Open", `${one.session.slice(0, 8)} on ${safeText(one.device)} since ${ago(one.since)}`);
  row("Storage", `${plural(result.sessions, "session")}, ${byteSize(result.bytes)} of conversation`);
  for (const [index, one] of result.devices.entries()) {
    const state = one.revoked ? "revoked" : one.thisDevice ? "this device" : `last save ${ago(one.lastSave)}`;
    row(index === 0 ? "Devices" : "", `${safeText(one.name)} (${one.type}), ${state}`);
  }
}
