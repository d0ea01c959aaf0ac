// Bundles src into dist: one entry, code-split, so that a verb loads only what it uses.
import { chmodSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

/** What the bundle is made with; the test that guards its size and shape uses the same. */
export const options = {
  absWorkingDir: fileURLToPath(new URL("..", import.meta.url)),
  entryPoints: { cli: "src/cli.ts" },
  outdir: "dist",
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20.12",
  legalComments: "linked",
  minify: true,
  keepNames: true,
  define: { __VERSION__: JSON.stringify(version) },
  // Dependencies of isomorphic-git and execa call require() for built-in modules.
  banner: { js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);" },
  logLevel: "warning",
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  rmSync("dist", { recursive: true, force: true });
  await build(options);
  chmodSync("dist/cli.js", 0o755);
}
