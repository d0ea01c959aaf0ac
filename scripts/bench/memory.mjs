// Peak resident memory with a long transcript.
import { createCipheriv } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { conversation, sessionId, take } from "./conversation.mjs";
import { Project } from "./fixtures.mjs";
import { rowsOf } from "./rows.mjs";

const most = 250_000_000;

/**
 * @param {import("./lab.mjs").Lab} lab
 * @returns {import("./rows.mjs").Row[]}
 */
export default function memory(lab) {
  return [...transcript(lab, "memory", lab.options.quick ? 10_000_000 : 100_000_000), ...longLine(lab)];
}

/**
 * Only when asked for by name.
 * @param {import("./lab.mjs").Lab} lab
 * @returns {import("./rows.mjs").Row[]}
 */
export const scale = (lab) => transcript(lab, "scale", 300_000_000);

/** @returns {import("./rows.mjs").Row[]} */
function transcript(lab, group, bytes) {
  const desktop = new Project(lab, "desktop").init();
  const laptop = new Project(lab, "laptop", desktop).init();
  const id = sessionId(1);
  const lines = conversation({ seed: 5, session: id, cwd: desktop.work, branch: "main" });
  desktop.append(id, []);
  const file = openSync(desktop.transcript(id), "a");
  const write = (size) => {
    for (let written = 0; written < size; ) written += writeSync(file, take(lines, 50).join(""));
  };
  const name = `${bytes / 1_000_000} MB`;
  try {
    write(bytes);
    const first = desktop.convosync("save", "--no-code");
    write(1_000_000);
    const again = desktop.convosync("save", "--no-code");
    const resumed = laptop.convosync("resume", id, "--stay-on-branch");
    const shown = laptop.convosync("show", "--raw", id);
    return [
      ...used(group, `save, ${name}`, first),
      ...used(group, `save, 1 MB after ${name}`, again),
      ...used(group, `resume, ${name}`, resumed),
      ...used(group, `show --raw, ${name}`, shown),
    ];
  } finally {
    closeSync(file);
  }
}

/**
 * One line of 30 MB among ordinary ones.
 * @returns {import("./rows.mjs").Row[]}
 */
function longLine(lab) {
  const desktop = new Project(lab, "desktop").init();
  const laptop = new Project(lab, "laptop", desktop).init();
  const megabytes = lab.options.quick ? 3 : 30;
  const id = sessionId(2);
  const lines = conversation({ seed: 6, session: id, cwd: desktop.work, branch: "main" });
  const record = JSON.parse(take(lines, 3)[2]);
  const image = noise(750_000 * megabytes).toString("base64");
  record.message = { role: "user", content: [{ type: "image", source: { type: "base64", data: image } }] };
  desktop.append(id, [...take(lines, 20), `${JSON.stringify(record)}\n`, ...take(lines, 20)]);
  const saved = desktop.convosync("save", "--no-code");
  const resumed = laptop.convosync("resume", id, "--stay-on-branch");
  return [
    ...used("memory", `save, a line of ${megabytes} MB`, saved),
    ...used("memory", `resume, a line of ${megabytes} MB`, resumed),
  ];
}

/** Bytes that do not compress, the same each time: an image, as far as packing is concerned. */
const noise = (length) =>
  createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(length));

/** @returns {import("./rows.mjs").Row[]} */
function used(group, row, { rss, ms }) {
  return [
    rowsOf(group, "bytes")(`${row}: peak memory`, null, [rss], { most }),
    rowsOf(group, "ms")(`${row}: time`, null, [ms]),
  ];
}
