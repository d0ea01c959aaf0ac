import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { ConvosyncError, Exit } from "../errors.ts";
import { longDocument } from "../rendering/document.ts";
import type { Exported } from "../rendering/export.ts";
import { writeParts } from "../sessions/files.ts";
import { openReading, type Reading } from "../sessions/reading.ts";
import { withCloneLock, withRepository } from "../sessions/repository.ts";
import { timelineOf } from "../sessions/timeline.ts";
import { plainOutput, writeAll } from "../ui/pager.ts";
import type { Invocation } from "../world.ts";

type Format = "md" | "html" | "json";

interface Options {
  output?: string;
  format?: Format;
  force?: boolean;
}

export default async function exportCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: Options,
): Promise<number> {
  const path = options.output === undefined ? null : resolve(world.cwd, options.output);
  if (path !== null && !options.force && (await stat(path).catch(() => null)))
    throw fileExists(options.output!);
  if (path === null && terminal.json && options.format !== "json") throw noOutput();
  const format = options.format ?? formatOf(options.output ?? "");
  return withRepository(world, async (context) => {
    const reading = await withCloneLock(context, () => openReading(context, args[0]!));
    if (path === null) {
      // Only the whole stream proves itself, and what is printed cannot be taken back.
      for await (const _ of reading.portable());
      await writeAll(plainOutput(terminal.streams.stdout), await exported(reading, format));
      return Exit.done;
    }
    await writeParts(path, await exported(reading, format));
    terminal.document({ session: reading.session.id, format, output: path });
    terminal.step(`Wrote ${options.output}`);
    terminal.detail("it is not encrypted: whoever has the file can read the conversation");
    return Exit.done;
  });
}

function formatOf(name: string): Format {
  if (/\.html?$/i.test(name)) return "html";
  return /\.json$/i.test(name) ? "json" : "md";
}

async function exported(reading: Reading, format: Format): Promise<AsyncIterable<string>> {
  const { session, snapshot, stored } = reading;
  const between = timelineOf(stored.manifest, reading.gen)
    .filter((mark) => mark.after <= reading.lines)
    .map((mark) => ({ ...mark, device: mark.device && reading.deviceName(mark.device) }));
  const one: Exported = {
    session: session.id,
    agent: session.agent,
    agentTitle: reading.agentTitle,
    title: session.newest.entry.t,
    snapshot: snapshot?.n ?? null,
    root: reading.root,
    between,
    messages: reading.messages,
  };
  switch (format) {
    case "md":
      return (await import("../rendering/markdown-export.ts")).markdownExport(one);
    case "html":
      return (await import("../rendering/html-export.ts")).htmlExport(one);
    case "json": {
      const { title, agent } = one;
      const fields = {
        type: "conversation",
        session: session.id,
        agent,
        title,
        snapshot: one.snapshot,
        timeline: between,
      };
      return longDocument(fields, "messages", reading.messages());
    }
  }
}

const fileExists = (name: string): ConvosyncError =>
  new ConvosyncError("file-exists", Exit.usage, `'${name}' exists already`, [
    "choose another name, or replace it with --force",
  ]);

const noOutput = (): ConvosyncError =>
  new ConvosyncError("usage", Exit.usage, "with --json the conversation needs a file to go to", [
    "name one with --output, or export as JSON with --format json",
  ]);
