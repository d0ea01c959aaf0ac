import { lineTime } from "./line-time.ts";

/**
 * Logs of lines that begin alike and went on separately, as one log. Pure: what is read and written is the caller's
 * affair.
 */
export interface JoinedLogs {
  /** The logs in the order they were joined; the first one stands at the front, whole. */
  readonly order: readonly number[];
  /** Lines that follow the first log. */
  readonly added: readonly Uint8Array[];
  /** Per log, for each of its lines the number of the joined log's lines up to and with it. */
  readonly places: readonly (readonly number[])[];
}

/**
 * Appends to the first log the lines of each other that are not there yet. A line that a log has several times is there
 * as often as in the log that has it most often: so none is lost and none is doubled, however often logs that were
 * joined before are joined again. Two lines are the same where `keyOf` is.
 */
export function joinLines(logs: readonly Uint8Array[], order: readonly number[], keyOf = textOf): JoinedLogs {
  const places: number[][] = logs.map(() => []);
  const [first, ...rest] = order;
  const base = linesOf(logs[first!]!);
  places[first!] = base.map((_, at) => at + 1);
  const added: Uint8Array[] = [];
  /** Where each line stands in the joined log; built only once there is something beyond the common beginning. */
  const standing = new Map<string, number[]>();
  const note = (line: string, place: number): void => {
    const known = standing.get(line);
    if (known) known.push(place);
    else standing.set(line, [place]);
  };
  for (const [at, line] of base.entries()) note(keyOf(line), at + 1);
  for (const log of rest) {
    const taken = new Map<string, number>();
    for (const line of linesOf(logs[log!]!)) {
      const key = keyOf(line);
      const nth = taken.get(key) ?? 0;
      taken.set(key, nth + 1);
      let place = standing.get(key)?.[nth];
      if (place === undefined) {
        added.push(line);
        place = base.length + added.length;
        note(key, place);
      }
      places[log!]!.push(place);
    }
  }
  return { order, added, places };
}

/**
 * Joins logs of which some may begin with others: those have nothing of their own, must not be what the rest is added to,
 * and come last in the order. `join` gets the others.
 */
export function joinLongest(
  logs: readonly Uint8Array[],
  join: (logs: readonly Uint8Array[]) => JoinedLogs,
): JoinedLogs {
  const all = [...logs.keys()];
  const within = logs.map((log, at) =>
    logs.findIndex((other, i) => i !== at && beginsWith(other, log) && (other.length > log.length || i < at)),
  );
  const longest = all.filter((at) => within[at] === -1);
  const { order, added, places } = join(longest.map((at) => logs[at]!));
  const placesOf = (at: number): readonly number[] =>
    within[at] === -1 ? places[longest.indexOf(at)]! : placesOf(within[at]!);
  return {
    order: [...order.map((one) => longest[one]!), ...all.filter((at) => within[at] !== -1)],
    added,
    places: all.map((at) => placesOf(at).slice(0, linesOf(logs[at]!).length)),
  };
}

const beginsWith = (log: Uint8Array, start: Uint8Array): boolean =>
  log.length >= start.length && Buffer.compare(log.subarray(0, start.length), start) === 0;

/** The lines of the log that was last active come last. */
export const joinByActivity = (logs: readonly Uint8Array[], keyOf = textOf): JoinedLogs =>
  joinLines(logs, byLastActivity(logs), keyOf);

/** The logs in the order of their last activity: the same on every device, whoever joins them. */
export function byLastActivity(logs: readonly Uint8Array[]): number[] {
  const last = logs.map(lastTime);
  return [...logs.keys()].sort((a, b) => last[a]! - last[b]! || Buffer.compare(logs[a]!, logs[b]!));
}

function lastTime(log: Uint8Array): number {
  const utf8 = new TextDecoder();
  for (const line of linesOf(log).reverse()) {
    const at = lineTime(utf8.decode(line));
    if (at) return at.getTime();
  }
  return 0;
}

/** The lines of a log, each with its line feed. */
export function linesOf(log: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let at = 0; at < log.length; ) {
    const feed = log.indexOf(0x0a, at);
    const end = feed < 0 ? log.length : feed + 1;
    lines.push(log.subarray(at, end));
    at = end;
  }
  return lines;
}

/** Which of a machine's names for a place stands in a line, as stored: machines that have only one have told it with that. */
const otherName = /\{\{CS:(ROOT|STORE|HOME)[2-9](?=[-+}])/g;

/** A line as text, one character for each byte: it need not be UTF-8. */
export const textOf = (line: Uint8Array): string =>
  Buffer.from(line.buffer, line.byteOffset, line.length).toString("latin1").replace(otherName, "{{CS:$1");
