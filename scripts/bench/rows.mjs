// Rows of the table: what nothing can beat beside what we take, and whether that is within the goal.

/**
 * @typedef {object} Goal At most `times` the limit plus `plus`; or `most`, whatever the limit.
 * @property {number} [times] 1 unless told.
 * @property {number} [plus] In the row's unit.
 * @property {number} [most] In the row's unit.
 */

/**
 * @typedef {object} Row
 * @property {string} group
 * @property {string} row What is measured.
 * @property {string} limit What it is measured against.
 * @property {"ms" | "bytes"} unit
 * @property {readonly number[]} limits Samples of the limit, taken in turn with ours; empty where there is none.
 * @property {readonly number[]} ours
 * @property {Goal | null} goal Null: for information.
 * @property {"median" | "mean"} [by] How samples become one number; median unless told.
 * @property {string} [note]
 */

/**
 * @typedef {object} Against
 * @property {string} name
 * @property {readonly number[]} samples
 */

/**
 * Makes the rows of a group.
 * @param {string} group
 * @param {Row["unit"]} unit
 */
export function rowsOf(group, unit) {
  /**
   * @param {string} row
   * @param {Against | null} against
   * @param {readonly number[]} ours
   * @param {Goal | null} [goal]
   * @param {Partial<Row>} [more]
   * @returns {Row}
   */
  return (row, against, ours, goal = null, more = {}) => {
    return {
      group,
      row,
      limit: against?.name ?? "",
      unit,
      limits: against?.samples ?? [],
      ours,
      goal,
      ...more,
    };
  };
}

function median(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const mean = (samples) => samples.reduce((sum, one) => sum + one, 0) / samples.length;

/**
 * Takes `runs` samples of each, A B A B …, so that a busy moment of the machine hits all alike.
 * @template {string} Name
 * @param {number} runs
 * @param {Record<Name, (run: number) => number>} measures
 * @returns {Record<Name, number[]>}
 */
export function interleave(runs, measures) {
  const names = /** @type {Name[]} */ (Object.keys(measures));
  const samples = /** @type {Record<Name, number[]>} */ (Object.fromEntries(names.map((name) => [name, []])));
  for (let run = 0; run < runs; run++) for (const name of names) samples[name].push(measures[name](run));
  return samples;
}

/** @param {Row} row */
export function judge({ limits, ours, goal, by }) {
  const one = by === "mean" ? mean : median;
  const limit = limits.length > 0 ? one(limits) : null;
  const measured = one(ours);
  const most = goal && (goal.most ?? (goal.times ?? 1) * (limit ?? 0) + (goal.plus ?? 0));
  return { limit, measured, most, verdict: most === null ? "" : measured <= most ? "ok" : "over" };
}

function quantity(value, unit) {
  if (unit === "ms") return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
  if (value < 10_000) return `${Math.round(value)} B`;
  return value < 10_000_000 ? `${(value / 1000).toFixed(1)} KB` : `${(value / 1_000_000).toFixed(0)} MB`;
}

function goalText({ goal, unit, limits }) {
  if (!goal) return "";
  if (goal.most !== undefined) return `≤ ${quantity(goal.most, unit)}`;
  const parts = [];
  if (goal.times !== undefined) parts.push(`× ${goal.times}`);
  if (goal.plus !== undefined) parts.push(`+ ${quantity(goal.plus, unit)}`);
  return limits.length === 0 ? "" : `≤ limit ${parts.join(" ")}`.trimEnd();
}

/** Difference for times, ratio for all else. */
function against({ limit, measured }, { unit, goal }) {
  if (limit === null) return "";
  if (unit === "ms" && goal?.times === undefined)
    return `${measured < limit ? "−" : "+"} ${quantity(Math.abs(measured - limit), unit)}`;
  if (goal?.plus !== undefined && goal.times === undefined)
    return `${measured < limit ? "−" : "+"} ${quantity(Math.abs(measured - limit), unit)}`;
  return limit === 0 ? "" : `× ${(measured / limit).toFixed(2)}`;
}

const columns = ["row", "limit", "", "ours", "against it", "goal", ""];

/**
 * @param {readonly Row[]} rows
 * @param {"text" | "markdown"} form
 */
export function table(rows, form) {
  const lines = rows.map((row) => {
    const judged = judge(row);
    const limit = judged.limit === null ? "" : quantity(judged.limit, row.unit);
    const ours = quantity(judged.measured, row.unit);
    const note = row.note ? ` (${row.note})` : "";
    return [row.row + note, row.limit, limit, ours, against(judged, row), goalText(row), judged.verdict];
  });
  if (form === "markdown") {
    const line = (cells) => `| ${cells.join(" | ")} |`;
    return [line(columns), line(columns.map(() => "---")), ...lines.map(line)].join("\n");
  }
  const widths = columns.map((name, i) => Math.max(name.length, ...lines.map((cells) => cells[i].length)));
  const line = (cells) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]))
      .join("  ")
      .trimEnd();
  return [line(columns), ...lines.map(line)].join("\n");
}
