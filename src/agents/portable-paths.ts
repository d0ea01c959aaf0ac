/**
 * Portable paths: at rest a conversation names places by meaning, not by one machine's paths.
 *
 *   toPortable   /home/me/shop/src/a.ts   ->  {{CS:ROOT}}/src/a.ts
 *   toLocal      {{CS:ROOT}}/src/a.ts     ->  /Users/al/code/shop/src/a.ts
 *
 * Law 1, for all bytes x and every machine A:  toLocal(toPortable(x, A), A) = x.
 * Law 2, for stored y and every machine B:     toPortable(toLocal(y, B), B) = y, as long as y holds no
 * literal path of B and B writes the forms in y differently from one another (a machine without a symlinked
 * spelling, or one whose slash form is its native form, cannot tell them apart).
 *
 * Token grammar, frozen because it is stored:
 *
 *   token = "{{CS:" [ place [spelling] [shape] [level] ] "}}"
 *   place = "ROOT" | "STORE" | "HOME" | "KEY"
 *   spelling = "2".."9"           the n-th name the machine has for the place; the first when absent
 *   shape = "-slash" | "-url"     C:/Users/me | the percent-encoded path of a file:// URL; native when absent
 *   level = "+1" | "+2"           JSON nested in a JSON string: one or two more rounds of escaping
 *
 * `{{CS:}}` stands for a literal `{{CS:`, so in portable text every `{{CS:` opens a token. The prefix has no
 * border (no proper suffix of it is a prefix), so neighbouring bytes can neither hide nor make one. A token
 * this version does not know is left as it stands.
 *
 * Both directions work on whole LF-terminated lines and look at nothing outside the line, so a file may be
 * translated in chunks of whole lines.
 */

/** What this machine calls the places a conversation mentions: each list the preferred spelling first. */
export interface Places {
  /** Absolute path of the work tree's root: the real path, then symlinked spellings. */
  readonly root: readonly string[];
  /** The user's home directory, likewise. */
  readonly home: readonly string[];
  /** The folder in which the agent keeps its data (`~/.claude`), likewise. */
  readonly store: readonly string[];
  /** The agent's encoded folder names: of the root, then of the directory the session runs in. */
  readonly keys: readonly string[];
}

/** `jsonl`: one JSON value per line, so paths stand inside JSON strings. `text`: paths stand as they are. */
export type PathForm = "jsonl" | "text";

type PlaceName = "ROOT" | "STORE" | "HOME" | "KEY";
type Shape = "" | "-slash" | "-url";

const prefix = Buffer.from("{{CS:");
const literal = Buffer.from("{{CS:}}");
const body = /^(ROOT|STORE|HOME|KEY)([2-9]?)(-slash|-url)?(?:\+([12]))?$/;
const longestToken = 24;
const levels = [0, 1, 2];
/** Shorter paths (`/`, `/a`, `C:`) turn up in any text by chance. */
const shortest = 3;

/** Replaces this machine's paths by tokens. Returns `bytes` itself when there is nothing to replace. */
export function toPortable(bytes: Uint8Array, places: Places, form: PathForm): Uint8Array {
  const text = asBuffer(bytes);
  const replacements = pathsIn(text, places, form);
  return replacements.length === 0 ? bytes : replaced(text, replacements);
}

/** Puts what {@link toPortable} returns into `room`, and returns how long it is; null when it does not fit. */
export function putPortable(
  room: Uint8Array,
  bytes: Uint8Array,
  places: Places,
  form: PathForm,
): number | null {
  const text = asBuffer(bytes);
  const replacements = pathsIn(text, places, form);
  const length = lengthAfter(text, replacements);
  if (length > room.length) return null;
  putReplaced(room, text, replacements);
  return length;
}

