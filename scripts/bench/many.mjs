// What a vault of many sessions costs: a fresh device, one session out of all, and people who do not use ConvoSync.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { manySessions } from "./many-sessions.mjs";
import { rowsOf } from "./rows.mjs";
import { Wire } from "./wire.mjs";

const row = rowsOf("many", "bytes");

/**
 * @param {import("./lab.mjs").Lab} lab
 * @returns {import("./rows.mjs").Row[]}
 */
export default function many(lab) {
  const { sessions, adverts, listings, fresh, wire } = manySessions(lab);
  const rows = listings.flatMap((one) => {
    const of = `${one.sessions} sessions in ${one.replicas} replica${one.replicas === 1 ? "" : "s"}`;
    return [
      row(`fetched to join, ${of}`, null, [one.joined]),
      row(`fetched to list, ${of}`, null, [one.received], { most: one.replicas === 1 ? 10_000 : 130_000 }),
    ];
  });
  rows.push(...oneOfMany(lab, fresh, wire, sessions));
  for (const advert of adverts) {
    const name = `received by somebody's git push, ${advert.sessions} sessions`;
    const without = { name: "without our refs", samples: [advert.without] };
    rows.push(row(name, without, [advert.with], { plus: 25_000 }));
  }
  return rows;
}

/**
 * Resumes the newest session, which has a ref of its own, against a bare fetch of that ref into an empty
 * repository; and an old one, which is fetched out of an archive.
 * @returns {import("./rows.mjs").Row[]}
 */
function oneOfMany(lab, fresh, wire, sessions) {
  const all = JSON.parse(fresh.convosync("list", "--all", "--json").stdout).sessions;
  const [newest, oldest] = [all[0].id, all.at(-1).id];
  const before = refs(fresh);
  const resume = (id) => {
    const { received } = wire.during(() => fresh.convosync("resume", id, "--stay-on-branch"));
    if (!readFileSync(fresh.transcript(id), "utf8").endsWith("\n")) throw new Error("nothing was restored");
    return received;
  };
  const received = resume(newest);
  const ref = refs(fresh).find((one) => !before.includes(one) && one.includes("/session/"));
  if (!ref) throw new Error("resume has fetched no session");
  const machine = lab.machine("bare");
  machine.git(machine.home, "init", "-q", "empty");
  const empty = `${machine.home}/empty`;
  machine.git(empty, "remote", "add", "origin", pathToFileURL(fresh.remote).href);
  const bare = new Wire(machine, empty);
  const limit = bare.during(() => machine.git(empty, "fetch", "-q", "--no-tags", "origin", `${ref}:${ref}`));
  const fetch = { name: "bare git fetch of its ref", samples: [limit.received] };
  return [
    row(`fetched to resume one of ${sessions} sessions`, fetch, [received], { plus: 16_000 }),
    row(`fetched to resume an old one of ${sessions}, out of an archive`, fetch, [resume(oldest)], {
      plus: 16_000,
    }),
  ];
}

const refs = (project) => project.git("for-each-ref", "--format=%(refname)", "refs/convosync").split("\n");
