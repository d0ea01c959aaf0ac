// Bytes on the wire, everything included: age, padding, heads, git. Against what compression without encryption
// takes, and against git with the plain file.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { generated, inSteps, Project, reference, series } from "./fixtures.mjs";
import { rowsOf } from "./rows.mjs";
import { Wire } from "./wire.mjs";

const row = rowsOf("bytes", "bytes");

/** git as people use it for such a file: the whole of it, in the clear, in a commit on a branch. */
class PlainGit {
  /** @param {import("./lab.mjs").Lab} lab */
  constructor(lab) {
    this.machine = lab.machine("plain");
    this.work = this.machine.clone(lab.remote());
    this.wire = new Wire(this.machine, this.work);
  }

  /** Bytes sent for a commit that makes the file this. */
  save(content) {
    writeFileSync(join(this.work, "session.jsonl"), content);
    this.machine.git(this.work, "add", ".");
    this.machine.git(this.work, "commit", "-q", "-m", "Session");
    return this.wire.during(() => this.machine.git(this.work, "push", "-q", "origin", "HEAD")).sent;
  }
}

const brotli = (bytes) =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }).length;
const gzip = (bytes) => gzipSync(bytes, { level: 9 }).length;

/** Bytes of `zstd -19 --patch-from`; null where zstd is not installed. */
function zstdPatch(lab, before, after) {
  const args = ["-q", "-19", "--long=27", `--patch-from=${lab.file("before", before)}`, "-c"];
  const { error, status, stdout } = spawnSync("zstd", [...args, lab.file("after", after)], {
    maxBuffer: 2 ** 28,
  });
  return error || status !== 0 ? null : stdout.length;
}

/**
 * @param {import("./lab.mjs").Lab} lab
 * @returns {import("./rows.mjs").Row[]}
 */
export default function bytes(lab) {
  return [...oneSession(lab), ...allSeries(lab)];
}

/**
 * The first save and four steps: here, on a second device, and on both at once.
 * @returns {import("./rows.mjs").Row[]}
 */
function oneSession(lab) {
  const session = reference();
  const desktop = new Project(lab, "desktop").init();
  const laptop = new Project(lab, "laptop", desktop).init();
  const [here, there] = [desktop, laptop].map((one) => inSteps(session, one, 4));
  const save = (project) => () => project.convosync("save", "--no-code");
  const wires = [desktop, laptop].map((one) => new Wire(one.machine, one.work));
  const add = (i, lines) => {
    const project = [desktop, laptop][i];
    project.append(session.id, lines);
    return wires[i].during(save(project));
  };
  const text = (from, to) => [...here.first, ...[0, 1, 2, 3].flatMap(here.next)].slice(from, to).join("");
  const start = here.first.length;

  const plain = new PlainGit(lab);
  const first = add(0, here.first);
  const plainFirst = plain.save(text(0, start));
  const next = add(0, here.next(0));
  const plainNext = plain.save(text(0, start + 50));
  const unchanged = wires[0].during(save(desktop));
  const resumed = wires[1].during(() => laptop.convosync("resume", session.id, "--stay-on-branch"));
  const second = add(1, there.next(1));
  const caughtUp = wires[0].during(() => desktop.convosync("resume", session.id, "--stay-on-branch"));
  const split = [add(0, here.next(2)), add(1, there.next(3))];

  const transcript = Buffer.from(text(0, start));
  const fresh = Buffer.from(here.next(0).join(""));
  const steps = [
    { name: "+50 messages", ours: next.sent, after: [0] },
    { name: "+50 messages on the second device", ours: second.sent, after: [50] },
    // The second of these was written without knowing the first.
    { name: "+50 messages on both at once", ours: split[0].sent + split[1].sent, after: [100, 150] },
  ];
  const against = (name, bytes) => ({ name, samples: [bytes] });
  const name = `first push, ${(transcript.length / 1e6).toFixed(1)} MB`;
  return [
    row(name, against("brotli -9", brotli(transcript)), [first.sent], { times: 1.3 }),
    row(name, against("gzip -9", gzip(transcript)), [first.sent], { times: 0.75 }),
    row(name, against("plain git", plainFirst), [first.sent], { times: 1 }),
    row("+50 messages", against("plain git", plainNext), [next.sent], { times: 1 }),
    row("+50 messages", against("gzip -9 of the new lines", gzip(fresh)), [next.sent], { times: 0.65 }),
    ...steps.map(({ name, ours, after }) => {
      const patches = after.map((at) => {
        const base = text(0, start + Math.min(at, 100));
        return zstdPatch(lab, base, base + text(start + at, start + at + 50));
      });
      const known = patches.filter((bytes) => bytes !== null);
      if (known.length < patches.length)
        return row(name, null, [ours], null, { note: "zstd is not installed" });
      const sum = known.reduce((all, bytes) => all + bytes, 0);
      return row(name, against("zstd -19 --patch-from", sum), [ours], { times: 1.3 });
    }),
    row("nothing new", null, [unchanged.sent + unchanged.received], { most: 0 }),
    row("fetched by the second device", null, [resumed.received]),
    row("fetched back by the first", null, [caughtUp.received]),
  ];
}

/**
 * Sessions saved when they were really saved, one save after another.
 * @returns {import("./rows.mjs").Row[]}
 */
function allSeries(lab) {
  const real = series();
  const all = real.length > 0 ? real : [11, 12, 13].map(generated);
  const totals = { ours: 0, plain: 0 };
  const rows = all.map((session) => {
    const project = new Project(lab, "desktop").init();
    const wire = new Wire(project.machine, project.work);
    const plain = new PlainGit(lab);
    const lines = session.on(project);
    const sum = { ours: 0, plain: 0 };
    let saved = 0;
    for (const upto of session.saves) {
      project.append(session.id, lines.slice(saved, upto));
      saved = upto;
      sum.ours += wire.during(() => project.convosync("save", "--no-code")).sent;
      sum.plain += plain.save(lines.slice(0, upto).join(""));
    }
    totals.ours += sum.ours;
    totals.plain += sum.plain;
    return total(`${session.saves.length} saves of ${session.source}`, sum, 1);
  });
  return [...rows, total(`all ${all.length} series`, totals, 0.8)];
}

const total = (name, { ours, plain }, times) =>
  row(name, { name: "plain git", samples: [plain] }, [ours], { times });
