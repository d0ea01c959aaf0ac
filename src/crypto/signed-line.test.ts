import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { type Device, deviceSigner } from "./device.ts";
import { utf8 } from "./encoding.ts";
import { expectFailure, newDevice } from "./keyring.fixture.ts";
import { lineHash, readLine, signLine, verifyLine } from "./signed-line.ts";

let device: Device;
beforeAll(async () => {
  device = await newDevice();
});

const json = '{"v":1,"type":"head","title":"a é \u2028 title"}';
const SIGNATURE = "A".repeat(86);
const ID = "abcdefghij234567abcd";
const keyOf = (id: string) => (id === device.id ? device.signPub : undefined);
const badLine = expect.objectContaining({ code: "bad-line", exit: 6 });

test("a signed line verifies and says who signed", async () => {
  const line = await signLine("head", json, deviceSigner(device));
  expect(line.startsWith(`${json}\t${device.id}\t`)).toBe(true);
  expect(await verifyLine("head", line, keyOf)).toEqual({ json, device: device.id });
});

test("signatures are what format.md says", async () => {
  const { signature } = readLine(await signLine("join", json, deviceSigner(device)));
  expect(await deviceSigner(device).sign(utf8(`convosync/v1/join\0${json}`))).toEqual(signature);
});

test("a line of one kind is not valid as another", async () => {
  const line = await signLine("head", json, deviceSigner(device));
  await expectFailure(verifyLine("keyring", line, keyOf), "bad-signature", 6);
});

test("another device's key does not fit", async () => {
  const line = await signLine("head", json, deviceSigner(device));
  const stranger = await newDevice();
  await expectFailure(
    verifyLine("head", line, () => stranger.signPub),
    "bad-signature",
    6,
  );
  await expectFailure(
    verifyLine("head", line, () => undefined),
    "unknown-signer",
    6,
  );
});

test("every altered character is noticed", async () => {
  const line = await signLine("head", json, deviceSigner(device));
  for (let i = 0; i < line.length; i++) {
    const altered = `${line.slice(0, i)}${line[i] === "x" ? "y" : "x"}${line.slice(i + 1)}`;
    await expect(verifyLine("head", altered, keyOf), altered).rejects.toMatchObject({ exit: 6 });
  }
});

test("the hash covers the signature", async () => {
  const other = { device: device.id, sign: async () => new Uint8Array(64) };
  const hash = await lineHash(await signLine("head", json, deviceSigner(device)));
  expect(hash).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(await lineHash(await signLine("head", json, other))).not.toBe(hash);
  expect(await lineHash("abc")).toBe("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
});

describe("the splitter", () => {
  test.each([
    ["no part", ""],
    ["one part", json],
    ["two parts", `${json}\t${ID}`],
    ["four parts", `${json}\t${ID}\t${SIGNATURE}\t`],
    ["a TAB in the JSON", `{"a":\t1}\t${ID}\t${SIGNATURE}`],
    ["an LF at the end", `${json}\t${ID}\t${SIGNATURE}\n`],
    ["a CR at the end", `${json}\t${ID}\t${SIGNATURE}\r`],
    ["an LF in the JSON", `{"a":\n1}\t${ID}\t${SIGNATURE}`],
    ["a NUL in the JSON", `{"a":"\0"}\t${ID}\t${SIGNATURE}`],
    ["a lone surrogate", `{"a":"\ud800"}\t${ID}\t${SIGNATURE}`],
    ["no JSON", `\t${ID}\t${SIGNATURE}`],
    ["upper case in the id", `${json}\t${ID.toUpperCase()}\t${SIGNATURE}`],
    ["a short id", `${json}\t${ID.slice(1)}\t${SIGNATURE}`],
    ["a short signature", `${json}\t${ID}\t${SIGNATURE.slice(1)}`],
    ["a padded signature", `${json}\t${ID}\t${SIGNATURE}==`],
    ["a signature with stray bits", `${json}\t${ID}\t${SIGNATURE.slice(1)}B`],
  ])("refuses %s", (_name, line) => {
    expect(() => readLine(line)).toThrow(badLine);
  });

  test("is the inverse of joining, and takes nothing else", () => {
    const part = fc.oneof(
      fc.constantFrom(json, ID, SIGNATURE, "\t", "\n", ""),
      fc.string({ unit: "binary", maxLength: 6 }),
    );
    const near = fc.tuple(fc.oneof(part, fc.json()), part, part).map((parts) => parts.join("\t"));
    fc.assert(
      fc.property(
        fc.oneof(
          near,
          fc.json().map((text) => `${text}\t${ID}\t${SIGNATURE}`),
        ),
        (line) => {
          try {
            const split = readLine(line);
            expect(split.signature).toHaveLength(64);
            expect(line.split("\t")).toHaveLength(3);
            expect(line.startsWith(`${split.json}\t${split.device}\t`)).toBe(true);
          } catch (error) {
            expect(error).toEqual(badLine);
          }
        },
      ),
    );
  });

  test("takes every JSON text that JSON.stringify can write", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        expect(readLine(`${text}\t${ID}\t${SIGNATURE}`).json).toBe(text);
      }),
    );
  });
});

test("text of several lines is never signed", async () => {
  await expectFailure(signLine("head", "{\n}", deviceSigner(device)), "bad-line", 6);
});
