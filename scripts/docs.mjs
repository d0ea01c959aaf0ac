// Writes man/git-convosync.1 and docs/cli.md from the verb table. With --check: says which of them is stale.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const outfile = `${root}node_modules/.cache/convosync/manual-${process.pid}.mjs`;
await build({
  absWorkingDir: root,
  stdin: {
    contents: 'export * from "./src/manual.ts"; export { commandLine } from "./src/command-tree.ts";',
    resolveDir: root,
  },
  outfile,
  bundle: true,
  packages: "external",
  external: ["../commands/*"],
  format: "esm",
  platform: "node",
  target: "node20.12",
  logLevel: "warning",
});
const { manPage, reference, commandLine } = await import(pathToFileURL(outfile).href);
rmSync(outfile);

const stale = [];
for (const [path, text] of [
  ["man/git-convosync.1", manPage(commandLine)],
  ["docs/cli.md", reference(commandLine)],
]) {
  const file = new URL(`../${path}`, import.meta.url);
  let before = "";
  try {
    before = readFileSync(file, "utf8");
  } catch {
    mkdirSync(new URL(".", file), { recursive: true });
  }
  if (before === text) continue;
  stale.push(path);
  if (!process.argv.includes("--check")) writeFileSync(file, text);
}
for (const path of stale) console.log(process.argv.includes("--check") ? `stale: ${path}` : `wrote ${path}`);
process.exitCode = process.argv.includes("--check") && stale.length > 0 ? 1 : 0;
