/** A line of a change: kept, taken out or put in. */
export interface DiffLine {
  readonly kind: " " | "-" | "+";
  readonly text: string;
}

/** Beyond so many lines on a side the middle is told as taken out and put in as a whole. */
const comparedLines = 800;

/** The change from one text to another, line by line: the longest common part is kept. */
export function diffLines(before: string, after: string): DiffLine[] {
  const a = before === "" ? [] : before.split("\n");
  const b = after === "" ? [] : after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (
    tail < a.length - head &&
    tail < b.length - head &&
    a[a.length - 1 - tail] === b[b.length - 1 - tail]
  )
    tail++;
  const kept = (lines: readonly string[]): DiffLine[] => lines.map((text) => ({ kind: " ", text }));
  return [
    ...kept(a.slice(0, head)),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...kept(a.slice(a.length - tail)),
  ];
}

function middle(a: readonly string[], b: readonly string[]): DiffLine[] {
  const out = (text: string): DiffLine => ({ kind: "-", text });
  const into = (text: string): DiffLine => ({ kind: "+", text });
  if (a.length === 0 || b.length === 0 || a.length > comparedLines || b.length > comparedLines)
    return [...a.map(out), ...b.map(into)];
  // length[i][j]: lines that a from i and b from j have in common.
  const width = b.length + 1;
  const length = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * width + j] =
        a[i] === b[j]
          ? length[(i + 1) * width + j + 1]! + 1
          : Math.max(length[(i + 1) * width + j]!, length[i * width + j + 1]!);
    }
  }
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      lines.push({ kind: " ", text: a[i]! });
      i++;
      j++;
    } else if (length[(i + 1) * width + j]! >= length[i * width + j + 1]!) lines.push(out(a[i++]!));
    else lines.push(into(b[j++]!));
  }
  return [...lines, ...a.slice(i).map(out), ...b.slice(j).map(into)];
}

/** Only what changed, with so many kept lines around it; `null` stands for what is left out. */
export function withContext(lines: readonly DiffLine[], context: number): (DiffLine | null)[] {
  const near = lines.map(() => false);
  for (const [at, { kind }] of lines.entries()) {
    if (kind === " ") continue;
    for (let to = Math.max(0, at - context); to <= Math.min(lines.length - 1, at + context); to++)
      near[to] = true;
  }
  const shown: (DiffLine | null)[] = [];
  for (const [at, line] of lines.entries()) {
    if (near[at]) shown.push(line);
    else if (shown.length > 0 && shown.at(-1) !== null) shown.push(null);
  }
  return shown.at(-1) === null ? shown.slice(0, -1) : shown;
}
