import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createDevice } from "../crypto/device.ts";
import { isSameClone, KeyStore, stamp } from "./key-store.ts";

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

test("a clone is known again after it was moved, and after its disk was given another number; a copy is another", () => {
  const clone = { dir: "/home/me/shop/.git", dev: 66306, ino: 1200, born: 1_764_490_000_123 };
  expect(isSameClone(clone, clone)).toBe(true);
  expect(isSameClone(clone, { ...clone, dir: "/home/me/moved/.git" })).toBe(true);
  expect(isSameClone(clone, { ...clone, dev: 40 })).toBe(true);
  expect(isSameClone(clone, { ...clone, dev: 40, ino: 7 })).toBe(true);
  // A copy, also one that took its place; and a snapshot of the disk, elsewhere.
  expect(isSameClone(clone, { ...clone, dir: "/home/me/copy/.git", ino: 1300, born: clone.born + 9 })).toBe(
    false,
  );
  expect(isSameClone(clone, { ...clone, ino: 1300, born: clone.born + 9 })).toBe(false);
  expect(isSameClone(clone, { ...clone, dir: "/snapshots/1/me/shop/.git", dev: 41 })).toBe(false);
  const unborn = { ...clone, born: 0 };
  expect(isSameClone(unborn, { ...unborn, dev: 40 })).toBe(true);
  expect(isSameClone(unborn, { ...unborn, ino: 1300 })).toBe(false);
});

test("where the system does not tell which directory one is, a clone says so itself, and a copy of it is another", async () => {
  const commonDir = join(home, "shop/.git");
  mkdirSync(commonDir, { recursive: true });
  const unborn = { dir: commonDir, dev: 39, ino: 8, born: 0 };
  const store = new KeyStore({ HOME: home });
  await store.update((state) => {
    const clones = [{ replica: "aaaaaaaaaaaaa", ...unborn }];
    state.repos["repo"] = { vault: "vault", heads: {}, clones };
  });
  const mountedAnew = { ...unborn, dev: 40, ino: 179 };
  expect(await store.replica("repo", commonDir, mountedAnew)).toBeNull();
  await stamp(commonDir, unborn, "aaaaaaaaaaaaa");
  expect(await store.replica("repo", commonDir, mountedAnew)).toBe("aaaaaaaaaaaaa");
  const copied = join(home, "copy/.git");
  cpSync(commonDir, copied, { recursive: true });
  expect(await store.replica("repo", copied, { ...mountedAnew, dir: copied, ino: 200 })).toBeNull();
  // One that the system does tell needs no word of its own.
  rmSync(join(commonDir, "convosync"), { recursive: true });
  await stamp(commonDir, { ...unborn, born: 1_764_490_000_123 }, "aaaaaaaaaaaaa");
  expect(existsSync(join(commonDir, "convosync"))).toBe(false);
});
