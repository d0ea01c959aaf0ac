import { parseLine } from "./json-line.ts";

/** When a line of a transcript was written, as far as it says so; every agent's records carry `timestamp`. */
export function lineTime(line: string): Date | null {
  if (!line.includes('"timestamp"')) return null;
  const { timestamp } = (parseLine(line.trimEnd()) ?? {}) as { timestamp?: unknown };
  const at = new Date(typeof timestamp === "string" ? timestamp : Number.NaN);
  return Number.isNaN(at.getTime()) ? null : at;
}