/** The paths that tokens stand for, in order. */
function pathsIn(text: Buffer, places: Places, form: PathForm): Replacement[] {
  const needles = searchPlan(places, form);
  const found = needles.map((needle) => text.indexOf(needle.bytes));
  const nesting = form === "jsonl" ? new Nesting(text) : null;
  const replacements: Replacement[] = [];
  let lastMatch = 0;
  for (;;) {
    const nearest = indexOfNearest(found);
    if (nearest < 0) break;
    const at = found[nearest]!;
    const needle = needles[nearest]!;
    let resume = at + 1;
    if (needle.written === null) {
      resume = at + prefix.length;
      replacements.push({ at, end: resume, by: literal });
    } else {
      const match = matchAt(text, at, lastMatch, needle, form);
      if (match !== null) {
        resume = at + match.length;
        const level = nesting?.levelAt(at, lastMatch) ?? 0;
        replacements.push({ at, end: resume, by: tokenFor(match.reading, level) });
        lastMatch = resume;
      }
    }
    for (let i = 0; i < found.length; i++) {
      if (found[i]! >= 0 && found[i]! < resume) found[i] = text.indexOf(needles[i]!.bytes, resume);
    }
  }
  return replacements;
}

/** Replaces tokens by this machine's paths. Returns `bytes` itself when there is nothing to replace. */
export function toLocal(bytes: Uint8Array, places: Places, form: PathForm): Uint8Array {
  const text = asBuffer(bytes);
  const replacements = [...tokensIn(text, places, form)];
  return replacements.length === 0 ? bytes : replaced(text, replacements);
}

/** How long {@link toLocal} would come out, without making it. */
export function localLength(bytes: Uint8Array, places: Places, form: PathForm): number {
  const text = asBuffer(bytes);
  return lengthAfter(text, tokensIn(text, places, form));
}

/** Something that stands instead of what is from `at` until `end`. */
interface Replacement {
  readonly at: number;
  readonly end: number;
  readonly by: Uint8Array;
}

function lengthAfter(text: Buffer, replacements: Iterable<Replacement>): number {
  let length = text.length;
  for (const { at, end, by } of replacements) length += by.length - (end - at);
  return length;
}

/** The text with all replacements, which are in order and do not overlap. */
function replaced(text: Buffer, replacements: readonly Replacement[]): Buffer {
  const out = Buffer.allocUnsafeSlow(lengthAfter(text, replacements));
  putReplaced(out, text, replacements);
  return out;
}

function putReplaced(out: Uint8Array, text: Buffer, replacements: readonly Replacement[]): void {
  let from = 0;
  let to = 0;
  for (const { at, end, by } of replacements) {
    out.set(text.subarray(from, at), to);
    to += at - from;
    out.set(by, to);
    to += by.length;
    from = end;
  }
  out.set(text.subarray(from), to);
}

/** The tokens that stand for something here, in order. */
function* tokensIn(text: Buffer, places: Places, form: PathForm): Generator<Replacement> {
  const known = new Map<string, Uint8Array | null>([["", prefix]]);
  for (let at = text.indexOf(prefix); at >= 0; at = text.indexOf(prefix, at + prefix.length)) {
    const name = tokenBody(text, at + prefix.length);
    if (name === null) continue;
    let local = known.get(name);
    if (local === undefined) {
      local = expand(name, places, form);
      known.set(name, local);
    }
    if (local !== null) yield { at, end: at + prefix.length + name.length + 2, by: local };
  }
}

/** One byte string in which a place may be written, and all it may stand for, the likeliest first. */
interface Written {
  readonly bytes: Buffer;
  readonly readings: Reading[];
}

interface Reading {
  readonly stem: string;
  readonly shape: Shape;
  readonly place: PlaceName;
  /** The levels at which the place is written in these very bytes. */
  readonly levels: number[];
  /** By level, the tokens that were made: a conversation has thousands of few kinds. */
  readonly tokens: Buffer[];
}

interface Needle {
  readonly bytes: Buffer;
  /** What may begin where the needle is found, longest first; null for the token prefix. */
  readonly written: readonly Written[] | null;
}

/** Made once for each machine: a save makes pieces of a conversation portable again and again. */
const plans = { jsonl: new WeakMap<Places, Needle[]>(), text: new WeakMap<Places, Needle[]>() };

