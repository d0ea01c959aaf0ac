import { chmodSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { lostHere } from "./lost-objects.ts";
import { makeRepository, type TestRepository } from "./repositories.fixture.ts";

const ours = "refs/convosync/abcdefghijk23/head/zyxwvutsrqp76";
const broken = "refs/convosync/abcdefghijk23/keyring";

let made: TestRepository;
/** An object of the user's, one of ours that is torn, and one that is nowhere. */
const oids = { users: "", torn: "", absent: "1".repeat(40) };

beforeAll(async () => {
  made = await makeRepository("normal");
  const { git, repository } = made;
  oids.users = await git.text(["hash-object", "-w", "--stdin"], { input: "theirs" });
  const blob = await git.text(["hash-object", "-w", "--stdin"], { input: "ours".repeat(100) });
  const tree = await git.text(["mktree"], { input: `100644 blob ${blob}\thead.age\n` });
  await git.run(["update-ref", ours, await git.text(["commit-tree", "-m", "x", tree])]);
  for (const oid of [oids.users, blob]) {
    const file = join(repository.commonDir, "objects", oid.slice(0, 2), oid.slice(2));
    chmodSync(file, 0o600);
    truncateSync(file, 15);
  }
  oids.torn = blob;
  const file = join(repository.commonDir, broken);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "");
});
afterAll(() => made.remove());

test.each<[string, () => string, string | null]>([
  ["an object of ours", () => `fatal: loose object ${oids.torn} (stored in x) is corrupt`, "missing-object"],
  [
    "its file",
    () => `error: object file .git/objects/${oids.torn.replace(/^../, "$&/")} is empty`,
    "missing-object",
  ],
  ["a ref of ours", () => `fatal: bad object ${broken}`, "broken-ref"],
  ["a ref of ours that is whole here", () => `fatal: bad object ${ours}`, null],
  ["a ref that is not here", () => "fatal: bad object refs/convosync/abcdefghijk23/head/aaaaaaaaaaaa2", null],
  ["an object of the user's", () => `error: corrupt loose object '${oids.users}'`, null],
  ["an object that is nowhere", () => `fatal: bad object ${oids.absent}`, null],
  ["a pack", () => `error: .git/objects/pack/pack-${oids.absent}.pack pack checksum mismatch`, null],
  ["what the remote says of its own", () => `remote: fatal: loose object ${oids.torn} is corrupt`, null],
  ["the same, as git passes it on", () => `fatal: remote error: upload-pack: not our ref ${oids.torn}`, null],
])("git complains of %s", async (_, complaint, code) => {
  const error = await lostHere(made.git, `${complaint()}\n`);
  expect(error?.code ?? null).toBe(code);
});
