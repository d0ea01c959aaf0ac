// What a command sets up is what its start costs: a guard on the program's size and on what each verb pulls in.

import { type BuildOptions, build, type Metafile } from "esbuild";
import { beforeAll, describe, expect, test } from "vitest";

let outputs: Metafile["outputs"];

beforeAll(async () => {
  const { options } = (await import("../scripts/build.mjs" as string)) as { options: BuildOptions };
  // Cut into chunks, as the program is not, so that it can be seen what begins with what.
  const cut: BuildOptions = { entryPoints: ["src/cli.ts", "src/main.ts"], format: "esm", splitting: true };
  // Counted without the length of names.
  const unused = { metafile: true, write: false, outdir: "dist", minifyIdentifiers: true } as const;
  const built = await build({ ...options, ...cut, ...unused });
  outputs = built.metafile!.outputs;
});

/** Everything that is loaded with a source file, before anything is asked for later: packages, and bytes. */
function loadedWith(entry: string): { packages: string[]; bytes: number } {
  const start = Object.keys(outputs).find((file) => outputs[file]!.entryPoint === entry);
  if (start === undefined) throw new Error(`no chunk begins with ${entry}`);
  const files = new Set([start]);
  const packages = new Set<string>();
  let bytes = 0;
  for (const file of files) {
    const { imports, inputs, bytes: size } = outputs[file]!;
    bytes += size;
    for (const [input, { bytesInOutput }] of Object.entries(inputs)) {
      // Text, of which a program is made only where there is no WebAssembly.
      if (input.endsWith("/module.script")) bytes -= bytesInOutput;
      const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1];
      if (name) packages.add(name);
    }
    for (const { path, kind } of imports) if (kind === "import-statement" && outputs[path]) files.add(path);
  }
  return { packages: [...packages].sort(), bytes };
}

const light = ["valibot"];
const full = ["@scure/base", "valibot"];

describe("the program", () => {
  test.each([
    ["src/cli.ts", [], 5_000],
    ["src/main.ts", [], 10_000],
    ["src/program.ts", ["commander"], 80_000],
    ["src/commands/list.ts", light, 77_000],
    ["src/commands/status.ts", light, 99_000],
    ["src/commands/save.ts", full, 267_000],
    ["src/commands/resume.ts", full, 242_000],
    ["src/commands/sync.ts", full, 193_000],
    ["src/commands/show.ts", full, 195_000],
    ["src/commands/log.ts", full, 180_000],
    ["src/commands/search.ts", light, 93_000],
    ["src/commands/hook.ts", full, 262_000],
    // It stays for days: what it does not need at once is not in its memory.
    ["src/commands/watch.ts", light, 104_000],
    ["src/commands/hooks-install.ts", light, 74_000],
    ["src/commands/hooks-status.ts", light, 74_000],
  ])("%s loads %j, at most %d bytes", (entry, packages, most) => {
    const loaded = loadedWith(entry);
    expect(loaded.packages).toEqual(packages);
    expect(loaded.bytes).toBeLessThanOrEqual(most);
  });

  test("is no larger than 1.06 MB in all", () => {
    const total = Object.values(outputs).reduce((sum, { bytes }) => sum + bytes, 0);
    expect(total).toBeLessThanOrEqual(1_060_000);
  });
});
