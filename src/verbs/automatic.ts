import type { Verb } from "./verb.ts";

/** Verbs that make saving happen by itself. */
export const automatic: readonly Verb[] = [];
