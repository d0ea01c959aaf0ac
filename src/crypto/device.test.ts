import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { createDevice, type Device, formatDevice, parseDevice, withVault } from "./device.ts";
import { cleanName } from "./fields.ts";
import { expectFailure, newDevice, TS } from "./keyring.fixture.ts";
import { newId } from "./names.ts";
import { open, seal } from "./seal.ts";

const GENESIS = "A".repeat(43);
let device: Device;
let text: string;
beforeAll(async () => {
  device = withVault(await newDevice("Ann's laptop"), { vault: newId(), genesis: GENESIS });
  text = formatDevice(device);
});

test("device.txt returns the device", async () => {
  expect(await parseDevice(text)).toEqual(device);
  const two = withVault(device, { vault: newId(), genesis: GENESIS });
  expect(two.vaults).toHaveLength(2);
  expect(await parseDevice(formatDevice(two))).toEqual(two);
});

test("a vault entered twice is pinned once, to the last genesis", () => {
  const { vault } = device.vaults[0]!;
  const again = withVault(device, { vault, genesis: "E".repeat(43) });
  expect(again.vaults).toEqual([{ vault, genesis: "E".repeat(43) }]);
});

test("device.txt is an age identity file", async () => {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(lines).toEqual([device.identity]);
  expect(text).toContain(`# public key: ${device.recipient}\n`);
  const file = await seal(new Uint8Array(3), [device.recipient]);
  expect(await open(file, lines, "object")).toHaveLength(3);
});

test("it survives what editors and environment variables do to text", async () => {
  expect(await parseDevice(text.replaceAll("\n", "\r\n"))).toEqual(device);
  expect(await parseDevice(text.trimEnd())).toEqual(device);
  expect(await parseDevice(`${text}\n# a note of mine\n`)).toEqual(device);
});

test("every line that is altered or lost is noticed, and never quoted", async () => {
  const other = formatDevice(withVault(await newDevice(), { vault: newId(), genesis: GENESIS }));
  const mine = text.split("\n");
  const theirs = other.split("\n");
  for (const [i, line] of mine.entries()) {
    if (line === "" || /^# (name|type|created|vault|Secret)/.test(line)) continue;
    const without = mine.toSpliced(i, 1).join("\n");
    await expectFailure(parseDevice(without), "damaged-device-file", 6);
    if (line === theirs[i]) continue;
    const error = await parseDevice(mine.with(i, theirs[i]!).join("\n")).catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: "damaged-device-file" });
    expect(String(error)).not.toContain(device.identity.slice(-20));
    expect(String(error)).not.toContain(device.signSeed);
  }
});

test.each<[string, (text: string) => string]>([
  ["nothing", () => ""],
  ["another file", () => "# created: today\nAGE-SECRET-KEY-1QQ\n"],
  ["two identities", (text) => `${text}${text.trimEnd().split("\n").at(-1)}\n`],
  ["a field twice", (text) => text.replace("# type:", "# name: other\n# type:")],
  ["an unknown type", (text) => text.replace("# type: laptop", "# type: toaster")],
  ["a name of two lines", (text) => text.replace("# name: ", "# name: a\u2028b")],
  ["a name with an escape", (text) => text.replace("# name: ", "# name: \x1b[31m")],
  ["a long name", (text) => text.replace("# name: ", `# name: ${"a".repeat(65)}`)],
  ["no name", (text) => text.replace(/# name: .*/, "# name: ")],
  ["no date", (text) => text.replace(/# created: .*/, "# created: yesterday")],
  ["a vault twice", (text) => text.replace(/(# vault: .*\n)/, "$1$1")],
  ["a short vault", (text) => text.replace(/# vault: ./, "# vault: ")],
  ["a vault without genesis", (text) => text.replace(/(# vault: \S+) .*/, "$1")],
  ["a prototype", (text) => text.replace(/# name: .*/, "# __proto__: x")],
  ["64 KiB", (text) => text + "#\n".repeat(40_000)],
])("a file with %s is damaged", async (_name, alter) => {
  const altered = alter(text);
  expect(altered).not.toBe(text);
  await expectFailure(parseDevice(altered), "damaged-device-file", 6);
});

test("a later version says so", async () => {
  await expectFailure(parseDevice(text.replace("device 1", "device 2")), "newer-version", 1);
});

test("a device is named by what it was called, made safe", async () => {
  const called = (name: string) =>
    createDevice({ name, type: "phone", created: TS }).then(({ name }) => name);
  expect(await called("  Ann's\tphone\n")).toBe("Ann's phone");
  expect(await called("\u202eevil\x1b[2J")).toBe("evil [2J");
  expect(await called("\u200b\n")).toBe("phone");
  expect(await called("💻".repeat(70))).toBe("💻".repeat(64));
});

test("cleaning a name twice changes nothing", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (name) => {
      const clean = cleanName(name);
      expect(cleanName(clean)).toBe(clean);
      expect([...clean].length).toBeLessThanOrEqual(64);
      expect(clean).not.toMatch(/[\p{Cc}\p{Bidi_Control}\p{Cs}\p{Zl}\p{Zp}]/u);
    }),
    { numRuns: 1000 },
  );
});

test("two devices have nothing in common", async () => {
  const [a, b] = [await newDevice(), await newDevice()];
  for (const key of ["id", "identity", "recipient", "signSeed", "signPub"] as const) {
    expect(a[key]).not.toBe(b[key]);
  }
});
