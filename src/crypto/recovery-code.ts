import { base32crockford } from "@scure/base";
import { ConvosyncError, Exit } from "../errors.ts";
import { randomBytes } from "./primitives.ts";

// A recovery code is 25 characters of Crockford's base 32 (https://www.crockford.com/base32.html) in 5 groups,
// `K7QF9-M2TXW-4CR0V-8ZJ3H-N6DYA`: 120 random bits, then one check character.
//
// The check: read as elements of GF(32), the characters c0 … c24 satisfy Σ ci·α^(24-i) = 0, α a generator of
// the field's 31-element group. The 25 weights are distinct and none is zero, hence every wrong character
// (e·w ≠ 0), every exchange of two different characters, adjacent or not, ((ci-cj)·(wi-wj) ≠ 0), and every
// pair of equal characters mistyped alike is noticed; of other errors 31 in 32.

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A new code as it is shown to the user; exactly this text is the passphrase of `recovery.age`. */
export function newRecoveryCode(): string {
  const data = base32crockford.encode(randomBytes(15));
  return grouped(data + ALPHABET.charAt(timesAlpha(weightedSum(data))));
}

/**
 * The code as it was shown, from what somebody typed: case, spaces and dashes do not matter, I and L are 1,
 * O is 0. Throws `bad-recovery-code` when it cannot be one.
 */
export function parseRecoveryCode(input: string): string {
  const code = input
    .toUpperCase()
    .replace(/[\s\p{Pd}]/gu, "")
    .replace(/[IL]/g, "1")
    .replace(/O/g, "0");
  if (!/^[0-9A-HJKMNP-TV-Z]{25}$/.test(code) || weightedSum(code) !== 0) {
    throw new ConvosyncError("bad-recovery-code", Exit.noKey, "this recovery code was mistyped", [
      "it has 25 letters and digits in 5 groups; compare it with the one you wrote down",
    ]);
  }
  return grouped(code);
}

function grouped(code: string): string {
  return code.replace(/.{5}(?=.)/g, "$&-");
}

/** Horner's rule: Σ ci·α^(n-1-i). */
function weightedSum(code: string): number {
  let sum = 0;
  for (const character of code) sum = timesAlpha(sum) ^ ALPHABET.indexOf(character);
  return sum;
}

/** Multiplies by α = x in GF(2)[x] / (x^5 + x^2 + 1), where x is a generator. */
function timesAlpha(element: number): number {
  return element & 0x10 ? (element << 1) ^ 0x25 : element << 1;
}
