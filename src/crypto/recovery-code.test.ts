import fc from "fast-check";
import { expect, test } from "vitest";
import { newRecoveryCode, parseRecoveryCode } from "./recovery-code.ts";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const codes = Array.from({ length: 20 }, newRecoveryCode);
const bare = (code: string) => code.replaceAll("-", "");
const accepted = (code: string) => {
  try {
    parseRecoveryCode(code);
    return true;
  } catch {
    return false;
  }
};

test("a code is 25 characters of Crockford's alphabet in 5 groups", () => {
  for (const code of codes) {
    expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{5}$/);
    expect(parseRecoveryCode(code)).toBe(code);
  }
  expect(new Set(codes).size).toBe(codes.length);
});

test("a frozen code stays valid", () => {
  // Σ ci·α^(24-i) = 0: the last character is α·1 = 2 when the one before is 1, α²·1 = 4 one place further.
  expect(parseRecoveryCode("00000-00000-00000-00000-00012")).toBe("00000-00000-00000-00000-00012");
  expect(parseRecoveryCode("00000-00000-00000-00000-00104")).toBe("00000-00000-00000-00000-00104");
  // α^5 = α² + 1 in the field
  expect(parseRecoveryCode("00000-00000-00000-00001-00005")).toBe("00000-00000-00000-00001-00005");
});

test("it may be typed as people type", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...codes),
      fc.array(fc.constantFrom("", " ", "-", "–", "\n", "  "), { minLength: 25, maxLength: 25 }),
      fc.array(fc.boolean(), { minLength: 25, maxLength: 25 }),
      (code, gaps, lower) => {
        const typed = [...bare(code)].map((character, i) => {
          const look = { "0": "O", "1": lower[i] ? "L" : "I" }[character] ?? character;
          return (lower[i] ? look.toLowerCase() : look) + gaps[i];
        });
        return parseRecoveryCode(typed.join("")) === code;
      },
    ),
  );
});

test("every single wrong character is noticed", () => {
  for (const code of codes.slice(0, 5).map(bare)) {
    for (let i = 0; i < 25; i++) {
      for (const other of ALPHABET) {
        if (other === code[i]) continue;
        expect(accepted(code.slice(0, i) + other + code.slice(i + 1))).toBe(false);
      }
    }
  }
});

test("every exchange of two different characters is noticed, adjacent or not", () => {
  for (const code of codes.map(bare)) {
    for (let i = 0; i < 25; i++) {
      for (let j = i + 1; j < 25; j++) {
        if (code[i] === code[j]) continue;
        const typed = [...code];
        [typed[i], typed[j]] = [typed[j]!, typed[i]!];
        expect(accepted(typed.join(""))).toBe(false);
      }
    }
  }
});

test("two equal characters mistyped alike are noticed", () => {
  const zeros = "0".repeat(25);
  for (let i = 0; i < 25; i++) {
    for (let j = i + 1; j < 25; j++) {
      const typed = [...zeros];
      typed[i] = "7";
      typed[j] = "7";
      expect(accepted(typed.join(""))).toBe(false);
    }
  }
});

test("what cannot be a code is said to be mistyped", () => {
  const code = bare(codes[0]!);
  for (const typed of ["", code.slice(1), `${code}0`, `${code.slice(1)}U`, code.replace(/.$/, "é")]) {
    expect(() => parseRecoveryCode(typed), typed).toThrow(
      expect.objectContaining({
        code: "bad-recovery-code",
        exit: 7,
        message: expect.stringContaining("mistyped"),
      }),
    );
  }
});
