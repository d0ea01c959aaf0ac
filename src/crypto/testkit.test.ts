import { createHash } from "node:crypto";
import { inflateSync } from "node:zlib";
import * as testkit from "cctv-age";
import { describe, expect, test } from "vitest";
import { fromUtf8 } from "./encoding.ts";
import { open, openWithPassphrase } from "./seal.ts";

// The C2SP testkit for age, run against our own doors, so that the header limits in front of age are tested too.

const { SLOW } = process.env;

interface Vector {
  readonly name: string;
  readonly expect: string;
  readonly payload: string | undefined;
  readonly identities: readonly string[];
  readonly passphrases: readonly string[];
  readonly armored: boolean;
  readonly file: Uint8Array;
}

const VECTORS = Object.entries(testkit as unknown as Record<string, Uint8Array>).map(([name, bytes]) =>
  parse(name, bytes),
);

function parse(name: string, bytes: Uint8Array): Vector {
  const end = bytes.findIndex((byte, i) => byte === 0x0a && bytes[i + 1] === 0x0a);
  const fields = fromUtf8(bytes.subarray(0, end))
    .split("\n")
    .map((line) => line.split(": ", 2));
  const all = (wanted: string) => fields.flatMap(([key, value = ""]) => (key === wanted ? [value] : []));
  const file = bytes.subarray(end + 2);
  return {
    name,
    expect: all("expect")[0] ?? "",
    payload: all("payload")[0],
    identities: all("identity"),
    passphrases: all("passphrase"),
    armored: all("armored").length > 0,
    file: all("compressed").length > 0 ? inflateSync(file) : file,
  };
}

function skipReason({ name, armored, identities }: Vector): string | undefined {
  if (armored) return "we never write armor and refuse it, see below";
  if (identities.some((identity) => identity.startsWith("AGE-SECRET-KEY-PQ-"))) return "kem x25519 only";
  if (/^stream_25[78]_chunks/.test(name) && SLOW === undefined) return "16 MB, only with SLOW=1";
  return undefined;
}

/** Where the limits decide before age does. */
const STRICTER: Record<string, string> = {
  scrypt_uppercase: "bad-header",
};

function expectedCodes(vector: Vector): string[] {
  const stricter = STRICTER[vector.name];
  if (stricter !== undefined) return [stricter];
  switch (vector.expect) {
    case "no match":
      return ["no-key", "wrong-recovery-code"];
    case "header failure":
      return ["bad-header", "damaged-object"];
    default:
      return ["damaged-object"];
  }
}

describe("the age testkit", () => {
  test("is complete", () => {
    expect(VECTORS).toHaveLength(143);
    expect(VECTORS.filter((vector) => skipReason(vector) === undefined).length).toBeGreaterThan(85);
  });

  for (const vector of VECTORS) {
    const reason = skipReason(vector);
    test.skipIf(reason !== undefined)(`${vector.name}${reason ? ` (${reason})` : ""}`, async () => {
      const { file, identities, passphrases } = vector;
      const opened =
        passphrases.length > 0 ? openWithPassphrase(file, passphrases[0]!) : open(file, identities, "vault");
      if (vector.expect === "success") {
        expect(
          createHash("sha256")
            .update(await opened)
            .digest("hex"),
        ).toBe(vector.payload);
      } else {
        const error = await opened.then(
          () => undefined,
          (reason: { code?: string }) => reason,
        );
        expect(expectedCodes(vector)).toContain(error?.code);
      }
    });
  }

  test("armored files are refused, good or bad", async () => {
    const armored = VECTORS.filter((vector) => vector.armored);
    expect(armored.length).toBeGreaterThan(30);
    for (const { file, identities } of armored) {
      await expect(open(file, identities, "vault")).rejects.toMatchObject({ code: "bad-header" });
    }
  });

  test("as an object, a file has exactly one stanza", async () => {
    const several = VECTORS.filter(({ name }) => /^x25519_(multiple_recipients|grease)$/.test(name));
    expect(several).toHaveLength(2);
    for (const { file, identities } of several) {
      await expect(open(file, identities, "object")).rejects.toMatchObject({ code: "bad-header" });
    }
  });
});
