import { expect, test } from "vitest";
import { Chores } from "./chores.ts";

test("chores are done in their order, those too that come up meanwhile, and one that fails stops no other", async () => {
  const chores = new Chores();
  const done: string[] = [];
  chores.later(async () => {
    await new Promise((next) => setImmediate(next));
    done.push("first");
    chores.later(async () => void done.push("from within"));
  });
  chores.later(() => Promise.reject(new Error("the disk is full")));
  chores.later(async () => void done.push("second"));
  expect(done).toEqual([]);
  const doing = chores.do();
  await chores.do();
  expect(done).toEqual(["first", "second", "from within"]);
  await doing;
  await chores.do();
  expect(done).toHaveLength(3);
});
