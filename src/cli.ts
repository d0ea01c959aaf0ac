#!/usr/bin/env node
// The entry: refuses a Node that is too old, and loads the rest only then.

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 12)) {
  process.stderr.write(`error: convosync needs Node 20.12 or newer; this is ${process.versions.node}\n`);
  process.exit(1);
}

// Node 20 and 22 warn at every use of X25519 or Ed25519 that the Web Crypto API for them is experimental.
const emitWarning = process.emitWarning.bind(process);
process.emitWarning = ((warning: string | Error, ...rest: never[]) => {
  if (/(X25519|Ed25519) Web Crypto API/.test(String(warning))) return;
  emitWarning(warning, ...rest);
}) as typeof process.emitWarning;

const { main } = await import("./main.ts");
process.exitCode = await main(process.argv.slice(2), {
  cwd: process.cwd(),
  env: process.env,
  now: () => new Date(),
  streams: { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr },
});
