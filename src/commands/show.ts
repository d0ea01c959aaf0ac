import { spawn } from "node:child_process";
import { once } from "node:events";
import { Exit } from "../errors.ts";
import { openReading } from "../sessions/reading.ts";
import { withCloneLock, withRepository } from "../sessions/repository.ts";
import { safeText } from "../ui/safe-text.ts";
import { renderLine } from "../ui/transcript.ts";
import type { Invocation } from "../world.ts";

export default async function showCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: { raw?: boolean },
): Promise<number> {
  return withRepository(world, async (context) => {
    const shown = await withCloneLock(context, () => openReading(context, args[0]!));
    const { entry } = shown.session.newest;
    if (options.raw) {
      for await (const bytes of shown.content()) terminal.write(bytes);
      return Exit.done;
    }
    const { manifest } = shown.stored;
    if (terminal.json) {
      terminal.document({
        session: shown.session.id,
        title: entry.t,
        agent: manifest.agent,
        snapshots: manifest.snapshots,
        links: manifest.links,
      });
      return Exit.done;
    }
    const pager = terminal.interactive
      ? await startPager(world.env, await context.git.text(["var", "GIT_PAGER"]))
      : null;
    const out = pager?.stdin ?? terminal.streams.stdout;
    const style = terminal.style.bind(terminal);
    out.write(`${style("bold", safeText(entry.t || shown.session.id))}\n\n`);
    const decoder = new TextDecoder();
    let at = 0;
    let next = 0;
    const links = manifest.links;
    for await (const bytes of shown.content()) {
      for (const line of decoder.decode(bytes).split("\n")) {
        if (line === "") continue;
        for (; next < links.length && links[next]!.upto <= at; next++) {
          const link = links[next]!;
          out.write(
            `${style("cyan", `── ${safeText(link.branch ?? "detached")} @ ${link.commit.slice(0, 7)} ──`)}\n\n`,
          );
        }
        at++;
        const text = renderLine(line, style);
        if (text && !out.write(text)) await once(out, "drain").catch(() => undefined);
      }
    }
    if (pager) {
      pager.stdin.end();
      await once(pager, "close");
    }
    return Exit.done;
  });
}

async function startPager(env: NodeJS.ProcessEnv, command: string) {
  if (command === "" || command === "cat") return null;
  const pager = spawn("sh", ["-c", command], {
    stdio: ["pipe", "inherit", "inherit"],
    env: { LESS: "FRX", ...env },
  });
  pager.stdin.on("error", () => undefined);
  return pager;
}
