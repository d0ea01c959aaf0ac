import { join } from "node:path";
import * as v from "valibot";
import { ConvosyncError } from "../errors.ts";
import { readCache, writeAtomic } from "./files.ts";

const reportSchema = v.object({
  v: v.literal(1),
  at: v.string(),
  /** How often in a row it has failed. */
  failures: v.number(),
  error: v.nullable(v.object({ code: v.string(), message: v.string() })),
});

/** How the worker fared last: it has nobody to tell, so it writes it down. */
type WorkerReport = v.InferOutput<typeof reportSchema>;

const pathOf = (cloneDir: string): string => join(cloneDir, "worker.json");

export const workerReport = (cloneDir: string): Promise<WorkerReport | null> =>
  readCache(pathOf(cloneDir), reportSchema);

/** Both return how often in a row it has failed. */
export async function reportWork(cloneDir: string, now: Date): Promise<number> {
  const before = await workerReport(cloneDir);
  if (before?.failures !== 0)
    await write(cloneDir, { v: 1, at: now.toISOString(), failures: 0, error: null });
  return 0;
}

export async function reportFailure(cloneDir: string, now: Date, error: unknown): Promise<number> {
  const failures = ((await workerReport(cloneDir))?.failures ?? 0) + 1;
  const { code, message } =
    error instanceof ConvosyncError ? error : { code: "internal", message: String(error) };
  await write(cloneDir, { v: 1, at: now.toISOString(), failures, error: { code, message } });
  return failures;
}

const write = (cloneDir: string, report: WorkerReport): Promise<void> =>
  writeAtomic(pathOf(cloneDir), JSON.stringify(report));
