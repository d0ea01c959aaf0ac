// Real transcripts, from one machine to another: byte for byte, with only the paths swapped.

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { done, type Machine, sandbox } from "./harness.ts";

const corpus = process.env["CONVOSYNC_CORPUS"];
const folders = ["claude", "claude-series", "claude-sidecars", "claude-odd"] as const;

/** A session id made of a file's name, where it is none itself. */
function idOf(name: string): string {
  const given = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=\.jsonl$)/.exec(name)?.[0];
  if (given) return given;
  const hex = createHash("sha256").update(name).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    "-",
  );
}

const directoryOf = (text: string): string | null => /"cwd":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? null;

/** A real transcript as if it had been written in this machine's clone. */
function moved(path: string, machine: Machine): Buffer {
  const raw = readFileSync(path);
  const recorded = directoryOf(raw.toString("latin1"));
  const text =
    recorded === null ? raw.toString("latin1") : raw.toString("latin1").replaceAll(recorded, machine.path);
  const ours = recorded === null ? `{"type":"mode","cwd":${JSON.stringify(machine.path)}}\n` : "";
  return Buffer.from(ours + text + (text.endsWith("\n") ? "" : "\n"), "latin1");
}

describe.skipIf(!corpus)(`the corpus${corpus ? "" : " (CONVOSYNC_CORPUS is not set)"}`, () => {
  test.for(folders)("%s", async (folder) => {
    const directory = join(corpus as string, folder);
    const names = readdirSync(directory).filter((name) => name.endsWith(".jsonl"));
    expect(names.length).toBeGreaterThan(3);
    const { desktop, laptop, code } = sandbox({ folders: { desktop: "projects/shop", laptop: "w/s" } });
    await desktop.begin();
    mkdirSync(desktop.project, { recursive: true });
    for (const name of names)
      desktop.write(desktop.transcript(idOf(name)), moved(join(directory, name), desktop));
    const saved = await desktop.json("save", "--all-sessions");
    expect(saved.exit).toBe(0);
    expect(saved.document["sessions"]).toHaveLength(names.length);
    laptop.clone();
    await laptop.init("--join", "--recovery-file", code);
    for (const name of names) {
      const id = idOf(name);
      done(await laptop.run("resume", id));
      const there = readFileSync(laptop.transcript(id));
      const wanted = moved(join(directory, name), laptop);
      const at = wanted.findIndex((byte, index) => byte !== there[index]);
      const context = (bytes: Buffer): string =>
        bytes.subarray(Math.max(0, at - 60), at + 60).toString("latin1");
      if (at >= 0 || there.length !== wanted.length)
        expect({ name, at, found: context(there) }).toEqual({ name, at, found: context(wanted) });
      expect(statSync(laptop.transcript(id)).mode & 0o777).toBe(0o600);
    }
    // Back where they came from they are what they were.
    const before = new Map(names.map((name) => [name, readFileSync(desktop.transcript(idOf(name)))]));
    for (const name of names) {
      const path = desktop.transcript(idOf(name));
      desktop.write(path, "");
      done(await desktop.run("resume", idOf(name)));
      expect({ name, same: readFileSync(path).equals(before.get(name) as Buffer) }).toEqual({
        name,
        same: true,
      });
    }
  });
});
