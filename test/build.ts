import { execFileSync } from "node:child_process";

/** Builds `dist` once before the front-door tests run it. */
export default function setup(): void {
  execFileSync(process.execPath, ["scripts/build.mjs"], { stdio: "inherit" });
}
