// Old sessions move into archives, long ones are repacked; nobody who reads them notices.

import { describe, expect, test } from "vitest";
import { done, lines, type Machine, pair, type Sandbox } from "./harness.ts";

const ids = Array.from(
  { length: 24 },
  (_, at) => `${String(at).padStart(8, "0")}-0000-4000-8000-000000000000`,
);
const [oldest = ""] = ids;

const refs = (box: Sandbox, kind: string): string[] =>
  box
    .remoteGit("for-each-ref", "--format=%(refname)", "refs/convosync")
    .split("\n")
    .filter((ref) => ref.includes(`/${kind}/`));

const titles = async (machine: Machine): Promise<string[]> =>
  (await machine.json("list", "--all")).document["sessions"].map((one: { id: string }) => one.id).sort();

/** A desktop with more sessions than it may have refs, which were folded by a sync. */
async function folded(): Promise<Sandbox> {
  const box = await pair();
  const { desktop } = box;
  desktop.git("config", "convosync.hotRefs", "16");
  for (const id of ids) desktop.say(0, 1, id);
  done(await desktop.run("save", "--all-sessions", "--no-code"));
  expect(refs(box, "session")).toHaveLength(ids.length);
  done(await desktop.run("sync"));
  return box;
}

describe("folding", () => {
  test("keeps few refs; every session is listed, verified and resumed as before", async () => {
    const box = await folded();
    const { desktop, laptop } = box;
    expect(refs(box, "session").length).toBeLessThanOrEqual(16);
    expect(refs(box, "archive")).toHaveLength(1);
    expect(await titles(desktop)).toEqual(ids);
    done(await desktop.run("verify"));
    done(await laptop.run("sync"));
    expect(await titles(laptop)).toEqual(ids);
    const folder = refs(box, "session")[0]!.split("/")[4]!;
    const hot = ids.filter((id) => id !== oldest);
    expect(folder).toMatch(/^[a-z2-7]{16}$/);
    for (const id of [oldest, hot.at(-1)!]) {
      done(await laptop.run("resume", id));
      laptop.hears(1, id);
    }
    done(await laptop.run("verify"));
    // Nothing is due any more, and nothing waits.
    expect((await desktop.json("sync")).document).toMatchObject({ pushed: [], queued: [] });
  });

  test("a folded session is taken up again, on either machine", async () => {
    const box = await folded();
    const { desktop, laptop } = box;
    done(await laptop.run("sync"));
    done(await laptop.run("resume", oldest));
    laptop.say(1, 2, oldest);
    done(await laptop.run("save", "--session", oldest, "--no-code"));
    done(await desktop.run("resume", oldest));
    desktop.hears(2, oldest);
    desktop.say(2, 3, oldest);
    const { document } = await desktop.json("save", "--session", oldest, "--no-code");
    expect(document).toMatchObject({ messages: lines(3), newMessages: lines(1), snapshot: 3 });
    done(await laptop.run("resume", oldest));
    laptop.hears(3, oldest);
    done(await desktop.run("verify"));
    done(await laptop.run("verify"));
  });

  test("deleting out of an archive is real: its bytes are reachable from nothing", async () => {
    const box = await folded();
    const { desktop } = box;
    const archive = refs(box, "archive")[0]!;
    const blobs = (): Set<string> =>
      new Set(
        box
          .remoteGit("rev-list", "--objects", "--glob=refs/convosync/*")
          .split("\n")
          .map((line) => line.slice(0, 40)),
      );
    const folders = (): string[] => box.remoteGit("ls-tree", "--name-only", archive).split("\n");
    const before = { blobs: blobs(), folders: folders() };
    // Another session of the same archive goes on: it must not keep the archive alive.
    desktop.say(1, 2, ids[1]);
    done(await desktop.run("save", "--session", ids[1]!, "--no-code"));
    done(await desktop.run("delete", oldest, "--yes"));
    const gone = before.folders.filter((dir) => !folders().includes(dir));
    expect(gone).toHaveLength(1);
    const after = blobs();
    const lost = [...before.blobs].filter((oid) => !after.has(oid));
    expect(lost.length).toBeGreaterThanOrEqual(3);
    expect(await titles(desktop)).toEqual(ids.slice(1));
    done(await desktop.run("verify"));
  });

  test("a remote that was reset gets its archives back", async () => {
    const box = await folded();
    for (const ref of [...refs(box, "archive"), ...refs(box, "session"), ...refs(box, "head")]) {
      box.remoteGit("update-ref", "-d", ref);
    }
    done(await box.desktop.run("sync", "--retry"));
    expect(refs(box, "archive")).toHaveLength(1);
    done(await box.desktop.run("verify"));
  });
});

describe("gc", () => {
  test("repacks a session of very many saves; both machines go on with it", async () => {
    const box = await pair();
    const { desktop, laptop } = box;
    for (let turn = 0; turn < 70; turn++) {
      desktop.say(turn, turn + 1);
      done(await desktop.run("save", "--no-code", "--no-push"));
    }
    done(await desktop.run("sync"));
    done(await laptop.run("resume"));
    laptop.say(70, 71);
    done(await laptop.run("save", "--no-code"));
    const { document } = await desktop.json("gc");
    expect(document).toMatchObject({ compacted: 1, pushed: true });
    done(await desktop.run("verify"));
    done(await desktop.run("resume"));
    desktop.hears(71);
    desktop.say(71, 72);
    const saved = await desktop.json("save", "--no-code");
    expect(saved.document).toMatchObject({ messages: lines(72), newMessages: lines(1), snapshot: 72 });
    done(await laptop.run("resume"));
    laptop.hears(72);
    expect((await desktop.json("gc")).document).toMatchObject({ folded: 0 });
  });

  test("is not waited for by a session of very many saves: sync repacks it in passing, once", async () => {
    const { desktop, laptop } = await pair();
    const saves = 520;
    for (let turn = 0; turn < saves; turn++) {
      desktop.say(turn, turn + 1);
      done(await desktop.run("save", "--no-code", "--no-push"));
    }
    const tip = (): string =>
      desktop.git("for-each-ref", "--format=%(objectname)", "refs/convosync/*/session/**");
    const segments = (): number =>
      desktop
        .git("ls-tree", "-r", "--name-only", tip())
        .split("\n")
        .filter((path) => /^segment\//.test(path)).length;
    expect(segments()).toBe(saves);
    done(await desktop.run("sync"));
    expect(segments()).toBeLessThan(10);
    const before = tip();
    done(await desktop.run("sync"));
    expect(tip()).toBe(before);
    done(await desktop.run("verify"));
    done(await laptop.run("resume"));
    laptop.hears(saves);
    desktop.say(saves, saves + 1);
    done(await desktop.run("save", "--no-code"));
    done(await laptop.run("resume"));
    laptop.hears(saves + 1);
  });
});
