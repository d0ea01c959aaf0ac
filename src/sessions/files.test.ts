import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { processName } from "../leftovers.ts";
import { readCache, readChecked, readIfPresent, withLock, writeAtomic, writeChecked } from "./files.ts";

let base: string;
let lock: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "convosync-files-"));
  lock = join(base, "deep", "lock");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** The id of a process that has ended. */
const endedPid = (): number => spawnSync(process.execPath, ["-e", ""]).pid;

async function heldBy(content: string, ageMs = 0): Promise<void> {
  await writeAtomic(lock, content);
  const then = (Date.now() - ageMs) / 1000;
  utimesSync(lock, then, then);
}

describe("withLock", () => {
  test("runs one after another, whoever comes when, and leaves nothing behind", async () => {
    let inside = 0;
    let most = 0;
    const order = Array.from({ length: 12 }, (_, index) =>
      withLock(lock, 10_000, async () => {
        most = Math.max(most, ++inside);
        await sleep(index % 3);
        inside--;
        return index;
      }),
    );
    expect(await Promise.all(order)).toEqual(Array.from({ length: 12 }, (_, index) => index));
    expect(most).toBe(1);
    expect(readdirSync(join(base, "deep"))).toEqual([]);
  });

  test("is given back when the work fails", async () => {
    await expect(withLock(lock, 100, () => Promise.reject(new Error("work")))).rejects.toThrow("work");
    expect(existsSync(lock)).toBe(false);
    expect(await withLock(lock, 100, () => Promise.resolve(1))).toBe(1);
  });

  test("held by a living process: fails after the wait, names the file, and leaves it", async () => {
    const content = `${process.pid}@${hostname()}@abcd1234`;
    await heldBy(content);
    const error = await withLock(lock, 100, () => Promise.resolve(1)).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "locked", exit: 1 });
    expect((error as { hints: string[] }).hints.join()).toContain(lock);
    expect(readFileSync(lock, "utf8")).toBe(content);
  });

  test("held by a process that has ended: taken over, by one at a time", async () => {
    await heldBy(`${endedPid()}@${hostname()}@abcd1234`);
    let inside = 0;
    const all = Array.from({ length: 6 }, () =>
      withLock(lock, 10_000, async () => {
        expect(++inside).toBe(1);
        await sleep(5);
        inside--;
      }),
    );
    await Promise.all(all);
    expect(readdirSync(join(base, "deep"))).toEqual([]);
  });

  const seen = existsSync("/proc/self/stat");

  test.runIf(seen)("held by one that has ended, and whose parent never asks (needs /proc)", async () => {
    // The shell is gone, and with it who would ask, by the time that the first sleep ends.
    const parent = spawn("sh", ["-c", "sleep 0.5 & echo $!; exec sleep 60"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [said] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(said.toString());
    await expect
      .poll(() => readFileSync(`/proc/${pid}/stat`, "latin1"), { timeout: 10_000 })
      .toMatch(/\) Z /);
    await heldBy(`${pid}@${hostname()}@abcd1234`);
    expect(await withLock(lock, 100, () => Promise.resolve(1))).toBe(1);
    parent.kill();
  });

  test.runIf(seen)("held by one whose number is another program's by now (needs /proc)", async () => {
    const mine = processName();
    await heldBy(mine);
    await expect(withLock(lock, 100, () => Promise.resolve(1))).rejects.toMatchObject({ code: "locked" });
    await heldBy(`${mine}0`);
    expect(await withLock(lock, 100, () => Promise.resolve(1))).toBe(1);
  });

  test("held on another host, or in a container: kept, until it has not been touched for long", async () => {
    await heldBy(`${endedPid()}@elsewhere@abcd1234`, 10 * 60_000);
    await expect(withLock(lock, 100, () => Promise.resolve(1))).rejects.toMatchObject({ code: "locked" });
    await heldBy(`${endedPid()}@elsewhere@abcd1234`, 20 * 60_000);
    expect(await withLock(lock, 100, () => Promise.resolve(1))).toBe(1);
  });

  test("is touched while it is held", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    try {
      await withLock(lock, 100, async () => {
        const longAgo = (Date.now() - 3_600_000) / 1000;
        utimesSync(lock, longAgo, longAgo);
        vi.advanceTimersByTime(61_000);
        await expect.poll(() => Date.now() - statSync(lock).mtimeMs).toBeLessThan(600_000);
      });
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test("a lock without a holder's name: young ones are being written, old ones were left by a crash", async () => {
    await heldBy("");
    await expect(withLock(lock, 100, () => Promise.resolve(1))).rejects.toMatchObject({ code: "locked" });
    await heldBy("", 10_000);
    expect(await withLock(lock, 100, () => Promise.resolve(1))).toBe(1);
  });

  test("who was broken does not remove the new holder's lock", async () => {
    await withLock(lock, 100, async () => {
      await writeAtomic(lock, "somebody else");
    });
    expect(readFileSync(lock, "utf8")).toBe("somebody else");
  });
});

describe("writeAtomic", () => {
  test("makes folders, sets the mode, replaces as a whole, leaves no temporary file", async () => {
    const path = join(base, "a", "b", "file");
    await writeAtomic(path, "one");
    await writeAtomic(path, new Uint8Array([1, 2, 3]), 0o640);
    expect([...readFileSync(path)]).toEqual([1, 2, 3]);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(statSync(join(base, "a")).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(base, "a", "b"))).toEqual(["file"]);
  });

  test("when it cannot, the old file and no temporary one is there", async () => {
    const path = join(base, "folder");
    await writeAtomic(join(path, "inside"), "x");
    await expect(writeAtomic(path, "file over a folder")).rejects.toThrow();
    expect(readdirSync(base)).toEqual(["folder"]);
  });
});

describe("caches", () => {
  const schema = v.object({ v: v.literal(1), name: v.string() });

  test.for(["", "{", "null", "[]", '{"v":2,"name":"x"}', '{"v":1}', "\u0000\u0000", '{"v":1,"name":7}'])(
    "%j is no cache of ours",
    async (content) => {
      writeFileSync(join(base, "cache"), content);
      expect(await readCache(join(base, "cache"), schema)).toBeNull();
    },
  );

  test("what is one is read; what is absent is null", async () => {
    writeFileSync(join(base, "cache"), '{"v":1,"name":"x"}');
    expect(await readCache(join(base, "cache"), schema)).toEqual({ v: 1, name: "x" });
    expect(await readCache(join(base, "none"), schema)).toBeNull();
    expect(await readIfPresent(join(base, "cache", "below-a-file"))).toBeNull();
    await expect(readIfPresent(base)).rejects.toThrow(`${base} is a folder, not a file`);
  });

  test("what was checked before is read as it was written, and not when a byte of it is another", async () => {
    const path = join(base, "checked");
    expect(await readChecked(path)).toBeNull();
    const value = { name: "ü\n", list: [1, 2, { deep: null }] };
    await writeChecked(path, value);
    expect(await readChecked(path)).toEqual(value);
    const bytes = readFileSync(path);
    renameSync(path, join(base, "elsewhere"));
    expect(await readChecked(join(base, "elsewhere"))).toBeNull();
    for (let at = 0; at < bytes.length; at++) {
      const other = Buffer.from(bytes);
      other[at]! ^= 1;
      writeFileSync(path, other);
      expect(await readChecked(path)).toBeNull();
    }
    for (const length of [0, 1, bytes.indexOf("\n"), bytes.length - 1]) {
      writeFileSync(path, bytes.subarray(0, length));
      expect(await readChecked(path)).toBeNull();
    }
  });
});
