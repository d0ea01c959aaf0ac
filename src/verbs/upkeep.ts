import type { Verb } from "./verb.ts";

/** Verbs that keep the set-up sound. */
export const upkeep: readonly Verb[] = [
  {
    name: "verify",
    summary: "check every object, signature and hash, here and on the remote",
    section: "Set up and keep",
    load: () => import("../commands/verify.ts"),
    define: (command) => void command.option("--local", "only what is here"),
    exits: { 6: "something is forged, rolled back or damaged; each problem is listed" },
  },
  {
    name: "gc",
    summary: "fold old sessions into archives, repack long ones",
    section: "Set up and keep",
    load: () => import("../commands/gc.ts"),
  },
];
