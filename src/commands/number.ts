import { ConvosyncError, Exit } from "../errors.ts";

/** A count from 1 on, as an option gives it, with `otherwise` in its absence. Exit 2 for anything else. */
export function numberGiven(
  given: string | undefined,
  otherwise: number,
  what: string,
  example: string,
): number {
  if (given === undefined) return otherwise;
  if (/^[1-9]\d{0,8}$/.test(given)) return Number(given);
  throw new ConvosyncError("usage", Exit.usage, `'${given}' is not a number of ${what}`, [
    `for instance: ${example}`,
  ]);
}
