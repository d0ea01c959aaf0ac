import { ConvosyncError, Exit } from "../errors.ts";
import { KeyStore } from "../sessions/key-store.ts";
import { withRepository } from "../sessions/repository.ts";
import { type WatchEvent, watchLock, watchRepository } from "../sessions/watch.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import type { Invocation } from "../world.ts";

interface Options {
  all?: boolean;
  install?: boolean;
  uninstall?: boolean;
  status?: boolean;
  once?: boolean;
}

export default async function watchCommand(
  { world, terminal }: Invocation,
  _args: readonly string[],
  options: Options,
): Promise<number> {
  if ([options.install, options.uninstall, options.status, options.once].filter(Boolean).length > 1)
    throw new ConvosyncError(
      "usage",
      Exit.usage,
      "--install, --uninstall, --status and --once exclude each other",
    );
  const folders = options.all ? await allClones(world) : [await hereOrExplain(world)];
  if (options.install || options.uninstall || options.status)
    return service(world, terminal, options, folders);
  if (options.once) return once(world, folders);
  return watchAll(world, terminal, folders);
}

interface Clone {
  readonly commonDir: string;
  readonly cloneDir: string;
  readonly root: string;
}

const hereOrExplain = (world: Invocation["world"]): Promise<Clone> =>
  withRepository(world, async ({ repo, cloneDir }) => {
    if (repo.root !== null) return { commonDir: repo.commonDir, cloneDir, root: repo.root };
    throw new ConvosyncError("bare-repository", Exit.stopped, "this repository has no work tree", [
      "watch all that are set up on this device: git convosync watch --all",
    ]);
  });

/** Every clone that was set up on this device and is still there. */
async function allClones(world: Invocation["world"]): Promise<Clone[]> {
  const { repos } = await new KeyStore(world.env).state();
  const found: Clone[] = [];
  for (const { dir } of Object.values(repos).flatMap(({ clones }) => clones)) {
    const { openMain } = await import("../sessions/open-main.ts");
    const context = await openMain(world, dir);
    if (context?.repo.root)
      found.push({ commonDir: dir, cloneDir: context.cloneDir, root: context.repo.root });
    await context?.close();
  }
  return found;
}

/** One round without waiting: what is going on here is captured, what waits is sent, what is new is fetched. */
async function once(world: Invocation["world"], clones: readonly Clone[]): Promise<number> {
  const { watchOnce } = await import("../sessions/watch-once.ts");
  for (const { root, commonDir } of clones) await watchOnce({ ...world, cwd: root }, commonDir);
  return Exit.done;
}

async function watchAll(
  world: Invocation["world"],
  terminal: Terminal,
  clones: readonly Clone[],
): Promise<number> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, end);
  const many = clones.length > 1;
  try {
    const running = clones.map(({ root }) =>
      watchRepository({ ...world, cwd: root }, stop.signal, (event) => tell(terminal, event, many)).catch(
        (error) => {
          if (!many || !(error instanceof ConvosyncError)) throw error;
          terminal.warn(safeText(error.message, 300));
        },
      ),
    );
    await Promise.all(running);
  } finally {
    stop.abort();
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.off(signal, end);
  }
  return Exit.done;
}

function tell(terminal: Terminal, event: WatchEvent, many: boolean): void {
  if (terminal.json) {
    terminal.write(
      Buffer.from(`${JSON.stringify({ convosync: 1, event: event.what, ...event, what: undefined })}\n`),
    );
    return;
  }
  const where = many ? ` in ${event.root}` : "";
  switch (event.what) {
    case "watching":
      terminal.step(`Watching ${event.root}`);
      return;
    case "went-on":
      terminal.detail(`${event.session.slice(0, 8)} went on${where}`);
      return;
    case "news":
      terminal.print(safeText(event.text, 300));
      return;
    case "offline":
      terminal.detail(`the remote cannot be reached${where}: ${safeText(event.text, 200)}`);
      return;
    case "polling":
      terminal.detail(`looking at files now and then${where}, as the system does not tell of changes`);
      return;
    case "gone":
      terminal.warn(`${event.root} is gone`);
      return;
  }
}

async function service(
  world: Invocation["world"],
  terminal: Terminal,
  options: Options,
  clones: readonly Clone[],
): Promise<number> {
  const services = await import("../sessions/watch-service.ts");
  const root = options.all ? null : clones[0]!.root;
  const of = { env: world.env, platform: process.platform, root };
  if (options.install) {
    const { kind, path } = await services.installService(of);
    terminal.step(`${kind} starts it now and whenever you log in (${path})`);
    terminal.document({ installed: true, kind, path });
    return Exit.done;
  }
  if (options.uninstall) {
    const removed = await services.uninstallService(of);
    terminal.step(
      removed ? `It is not started any more; ${removed.path} is removed` : "It was not installed",
    );
    terminal.document({ installed: false, path: removed?.path ?? null });
    return Exit.done;
  }
  const watched = [];
  for (const clone of clones) {
    const pid = (await services.watcherOf(watchLock(clone.cloneDir)))?.pid ?? null;
    watched.push({ root: clone.root, pid });
    terminal.print(`${clone.root}: ${pid === null ? "not watched" : `watched by process ${pid}`}`);
  }
  const installed = await services.isServiceInstalled(of);
  terminal.print(
    installed ? "It is started at every login" : "It is not started by itself: git convosync watch --install",
  );
  terminal.document({ installed, watched });
  return Exit.done;
}