/** Byte strings to look for, none a prefix of another, so that at most one is found at any position. */
function searchPlan(places: Places, form: PathForm): Needle[] {
  const known = plans[form].get(places);
  if (known) return known;
  const plan = makePlan(places, form);
  plans[form].set(places, plan);
  return plan;
}

function makePlan(places: Places, form: PathForm): Needle[] {
  const written = spellOut(places, form).sort((a, b) => a.bytes.length - b.bytes.length);
  const needles: { bytes: Buffer; written: Written[] }[] = [];
  for (const candidate of written) {
    const shorter = needles.find((needle) => startsWith(candidate.bytes, needle.bytes));
    if (shorter) shorter.written.unshift(candidate);
    else needles.push({ bytes: candidate.bytes, written: [candidate] });
  }
  return [{ bytes: prefix, written: null }, ...needles];
}

function spellOut(places: Places, form: PathForm): Written[] {
  const all = new Map<string, Written>();
  for (const place of ["ROOT", "STORE", "HOME", "KEY"] as const) {
    const shapes: readonly Shape[] = place === "KEY" ? [""] : ["-url", "", "-slash"];
    for (const [index, path] of spellings(places, place).entries()) {
      if (!searchable(path, place)) continue;
      for (const shape of shapes) {
        const stem = place + (index === 0 ? "" : index + 1) + shape;
        for (const level of shape === "-url" ? [0] : levels) {
          const bytes = write(path, shape, level, form);
          if (bytes === null || bytes.includes(0x0a) || startsWith(bytes, prefix)) continue;
          const entry = all.get(bytes.toString("latin1")) ?? { bytes, readings: [] };
          all.set(bytes.toString("latin1"), entry);
          const same = entry.readings.find((reading) => reading.stem === stem);
          if (same) same.levels.push(level);
          else entry.readings.push({ stem, shape, place, levels: [level], tokens: [] });
        }
      }
    }
  }
  return [...all.values()];
}

function spellings(places: Places, place: PlaceName): readonly string[] {
  const lists = { ROOT: places.root, STORE: places.store, HOME: places.home, KEY: places.keys };
  const list = place === "KEY" ? lists.KEY : lists[place].map(withoutFinalSeparator);
  return list.slice(0, 9);
}

function searchable(path: string, place: PlaceName): boolean {
  return path.length >= shortest && (place === "KEY" || path.startsWith("/") || isWindows(path));
}

const isWindows = (path: string): boolean => /^(?:[A-Za-z]:|\\\\)/.test(path);

function withoutFinalSeparator(path: string): string {
  let end = path.length;
  while (end > 0 && (path[end - 1] === "/" || (path[end - 1] === "\\" && isWindows(path)))) end--;
  return path.slice(0, end);
}

