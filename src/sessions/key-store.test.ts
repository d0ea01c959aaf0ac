import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createDevice } from "../crypto/device.ts";
import { KeyStore } from "./key-store.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "convosync-keys-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

test("the keys of a device are never replaced by another's", async () => {
  const about = { name: "laptop", type: "laptop", created: "2026-01-02T03:04:05.000Z" } as const;
  const device = () => createDevice(about);
  const store = new KeyStore({ HOME: home });
  await store.saveDevice(await device());
  const before = readFileSync(store.devicePath, "utf8");
  await expect(store.saveDevice(await device())).rejects.toMatchObject({
    code: "device-exists",
    exit: 1,
    message: `this device has keys already, in ${store.devicePath}`,
  });
  expect(readFileSync(store.devicePath, "utf8")).toBe(before);
});
