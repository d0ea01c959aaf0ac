import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { ConvosyncError, Exit } from "../errors.ts";
import { longDocument } from "../rendering/document.ts";
import type { Exported } from "../rendering/export.ts";
import { mayBeCommitted } from "../sessions/code-here.ts";
import { writeParts } from "../sessions/files.ts";
import { openReading, type Reading } from "../sessions/reading.ts";
import { withCloneLock, withRepository } from "../sessions/repository.ts";
import { timelineOf } from "../sessions/timeline.ts";
import { plainOutput, writeAll } from "../ui/pager.ts";
import { secret } from "../ui/prompts.ts";
import type { Terminal } from "../ui/terminal.ts";
import type { Invocation } from "../world.ts";
import { readPassphrase } from "./import.ts";

type TextFormat = "md" | "html" | "json";
type Format = TextFormat | "native" | "bundle";

interface Options {
  output?: string;
  format?: Format;
  force?: boolean;
  passphrase?: boolean;
  passphraseFile?: string;
}

export default async function exportCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: Options,
): Promise<number> {
  const named = options.output === "-" ? undefined : options.output;
  const path = named === undefined ? null : resolve(world.cwd, named);
  const format = options.format ?? formatOf(named ?? "");
  if (path === null && (format === "bundle" || (terminal.json && format !== "json"))) throw noOutput(format);
  if (path !== null && !options.force && (await stat(path).catch(() => null)))
    throw fileExists(options.output!);
  const secured = options.passphrase === true || options.passphraseFile !== undefined;
  if (secured && format !== "bundle")
    throw new ConvosyncError("usage", Exit.usage, "only a bundle has a passphrase", ["add: --format bundle"]);
  return withRepository(world, async (context) => {
    const reading = await withCloneLock(context, () => openReading(context, args[0]!));
    if (path === null) {
      // Only the whole stream proves itself, and what is printed cannot be taken back.
      for await (const _ of reading.portable());
      const output = plainOutput(terminal.streams.stdout);
      const parts = format === "native" ? reading.content() : await exported(reading, format as TextFormat);
      await writeAll(output, parts);
      return Exit.done;
    }
    if (format === "native") {
      if (/\.jsonl$/i.test(path)) await writeParts(path, reading.content());
      else await (await import("../sessions/export-native.ts")).exportNative(context, reading, path);
    } else if (format === "bundle") {
      const { writeBundle } = await import("../sessions/bundle.ts");
      const to = secured
        ? { passphrase: await passphrase(terminal, world, options) }
        : { vault: reading.vault };
      await writeParts(path, writeBundle(reading, to));
    } else await writeParts(path, await exported(reading, format));
    terminal.document({ session: reading.session.id, format, output: path });
    terminal.step(`Wrote ${options.output}`);
    if (format === "bundle")
      terminal.detail(secured ? "it opens with the passphrase" : "every device of this vault can open it");
    else {
      terminal.detail("it is not encrypted: whoever has the file can read the conversation");
      if (await mayBeCommitted(context, path)) {
        terminal.warn("it lies in the work tree, where the next save commits it");
        terminal.hint("move it, or name it in .gitignore");
      }
    }
    return Exit.done;
  });
}

async function passphrase(
  terminal: Terminal,
  { cwd }: Invocation["world"],
  options: Options,
): Promise<string> {
  if (options.passphraseFile !== undefined) return readPassphrase(resolve(cwd, options.passphraseFile));
  const question = { message: "Passphrase for the bundle", flag: "--passphrase-file <path>" };
  const first = await secret(terminal, question);
  if (first !== "" && first === (await secret(terminal, { ...question, message: "The same again" })))
    return first;
  throw new ConvosyncError("usage", Exit.usage, "the two passphrases are not the same", ["try again"]);
}

function formatOf(name: string): Format {
  if (/\.html?$/i.test(name)) return "html";
  if (/\.jsonl$/i.test(name)) return "native";
  if (/\.(?:convosync|bundle)$/i.test(name)) return "bundle";
  return /\.json$/i.test(name) ? "json" : "md";
}

async function exported(reading: Reading, format: TextFormat): Promise<AsyncIterable<string>> {
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

const noOutput = (format: Format): ConvosyncError =>
  format === "bundle"
    ? new ConvosyncError("usage", Exit.usage, "a bundle needs a file to go to", [
        "name one: --output talk.convosync",
      ])
    : new ConvosyncError("usage", Exit.usage, "with --json the conversation needs a file to go to", [
        "name one with --output, or export as JSON with --format json",
      ]);
