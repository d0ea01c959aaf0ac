import { describe, expect, test } from "vitest";
import { parsePorcelain } from "./transport.ts";

const main = "refs/heads/main";
const head = "refs/convosync/abcdefghijk23/head/zyxwvutsrqp76";
const session = "refs/convosync/abcdefghijk23/session/aaaabbbbccccdddd/zyxwvutsrqp76";

describe("push --porcelain", () => {
  test("is read line by line, whatever surrounds them", () => {
    const stdout = [
      "To https://u:p@host/x.git",
      `=\tHEAD:${main}\t[up to date]`,
      `*\t${"1".repeat(40)}:${head}\t[new reference]`,
      `-\t:${session}\t[deleted]`,
      "To second",
      `!\t${"1".repeat(40)}:${head}\t[remote rejected] (failed to update ref)`,
      "error: failed to push some refs to 'https://u:p@host/x.git'",
      "Done",
    ].join("\n");
    expect(parsePorcelain(stdout)).toEqual(
      new Map([
        [main, { ok: true, text: "[up to date]" }],
        [head, { ok: false, reason: "locked", text: "[remote rejected] (failed to update ref)" }],
        [session, { ok: true, text: "[deleted]" }],
      ]),
    );
  });

  test.each([
    ["[rejected] (stale info)", "stale-lease"],
    ["[rejected] (fetch first)", "fetch-first"],
    ["[rejected] (non-fast-forward)", "not-fast-forward"],
    ["[rejected] (atomic push failed)", "atomic"],
    ["[remote rejected] (atomic push failure)", "atomic"],
    ["[remote rejected] (atomic transaction failed)", "locked"],
    ["[remote rejected] (deny updating a hidden ref)", "hidden"],
    ["[remote rejected] (pre-receive hook declined)", "declined"],
    ["[remote rejected] (push declined due to repository rule violations)", "declined"],
    ["[remote rejected] (protected branch hook declined)", "declined"],
    ["[remote rejected] (cannot lock ref 'x': is at 1 but expected 2)", "stale-lease"],
    ["[remote rejected] (cannot lock ref 'x': reference already exists)", "stale-lease"],
    ["[remote rejected] (cannot lock ref 'x': Unable to create 'x.lock': File exists.)", "locked"],
    ["[remote failure] (remote failed to report status)", "other"],
  ])("%s is %s", (summary, reason) => {
    expect(parsePorcelain(`!\tHEAD:${main}\t${summary}\n`).get(main)?.reason).toBe(reason);
  });
});
