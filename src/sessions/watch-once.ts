import { loadAgents } from "../agents/registry.ts";
import { noteEvent } from "./events.ts";
import { type World, withRepository } from "./repository.ts";
import { runWorker } from "./worker.ts";
import { openWorkplace } from "./workplace.ts";

/** For systems that let nothing run for long: captures what is going on, sends what waits, fetches what is new. */
export async function watchOnce(world: World, commonDir: string): Promise<void> {
  await withRepository(world, async (context) => {
    const place = await openWorkplace(context);
    for (const agent of await loadAgents()) {
      const current = await agent.current(place);
      if (!current) continue;
      const { id, workTree } = current.session;
      const session = `${agent.name}:${id}`;
      await noteEvent(context.cloneDir, { kind: "agent", event: "watch", session, path: workTree });
    }
    await noteEvent(context.cloneDir, { kind: "fetch", path: place.root });
  });
  await runWorker(world, commonDir, { outageMs: 0 });
}
