// How wide text stands on a terminal, and where it may be broken.

/** One column each and never joined with what follows: Latin, and what punctuation, lists and frames are made of. */
const plain =
  /^[\u0020-\u007e\u00a0-\u02ff\u2010-\u2027\u2030-\u205e\u2190-\u21ff\u2500-\u25cf\u2713\u2717]*$/;
let segmenter: Intl.Segmenter | null = null;
/** Made when it is first needed: its tables take 9 ms to load. */
const graphemes = {
  segment: (text: string): Iterable<Intl.SegmentData> => {
    segmenter ??= new Intl.Segmenter("en", { granularity: "grapheme" });
    return segmenter.segment(text);
  },
};
const combining = /^\p{M}$/u;
/** Shown as a picture two columns wide, by itself or because a variation selector asks for it. */
const picture = /^\p{Emoji_Presentation}/u;

/** East Asian wide and full-width characters (Unicode 16, runs joined where what lies between is unassigned). */
const wide: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18cff],
  [0x1aff0, 0x1b2ff],
  [0x20000, 0x3fffd],
];

function graphemeWidth(grapheme: string): number {
  const code = grapheme.codePointAt(0)!;
  if (code < 0x300) return 1;
  if (picture.test(grapheme)) return 2;
  if (wide.some(([from, to]) => code >= from && code <= to)) return 2;
  return combining.test(String.fromCodePoint(code)) ? 0 : 1;
}

/** Columns that text without control characters takes. */
export function textWidth(text: string): number {
  if (plain.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += graphemeWidth(segment);
  return width;
}

/** Text that is shown in one style. */
export interface Run<Style> {
  readonly text: string;
  readonly style: Style;
}

/**
 * Breaks runs into lines of at most `width` columns, between words, and within what is wider than a line or written
 * without spaces. Line feeds break too.
 */
export function wrapRuns<Style>(runs: readonly Run<Style>[], width: number): Run<Style>[][] {
  const lines: Run<Style>[][] = [[]];
  let column = 0;
  /** A space that is written only when something follows it on the line. */
  let space: Run<Style> | null = null;
  const put = (text: string, style: Style): void => {
    const line = lines.at(-1)!;
    const last = line.at(-1);
    if (last && last.style === style) line[line.length - 1] = { text: last.text + text, style };
    else line.push({ text, style });
  };
  const newLine = (): void => {
    lines.push([]);
    column = 0;
    space = null;
  };
  for (const word of wordsOf(runs)) {
    if (word.kind === "break") {
      newLine();
      continue;
    }
    if (word.kind === "space") {
      space = word.parts[0]!;
      continue;
    }
    const gap = space && column > 0 ? 1 : 0;
    if (column > 0 && column + gap + word.width > width) newLine();
    if (space && column > 0) {
      put(" ", space.style);
      column++;
    }
    space = null;
    for (const { text, style } of word.parts) {
      if (column + word.width <= width || !Number.isFinite(width)) {
        put(text, style);
        continue;
      }
      // Wider than a whole line: broken where it is full.
      for (const { segment } of graphemes.segment(text)) {
        const columns = graphemeWidth(segment);
        if (column + columns > width && column > 0) newLine();
        put(segment, style);
        column += columns;
      }
    }
    if (column + word.width <= width || !Number.isFinite(width)) column += word.width;
  }
  return lines;
}

interface Word<Style> {
  readonly kind: "word" | "space" | "break";
  readonly parts: Run<Style>[];
  width: number;
}

/** Words may be in several styles; a wide character is a word of its own. */
function* wordsOf<Style>(runs: readonly Run<Style>[]): Generator<Word<Style>> {
  let word: Word<Style> | null = null;
  for (const { text, style } of runs) {
    for (const [piece] of text.matchAll(/\n|[^\S\n]+|[^\s]+/g)) {
      if (piece === "\n" || /^\s/.test(piece)) {
        if (word) yield word;
        word = null;
        yield { kind: piece === "\n" ? "break" : "space", parts: [{ text: " ", style }], width: 1 };
        continue;
      }
      for (const part of plain.test(piece) ? [piece] : breakable(piece)) {
        const width = textWidth(part);
        const alone = isWide(part);
        if (word && (alone || isWide(word.parts.at(-1)!.text))) {
          yield word;
          word = null;
        }
        word ??= { kind: "word", parts: [], width: 0 };
        word.parts.push({ text: part, style });
        word.width += width;
      }
    }
  }
  if (word) yield word;
}

const isWide = (part: string): boolean => !plain.test(part) && graphemeWidth(part) === 2;

/** Wide characters one by one, and what stands between them. */
function breakable(piece: string): string[] {
  const parts: string[] = [];
  let run = "";
  for (const { segment } of graphemes.segment(piece)) {
    if (graphemeWidth(segment) < 2) {
      run += segment;
      continue;
    }
    if (run !== "") parts.push(run);
    parts.push(segment);
    run = "";
  }
  return run === "" ? parts : [...parts, run];
}

/** The beginning of a line that fits `width` columns, with `…` where something is cut. */
export function cutTo(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  if (plain.test(text)) return `${text.slice(0, Math.max(0, width - 1))}…`;
  let cut = "";
  let columns = 0;
  for (const { segment } of graphemes.segment(text)) {
    columns += graphemeWidth(segment);
    if (columns > width - 1) break;
    cut += segment;
  }
  return `${cut}…`;
}
