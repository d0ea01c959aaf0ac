// How long it takes until anything happens: against bare node, which nothing written for it can beat.
import { Project, reference } from "./fixtures.mjs";
import { manySessions } from "./many-sessions.mjs";
import { interleave, rowsOf } from "./rows.mjs";

/**
 * @param {import("./lab.mjs").Lab} lab
 * @returns {import("./rows.mjs").Row[]}
 */
export default function start(lab) {
  const small = new Project(lab, "desktop").init();
  const session = reference();
  small.append(session.id, session.on(small).slice(0, 900));
  small.convosync("save", "--no-code");
  const { devices, sessions } = manySessions(lab);
  const many = devices[0];
  const verb =
    (project, ...args) =>
    () =>
      project.machine.node(project.work, lab.cli, ...args).ms;
  const measures = {
    node: () => small.machine.node(small.work, "-e", "0").ms,
    version: verb(small, "--version"),
    status: verb(small, "status"),
    list: verb(small, "list"),
    manyStatus: verb(many, "status"),
    manyList: verb(many, "list"),
    manyListAll: verb(many, "list", "--all", "--json"),
  };
  for (const measure of Object.values(measures)) measure();
  const samples = interleave(lab.options.runs * 3, measures);
  const row = rowsOf("start", "ms");
  const node = { name: "node -e 0", samples: samples.node };
  const of = `${sessions} sessions on ${devices.length} devices`;
  return [
    row("--version", node, samples.version, { plus: 40 }),
    row("status", node, samples.status, { plus: 120 }),
    row("list, 1 session", node, samples.list, { plus: 150 }),
    row(`status, ${of}`, node, samples.manyStatus, { plus: 120 }),
    row(`list, ${of}`, node, samples.manyList, { plus: 150 }),
    row(`list --all --json, ${of}`, node, samples.manyListAll, { plus: 150 }),
  ];
}
