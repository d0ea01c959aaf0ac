// Bundles src into dist: a small entry, and the program it loads through a cache of compiled code. A verb's modules
// are set up only when it is called.
import { createHash } from "node:crypto";
import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { esbuildNative } from "./native.mjs";
import { esbuildWasm } from "./wasm.mjs";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

/** What both are made with, and the test that guards what each verb loads. */
export const options = {
  absWorkingDir: fileURLToPath(new URL("..", import.meta.url)),
  bundle: true,
  platform: "node",
  target: "node20.12",
  legalComments: "linked",
  minifySyntax: true,
  minifyWhitespace: true,
  // Names stay as they are written: kept beside shorter ones (`keepNames`), each function that is made costs a call.
  define: { __VERSION__: JSON.stringify(version) },
  plugins: [esbuildWasm, esbuildNative],
  logLevel: "warning",
};

/** Node loads these in half the time of modules: 5 ms less before anything runs. */
const commonJs = { format: "cjs", supported: { "dynamic-import": false } };
const define = { ...options.define, "import.meta.dirname": "__dirname" };

const program = {
  ...options,
  ...commonJs,
  define,
  entryPoints: ["src/main.ts"],
  outfile: "dist/program.cjs",
  // One script, as V8 keeps what it has compiled by script, in characters that read as Latin-1: a function, for the entry
  // to call, which need not put a megabyte together for it.
  banner: { js: "(function(module,exports,require,__filename,__dirname){" },
  footer: { js: "})" },
  charset: "ascii",
};

const entry = (id) => ({
  ...options,
  ...commonJs,
  define: { ...define, __BUILD__: JSON.stringify(id) },
  entryPoints: ["src/cli.ts"],
  outfile: "dist/cli.js",
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  rmSync("dist", { recursive: true, force: true });
  await build(program);
  const bytes = readFileSync("dist/program.cjs");
  // esbuild leaves them in regular expressions.
  const at = bytes.findIndex((byte) => byte > 127);
  if (at >= 0) throw new Error(`not ASCII: write it with \\u in …${bytes.subarray(at - 60, at + 20)}…`);
  const id = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  await build(entry(`${version}-${id}`));
  chmodSync("dist/cli.js", 0o755);
  writeFileSync("dist/package.json", `{"type":"commonjs"}\n`);
}