/** The bytes of a place in one shape and level, null when it has no such shape (UNC shares as URL). */
function write(path: string, shape: Shape, level: number, form: PathForm): Buffer | null {
  // Lone surrogates become U+FFFD here: encodeURI throws on them.
  let text = Buffer.from(path).toString();
  if (shape !== "" && isWindows(text)) text = text.replaceAll("\\", "/");
  if (shape === "-url") {
    if (text.startsWith("//")) return null;
    const absolute = text === "" || text.startsWith("/") ? text : `/${text}`;
    return Buffer.from(encodeURI(absolute).replace(/[?#]/g, encodeURIComponent));
  }
  const rounds = level + (form === "jsonl" ? 1 : 0);
  for (let i = 0; i < rounds; i++) text = JSON.stringify(text).slice(1, -1);
  return Buffer.from(text);
}

function expand(name: string, places: Places, form: PathForm): Uint8Array | null {
  const match = body.exec(name);
  if (match === null) return null;
  const place = match[1] as PlaceName;
  const shape = (match[3] ?? "") as Shape;
  if ((place === "KEY" && shape !== "") || (shape === "-url" && match[4] !== undefined)) return null;
  const paths = spellings(places, place);
  const path = paths[Number(match[2] || "1") - 1] ?? paths[0];
  if (path === undefined) return null;
  return write(path, shape, Number(match[4] ?? "0"), form) ?? write(path, "-slash", 0, form);
}

function tokenBody(text: Buffer, from: number): string | null {
  const limit = Math.min(text.length - 1, from + longestToken);
  for (let i = from; i < limit; i++) {
    if (text[i] === 0x7d) return text[i + 1] === 0x7d ? text.toString("latin1", from, i) : null;
  }
  return null;
}

function matchAt(
  text: Buffer,
  at: number,
  lastMatch: number,
  needle: Needle,
  form: PathForm,
): { length: number; reading: Reading } | null {
  const opens = opening(text, at, lastMatch);
  if (opens === "inside") return null;
  for (const { bytes, readings } of needle.written ?? []) {
    const end = at + bytes.length;
    if (bytes !== needle.bytes && !standsAt(text, at, bytes)) continue;
    if (!closes(text, end, form, opens === "url") && !(opens === "component" && leadsOn(text, end))) continue;
    const reading = readings.find(({ place, shape }) => {
      if (place === "KEY" || opens === "component") return place === "KEY" && opens === "component";
      return shape !== "-url" || opens === "url";
    });
    if (reading !== undefined) return { length: bytes.length, reading };
  }
  return null;
}

function standsAt(text: Buffer, at: number, bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) if (text[at + i] !== bytes[i]) return false;
  return true;
}

/** How a key goes on that is of a work tree in `.claude/worktrees`: it begins with the checkout's. */
const within = Buffer.from("--claude-worktrees-");

const leadsOn = (text: Buffer, end: number): boolean => standsAt(text, end, within);

/** The token for a place, at the level that was inferred where it may be written so. */
function tokenFor({ stem, levels, tokens }: Reading, inferred: number): Buffer {
  const level = levels.includes(inferred) ? inferred : levels[0]!;
  tokens[level] ??= Buffer.from(`{{CS:${stem}${level === 0 ? "" : `+${level}`}}}`);
  return tokens[level];
}

/**
 * What the bytes before `at` allow to begin there: a path (`fresh`, or `url` directly after `file://`), the
 * next component of a path (`component`), or nothing, because a longer word or path goes on (`inside`).
 * Never looks into the last match: what stands there differs from machine to machine.
 */
function opening(text: Buffer, at: number, lastMatch: number): "fresh" | "url" | "component" | "inside" {
  if (at > 0 && at > lastMatch && isSeparator(text[at - 1]!)) {
    const url =
      text[at - 2] === 0x2f && at - 7 >= lastMatch && text.toString("latin1", at - 7, at) === "file://";
    return url ? "url" : "component";
  }
  // A removed line of a diff: "-/home/me/x".
  const before = at > lastMatch && text[at - 1] === 0x2d ? at - 1 : at;
  if (before === 0) return "fresh";
  if (before === lastMatch) return "inside";
  const byte = text[before - 1]!;
  if (before < at && isSeparator(byte)) return "inside";
  if (!isNameByte(byte)) return byte === 0x5c || isGlue(byte) ? "inside" : "fresh";
  if (byte >= 0x80) return isNameCharacter(characterBefore(text, before)) ? "inside" : "fresh";
  return endsEscape(text, before, lastMatch) ? "fresh" : "inside";
}

/** Whether the letter or digit before `at` ends `\n`, `\u001b` or a colour such as `\u001b[0m`. */
function endsEscape(text: Buffer, at: number, from: number): boolean {
  const before = text.toString("latin1", Math.max(from, at - 24), at);
  if (/\\[bfnrt]$/.test(before)) return true;
  const unit = /\\u([0-9a-fA-F]{4})$/.exec(before);
  if (unit) return !isNameUnit(unit[1]!) && unit[1]!.toLowerCase() !== "002f";
  return /(?:\u001b|\\u001[bB])\[[0-9;?]{0,12}[A-Za-z]$/.test(before);
}

/** Whether a path may end at `end`: `/home/me/proj.` does, `/home/me/proj.bak` and `/home/me/proj2` go on. */
function closes(text: Buffer, end: number, form: PathForm, url: boolean): boolean {
  if (end >= text.length) return true;
  const byte = text[end]!;
  if (byte === 0x2e) return end + 1 >= text.length || !isNameByte(text[end + 1]!);
  if (byte >= 0x80) return !isNameCharacter(characterAt(text, end));
  if (byte === 0x25) return !url;
  if (byte === 0x5c && form === "jsonl" && text[end + 1] === 0x75) {
    return !isNameUnit(text.toString("latin1", end + 2, end + 6));
  }
  return !isNameByte(byte);
}

const isSeparator = (byte: number): boolean => byte === 0x2f || byte === 0x5c;

/** `[A-Za-z0-9_-]` and everything that is not ASCII. */
const nameBytes = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x80 || /[A-Za-z0-9_-]/.test(String.fromCharCode(byte)) ? 1 : 0,
);
const isNameByte = (byte: number): boolean => nameBytes[byte] === 1;

const isNameUnit = (hex: string): boolean => {
  const unit = Number.parseInt(hex, 16);
  return unit >= 0x80 ? isNameCharacter(String.fromCharCode(unit)) : isNameByte(unit);
};

/**
 * Beyond ASCII, letters, digits and marks go on with a name; arrows, dashes, quotes and brackets do not
 * (`1→/home/me/x` is how agents number lines). What is no character at all counts as part of a name.
 */
const isNameCharacter = (character: string): boolean =>
  /^[\p{L}\p{N}\p{M}\p{Surrogate}\ufffd]/u.test(character);

const continues = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** The character that ends right before `at`; U+FFFD where the bytes are none, never anything that lies further back. */
function characterBefore(text: Buffer, at: number): string {
  let start = at - 1;
  while (start > 0 && at - start < 4 && continues(text[start])) start--;
  return (text[start] ?? 0) < 0xc0 ? "\ufffd" : text.toString("utf8", start, at);
}

function characterAt(text: Buffer, at: number): string {
  let end = at + 1;
  while (end - at < 4 && continues(text[end])) end++;
  return text.toString("utf8", at, end);
}

/** `.` `~` `*` `}` `)` `%` `$`: in front of a slash they are the end of a name, a glob or an expansion. */
const isGlue = (byte: number): boolean => ".~*})%$".includes(String.fromCharCode(byte));

/**
 * How deep in nested JSON a position of a JSONL file is, for paths that look the same at every depth. A
 * quote at depth d + 1 is written with 2^d - 1 backslashes, after any number of escaped backslashes: the
 * nearest quote before the position tells. Quotes inside matches do not count: they differ between machines.
 */
class Nesting {
  readonly #text: Buffer;
  #seen = 0;
  #level = 0;

  constructor(text: Buffer) {
    this.#text = text;
  }

  /** Positions must not decrease from call to call: each byte is looked at once. */
  levelAt(at: number, lastMatch: number): number {
    const text = this.#text;
    const from = Math.max(this.#seen, lastMatch);
    this.#seen = at;
    for (let i = at - 1; i >= from; i--) {
      if (text[i] === 0x0a) {
        this.#level = 0;
        break;
      }
      if (text[i] === 0x22) {
        let first = i;
        while (first > from && text[first - 1] === 0x5c) first--;
        this.#level = Math.min(trailingOnes(i - first), 2);
        break;
      }
    }
    return this.#level;
  }
}

const trailingOnes = (n: number): number => 31 - Math.clz32(~n & (n + 1));

function indexOfNearest(found: readonly number[]): number {
  let nearest = -1;
  for (let i = 0; i < found.length; i++) {
    if (found[i]! >= 0 && (nearest < 0 || found[i]! < found[nearest]!)) nearest = i;
  }
  return nearest;
}

const startsWith = (bytes: Buffer, start: Buffer): boolean => bytes.subarray(0, start.length).equals(start);

/** The same bytes, not a copy of them. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
