// One session saved again and again: the last save should cost what an early one did.
import { chat, sessionId, take } from "./conversation.mjs";
import { Project } from "./fixtures.mjs";
import { rowsOf } from "./rows.mjs";
import { Wire } from "./wire.mjs";

/**
 * @param {import("./lab.mjs").Lab} lab
 * @returns {import("./rows.mjs").Row[]}
 */
export default function growth(lab) {
  const saves = lab.options.quick ? 60 : 200;
  return [...grow(lab, "growth", saves), ...grow(lab, "growth", saves, longEnough)];
}

/**
 * Only when asked for by name.
 * @param {import("./lab.mjs").Lab} lab
 * @returns {import("./rows.mjs").Row[]}
 */
export const growth1000 = (lab) => grow(lab, "growth-1000", 1000);

/** Lines, of 1.2 KB: from here on a save has all the recent history to compare with that it looks at. */
const longEnough = 850;

/**
 * Milliseconds between two saves. Commits tell no more of their time than the hour, and git looks at all that are as new
 * as what it compares; nobody saves a thousand times within one.
 */
const pause = 10 * 60_000;

/**
 * `start`: how many lines there are before the first save.
 * @returns {import("./rows.mjs").Row[]}
 */
function grow(lab, group, saves, start = 0) {
  const project = new Project(lab, "desktop").init();
  const wire = new Wire(project.machine, project.work);
  const id = sessionId(1);
  const lines = chat({ seed: 9, session: id, cwd: project.work, branch: "main" });
  const series = { sent: [], cpu: [], children: [], ms: [] };
  project.append(id, take(lines, start));
  for (let n = 0; n < saves; n++) {
    project.append(id, take(lines, 4));
    project.machine.later += pause;
    let run;
    series.sent.push(wire.during(() => (run = project.convosync("save", "--no-code"))).sent);
    series.cpu.push(run.cpu);
    series.children.push(run.children ?? 0);
    series.ms.push(run.ms);
    // As somebody does now and then; it packs what was saved very many times anew.
    if (n % 100 === 99) project.convosync("sync");
  }
  const row = (name, unit, all) => {
    const early = { name: "saves 5–15", samples: all.slice(4, 15) };
    const late = all.slice(saves - 11);
    return rowsOf(group, unit)(
      `saves ${saves - 10}–${saves}${start > 0 ? " of what began with 1 MB" : ""}: ${name}`,
      early,
      late,
      { times: 1.2 },
      { by: "mean" },
    );
  };
  return [
    row("bytes sent", "bytes", series.sent),
    row("CPU of our own", "ms", series.cpu),
    row("CPU of the git children", "ms", series.children),
    row("time", "ms", series.ms),
  ];
}
