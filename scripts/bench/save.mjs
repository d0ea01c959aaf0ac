// Save and resume of the reference session, against the bare git command that moves as many bytes.
import { BareGit } from "./bare-git.mjs";
import { inSteps, Project, reference } from "./fixtures.mjs";
import { interleave, rowsOf } from "./rows.mjs";

const row = rowsOf("save", "ms");

/**
 * @param {import("./lab.mjs").Lab} lab
 * @returns {import("./rows.mjs").Row[]}
 */
export default function save(lab) {
  const { runs } = lab.options;
  const session = reference();
  const coded = new Project(lab, "desktop").init();
  const alone = new Project(lab, "laptop").init();
  const bare = new BareGit(lab);
  const steps = inSteps(session, coded, runs + 1);
  const others = inSteps(session, alone, runs + 1);
  coded.append(session.id, steps.first);
  alone.append(session.id, others.first);
  const first = alone.convosync("save", "--no-code", "--json");
  const firstPush = bare.push(sealedBytes(first));
  coded.convosync("save", "First");

  let bytes = 0;
  const cpu = [];
  const children = [];
  const one = (run) => {
    coded.append(session.id, steps.next(run));
    coded.edit(`change ${run}`);
    const saved = coded.convosync("save", "--json", `Step ${run}`);
    bytes = sealedBytes(saved);
    cpu.push(saved.cpu);
    if (saved.children !== null) children.push(saved.children);
    return saved.ms;
  };
  const conversationOnly = (run) => {
    alone.append(session.id, others.next(run));
    return alone.convosync("save", "--no-code").ms;
  };
  // The first save after a fresh start fills the caches of the disk, not ours: it is not counted.
  one(0);
  conversationOnly(0);
  cpu.length = 0;
  children.length = 0;
  const samples = interleave(runs, {
    save: (run) => one(run + 1),
    push: () => bare.push(bytes),
    conversation: (run) => conversationOnly(run + 1),
    unchanged: () => coded.convosync("save").ms,
    node: () => coded.machine.node(coded.work, "-e", "0").ms,
    nodeCpu: () => coded.machine.measured(coded.work, ["-e", "0"]).cpu,
  });
  const push = { name: "bare git push", samples: samples.push };
  const node = { name: "node -e 0", samples: samples.node };
  const rows = [
    row("save, +50 messages and a commit", push, samples.save, { plus: 250 }),
    row("save --no-code, +50 messages", push, samples.conversation, { plus: 250 }),
    row("save, first", { ...push, samples: [firstPush] }, [first.ms]),
    row("save, nothing new", node, samples.unchanged),
    row("save, +50: CPU of our own", { ...node, samples: samples.nodeCpu }, cpu, { plus: 150 }),
  ];
  if (children.length > 0) rows.push(row("save, +50: CPU of the git children", null, children));
  return [...rows, ...resume(lab, coded, session, bare)];
}

/** What a `save --json` says it has stored. */
const sealedBytes = ({ stdout }) => JSON.parse(stdout.toString()).sealedBytes;

/**
 * Each run is another device that has joined and has nothing of the session yet.
 * @returns {import("./rows.mjs").Row[]}
 */
function resume(lab, from, session, bare) {
  const size = sizeOfSession(from);
  bare.push(size);
  const cpu = [];
  const devices = Array.from({ length: lab.options.runs }, (_, i) =>
    new Project(lab, `device-${i}`, from).init(),
  );
  const clones = devices.map((_, i) => {
    const empty = `empty-${i}`;
    bare.machine.git(bare.machine.home, "clone", "-q", bare.work, empty);
    const clone = `${bare.machine.home}/${empty}`;
    bare.machine.git(clone, "remote", "set-url", "origin", `file://${bare.remote}`);
    return clone;
  });
  const samples = interleave(devices.length, {
    resume: (run) => {
      const resumed = devices[run].convosync("resume", session.id);
      cpu.push(resumed.cpu);
      return resumed.ms;
    },
    fetch: (run) => bare.fetch(clones[run]),
    nodeCpu: () => from.machine.measured(from.work, ["-e", "0"]).cpu,
  });
  const note = `${(size / 1000).toFixed(0)} KB stored`;
  const fetch = { name: "bare git fetch", samples: samples.fetch };
  const node = { name: "node -e 0", samples: samples.nodeCpu };
  return [
    row("resume into an empty agent", fetch, samples.resume, { plus: 300 }, { note }),
    row("resume: CPU of our own", node, cpu),
  ];
}

/** Bytes of all blobs on the session's refs. */
function sizeOfSession({ machine, remote }) {
  const refs = machine.git(remote, "for-each-ref", "--format=%(refname)", "refs/convosync");
  const session = refs.split("\n").filter((ref) => ref.includes("/session/"));
  const objects = machine.git(remote, "rev-list", "--objects", "--no-object-names", ...session);
  const format = ["cat-file", "--batch-check=%(objecttype) %(objectsize)"];
  const sizes = machine.run(remote, "git", format, {}, `${objects}\n`).stdout.toString();
  return [...sizes.matchAll(/^blob (\d+)$/gm)].reduce((sum, [, size]) => sum + Number(size), 0);
}
