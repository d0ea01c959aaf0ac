// Measures what performance is promised, each row beside what nothing can beat, and prints a table; docs/performance.md
// tells what the rows mean. All samples go to bench/results.json.
//
//   npm run bench -- [--only <group>[,<group>…]] [--runs <n>] [--quick] [--markdown]
//
// Real transcripts are used when CONVOSYNC_CORPUS names a folder with claude-series/*.jsonl and their *.saves.json.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import automatic from "./bench/automatic.mjs";
import big from "./bench/big.mjs";
import bytes from "./bench/bytes.mjs";
import { reference } from "./bench/fixtures.mjs";
import growth, { growth1000 } from "./bench/growth.mjs";
import { Lab } from "./bench/lab.mjs";
import many from "./bench/many.mjs";
import memory, { scale } from "./bench/memory.mjs";
import { judge, table } from "./bench/rows.mjs";
import save from "./bench/save.mjs";
import start from "./bench/start.mjs";

/** @type {Record<string, { measure: (lab: Lab) => import("./bench/rows.mjs").Row[], when: "always" | "full" | "named" }>} */
const groups = {
  start: { measure: start, when: "always" },
  save: { measure: save, when: "always" },
  bytes: { measure: bytes, when: "always" },
  many: { measure: many, when: "always" },
  memory: { measure: memory, when: "always" },
  growth: { measure: growth, when: "always" },
  automatic: { measure: automatic, when: "full" },
  big: { measure: big, when: "full" },
  scale: { measure: scale, when: "named" },
  "growth-1000": { measure: growth1000, when: "named" },
};

const { values: options } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    runs: { type: "string" },
    quick: { type: "boolean", default: false },
    markdown: { type: "boolean", default: false },
  },
});
const runs = Number(options.runs ?? (options.quick ? 3 : 5));
if (!Number.isInteger(runs) || runs < 1) fail(`--runs ${options.runs}: a number from 1 up is needed`);
const named = options.only?.flatMap((names) => names.split(","));
const unknown = named?.find((name) => !Object.hasOwn(groups, name));
if (unknown !== undefined) fail(`--only ${unknown}: the groups are ${Object.keys(groups).join(", ")}`);

function fail(message) {
  process.stderr.write(`error: ${message}\n`);
  process.exit(2);
}

const lab = new Lab({ quick: options.quick, runs });
process.on("exit", () => lab.dispose());
for (const [signal, status] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }))
  process.on(signal, () => process.exit(status));

const rows = [];
for (const [name, { measure, when }] of Object.entries(groups)) {
  const wanted = named?.includes(name) ?? (when === "always" || (when === "full" && !options.quick));
  if (!wanted) continue;
  const begun = performance.now();
  process.stderr.write(`bench: ${name} …`);
  try {
    rows.push(...measure(lab));
  } catch (error) {
    // The rows of the other groups are worth having all the same.
    process.exitCode = 1;
    process.stderr.write(`\n${error instanceof Error ? error.stack : error}\n`);
  }
  process.stderr.write(` ${((performance.now() - begun) / 1000).toFixed(0)} s\n`);
  // Programs are waited for without an ear for signals: a Ctrl-C ends the program that runs, and then this.
  await new Promise((next) => setImmediate(next));
}

const version = (command, ...args) => {
  const { error, stdout } = spawnSync(command, args, { encoding: "utf8" });
  return error ? "not installed" : (/\d+(?:\.\d+)+/.exec(stdout)?.[0] ?? "unknown");
};
const results = {
  date: new Date().toISOString(),
  machine: {
    system: `${platform()} ${release()} ${arch()}`,
    processor: cpus()[0]?.model ?? "unknown",
    processors: cpus().length,
    memory: totalmem(),
  },
  versions: {
    node: process.versions.node,
    git: version("git", "--version"),
    zstd: version("zstd", "--version"),
  },
  reference: reference().source,
  options: { quick: options.quick, runs },
  rows: rows.map((row) => ({ ...row, ...judge(row) })),
};
const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), "bench");
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "results.json"), `${JSON.stringify(results, null, 1)}\n`);

const { machine, versions } = results;
const about = [
  `${results.date.slice(0, 10)}, ${machine.processors} × ${machine.processor}, ${machine.system}`,
  `node ${versions.node}, git ${versions.git}, zstd ${versions.zstd}`,
  `reference session: ${results.reference}; ${runs} runs${options.quick ? ", --quick" : ""}`,
].join("; ");
process.stdout.write(`${about}\n\n${table(rows, options.markdown ? "markdown" : "text")}\n`);
