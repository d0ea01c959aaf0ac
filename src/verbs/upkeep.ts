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
    summary: "apply retention, fold old sessions into archives, repack long ones",
    section: "Set up and keep",
    load: () => import("../commands/gc.ts"),
    define: (command) =>
      void command
        .option("-n, --dry-run", "show what retention would delete, and why")
        .option("--no-retention", "delete nothing")
        .option("-y, --yes", "do not ask before retention deletes for the first time"),
    examples: [
      ["git convosync gc --dry-run", "what would go, how large it is, and why"],
      ["git convosync gc --no-retention", "fold and repack only"],
      ["git config convosync.retentionDays never", "never delete by age"],
    ],
    exits: { 3: "done here; the remote hears of it with the next sync", 4: "retention asks first: --yes" },
  },
];
