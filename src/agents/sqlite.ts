import { closeSync, constants, existsSync, fstatSync, openSync, readSync } from "node:fs";

/**
 * Reads tables of an SQLite database without SQLite, and without a lock: the pages of the database, over them those of
 * its write-ahead log up to the last commit. Whoever writes at the same time is not disturbed; whether he was, and what
 * was read is of two states, is seen afterwards. Format: https://www.sqlite.org/fileformat2.html
 */

export type SqlValue = string | number | Uint8Array | null;

/** The columns of a row that were asked for, in that order. */
export type SqlRow = readonly SqlValue[];

export interface SqlTables {
  /** The names of a table's columns; none when there is no such table. */
  columns(table: string): readonly string[];
  /** All rows, in the order in which they were made. */
  rows(table: string, columns: readonly string[]): Iterable<SqlRow>;
  /** The rows with this text in a column, through an index that begins with it where there is one, in its order. */
  rowsWhere(table: string, column: string, text: string, columns: readonly string[]): Iterable<SqlRow>;
}

/** What was read makes no sense: damaged, of a kind this does not read, or of two states at once. */
export class UnreadableDatabase extends Error {}

const attempts = 150;
const pauseMs = 10;
/** The clock of a file's time may be so coarse. */
const clockMs = 20;

/**
 * Gives `read` the database as it was at one moment. Null where there is none; `UnreadableDatabase` where it cannot be
 * read, or was written to without a pause.
 */
export function readDatabase<T>(path: string, read: (tables: SqlTables) => T): T | null {
  return readPages(path, (pages) => read(new Tables(pages)));
}

/**
 * The whole database in one file, as it was at one moment, with nothing left in its log. Null and errors as
 * {@link readDatabase}; `UnreadableDatabase` also where it has more than `most` bytes.
 */
export function imageOf(path: string, most: number): Buffer | null {
  return readPages(path, (pages) => {
    if (pages.count * pages.size > most) throw new UnreadableDatabase("it is too large");
    return Buffer.concat(Array.from({ length: pages.count }, (_, n) => pages.page(n + 1)));
  });
}

function readPages<T>(path: string, read: (pages: Pages) => T): T | null {
  for (let attempt = 1; ; attempt++) {
    const file = openIfThere(path);
    if (file === null) return null;
    const log = openIfThere(`${path}-wal`);
    try {
      const before = stateOf(path, file, log);
      const result = (() => {
        try {
          return { value: read(new Pages(file, log)) };
        } catch (error) {
          if (error instanceof UnreadableDatabase) return { error };
          throw error;
        }
      })();
      if (before !== null && before === stateOf(path, file, log)) {
        if ("value" in result) return result.value;
        throw result.error;
      }
      if (attempt === attempts) throw new UnreadableDatabase("written to all the time");
    } finally {
      closeSync(file);
      if (log !== null) closeSync(log);
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
  }
}

/**
 * What changes when pages of the database do, or its log is begun anew; that the log grows does no harm. Null in the
 * middle of a change, or so soon after one that another would not be seen.
 */
function stateOf(path: string, file: number, log: number | null): string | null {
  const { ino, size, mtimeMs } = fstatSync(file);
  if (existsSync(`${path}-journal`) || Math.abs(Date.now() - mtimeMs) < clockMs) return null;
  const named = openIfThere(path);
  if (named === null) return null;
  try {
    if (fstatSync(named).ino !== ino) return null;
  } finally {
    closeSync(named);
  }
  if ((log === null) !== !existsSync(`${path}-wal`)) return null;
  return `${size} ${mtimeMs} ${log === null ? "" : readAt(log, 0, walHeaderBytes).toString("hex")}`;
}

function openIfThere(path: string): number | null {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    if (fstatSync(file).isFile()) return file;
    closeSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new UnreadableDatabase((error as Error).message, { cause: error });
  }
  throw new UnreadableDatabase(`not a file: ${path}`);
}

function readAt(file: number, at: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, at));
}

const walHeaderBytes = 32;
const frameHeaderBytes = 24;
const databaseHeaderBytes = 100;
/** Pages that are kept in memory: the upper ones of trees are asked for again and again. */
const keptPages = 2048;

/** The pages of a database, as of the last commit in its log. */
class Pages {
  readonly size: number;
  /** Bytes of a page that hold content. */
  readonly usable: number;
  /** How many there are. */
  readonly count: number;
  readonly #file: number;
  readonly #log: number | null;
  readonly #logged = new Map<number, number>();
  /** As many as the last commit in the log says; 0 without one. */
  #loggedCount = 0;
  readonly #kept = new Map<number, Buffer>();

  constructor(file: number, log: number | null) {
    this.#file = file;
    this.#log = log;
    const header = readAt(file, 0, databaseHeaderBytes);
    const logHeader = log === null ? Buffer.alloc(0) : readAt(log, 0, walHeaderBytes);
    const hasLog = logHeader.length === walHeaderBytes && (logHeader.readUInt32BE(0) | 1) === 0x377f0683;
    // A database whose beginning is still in the log.
    const pageSize = hasLog ? logHeader.readUInt32BE(8) : header.length < 18 ? 0 : header.readUInt16BE(16);
    this.size = pageSize === 1 ? 65_536 : pageSize;
    if (this.size < 512 || this.size > 65_536 || (this.size & (this.size - 1)) !== 0)
      throw new UnreadableDatabase("no database");
    if (hasLog) this.#readLog(logHeader);
    const first = this.page(1);
    if (first.toString("latin1", 0, 16) !== "SQLite format 3\0") throw new UnreadableDatabase("no database");
    const encoding = first.readUInt32BE(56);
    if (encoding > 1) throw new UnreadableDatabase("its text is not UTF-8");
    this.usable = this.size - first.readUInt8(20);
    if (this.usable < 480) throw new UnreadableDatabase("no database");
    // The number in the header counts where the same change wrote it: what is older than 3.7.0 does not know it.
    const said = first.readUInt32BE(24) === first.readUInt32BE(92) ? first.readUInt32BE(28) : 0;
    this.count = this.#loggedCount || said || Math.floor(fstatSync(file).size / this.size);
  }

  page(number: number): Buffer {
    if (number < 1) throw new UnreadableDatabase(`no page ${number}`);
    const kept = this.#kept.get(number);
    if (kept) return kept;
    const logged = this.#logged.get(number);
    const page =
      logged === undefined
        ? readAt(this.#file, (number - 1) * this.size, this.size)
        : readAt(this.#log!, logged, this.size);
    if (page.length !== this.size) throw new UnreadableDatabase(`no page ${number}`);
    if (this.#kept.size >= keptPages) this.#kept.clear();
    this.#kept.set(number, page);
    return page;
  }

  /** Notes where the newest committed version of each page is. Frames belong to the log as long as their sums go on. */
  #readLog(header: Buffer): void {
    const bigEndian = header.readUInt32BE(0) === 0x377f0683;
    const sum: [number, number] = [0, 0];
    addTo(sum, header.subarray(0, 24), bigEndian);
    if (sum[0] !== header.readUInt32BE(24) || sum[1] !== header.readUInt32BE(28)) return;
    const salts = header.subarray(16, 24);
    const frameBytes = frameHeaderBytes + this.size;
    const pending: [page: number, at: number][] = [];
    for (let at = walHeaderBytes; ; at += frameBytes) {
      const frame = readAt(this.#log!, at, frameBytes);
      if (frame.length < frameBytes || !frame.subarray(8, 16).equals(salts)) return;
      addTo(sum, frame.subarray(0, 8), bigEndian);
      addTo(sum, frame.subarray(frameHeaderBytes), bigEndian);
      if (sum[0] !== frame.readUInt32BE(16) || sum[1] !== frame.readUInt32BE(20)) return;
      pending.push([frame.readUInt32BE(0), at + frameHeaderBytes]);
      if (frame.readUInt32BE(4) === 0) continue;
      this.#loggedCount = frame.readUInt32BE(4);
      for (const [page, where] of pending.splice(0)) this.#logged.set(page, where);
    }
  }
}

/** The log's running sum, over pairs of 32-bit numbers. */
function addTo(sum: [number, number], bytes: Buffer, bigEndian: boolean): void {
  let [one, two] = sum;
  for (let at = 0; at < bytes.length; at += 8) {
    one = (one + (bigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at)) + two) >>> 0;
    two = (two + (bigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4)) + one) >>> 0;
  }
  sum[0] = one;
  sum[1] = two;
}

interface Table {
  readonly root: number;
  readonly columns: readonly string[];
}

interface Index extends Table {
  readonly table: string;
}

/** Of one row; what is longer would not come through as a line either. */
const longestPayload = 64 << 20;

class Tables implements SqlTables {
  readonly #pages: Pages;
  readonly #tables = new Map<string, Table>();
  readonly #indexes: Index[] = [];

  constructor(pages: Pages) {
    this.#pages = pages;
    for (const { record } of this.#scan(1)) {
      const [type, , table, root, sql] = this.#values(record, [0, 1, 2, 3, 4]);
      if (typeof table !== "string" || typeof root !== "number" || typeof sql !== "string") continue;
      if (type === "table") this.#tables.set(table, { root, columns: columnsOf(sql) });
      // A partial index has not all rows.
      if (type === "index" && !/\)\s*where\b/i.test(sql))
        this.#indexes.push({ root, table, columns: columnsOf(sql) });
    }
  }

  columns(table: string): readonly string[] {
    return this.#tables.get(table)?.columns ?? [];
  }

  *rows(table: string, columns: readonly string[]): Generator<SqlRow> {
    const { root, wanted } = this.#wanted(table, columns);
    for (const { record } of this.#scan(root)) yield this.#values(record, wanted);
  }

  *rowsWhere(table: string, column: string, text: string, columns: readonly string[]): Generator<SqlRow> {
    const { root, wanted } = this.#wanted(table, columns);
    const index = this.#indexes.find((one) => one.table === table && one.columns[0] === column);
    if (index) {
      const key = Buffer.from(text);
      for (const row of this.#rowsIn(index, key, index.root)) {
        const record = this.#row(root, row);
        if (record) yield this.#values(record, wanted);
      }
      return;
    }
    const {
      wanted: [at],
    } = this.#wanted(table, [column]);
    for (const { record } of this.#scan(root))
      if (this.#values(record, [at!])[0] === text) yield this.#values(record, wanted);
  }

  #wanted(table: string, columns: readonly string[]): { root: number; wanted: number[] } {
    const known = this.#tables.get(table);
    if (!known) throw new UnreadableDatabase(`no table ${table}`);
    const wanted = columns.map((one) => known.columns.indexOf(one));
    if (wanted.includes(-1)) throw new UnreadableDatabase(`not the columns of ${table} that are known`);
    return { root: known.root, wanted };
  }

  /** All rows of a table, in the order of their numbers. */
  *#scan(number: number, seen = new Set<number>()): Generator<{ record: Payload }> {
    const page = this.#enter(number, seen);
    if (page.kind === "table leaf") {
      for (let at = 0; at < page.count; at++) yield { record: page.tableCell(at).record };
    } else if (page.kind === "table") {
      for (const child of page.children()) yield* this.#scan(child, seen);
    } else throw new UnreadableDatabase("a table that is an index");
  }

  /** A page on the way through a tree; twice on the same one, and the way would have no end. */
  #enter(number: number, seen: Set<number>): TreePage {
    if (seen.has(number)) throw new UnreadableDatabase("a tree without end");
    seen.add(number);
    return new TreePage(this.#pages, number);
  }

  /** The row of this number; null when there is none. */
  #row(root: number, row: number): Payload | null {
    const seen = new Set<number>();
    for (let number = root; ; ) {
      const page = this.#enter(number, seen);
      let low = 0;
      let high = page.count;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (page.rowAt(middle) < row) low = middle + 1;
        else high = middle;
      }
      if (page.kind === "table leaf")
        return low < page.count && page.rowAt(low) === row ? page.tableCell(low).record : null;
      if (page.kind !== "table") throw new UnreadableDatabase("a table that is an index");
      number = page.childAt(low);
    }
  }

  /** Numbers of the rows whose key begins with this text. */
  *#rowsIn(index: Index, key: Buffer, number: number, seen = new Set<number>()): Generator<number> {
    const page = this.#enter(number, seen);
    const isLeaf = page.kind === "index leaf";
    if (!isLeaf && page.kind !== "index") throw new UnreadableDatabase("an index that is a table");
    const compare = (at: number): number => {
      const [value] = this.#values(page.indexCell(at), [0]);
      // Numbers and nothing come before text, bytes after it.
      if (typeof value === "string") return Buffer.compare(Buffer.from(value), key);
      return value instanceof Uint8Array ? 1 : -1;
    };
    let low = 0;
    let high = page.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(middle) < 0) low = middle + 1;
      else high = middle;
    }
    for (let at = low; at <= page.count; at++) {
      if (!isLeaf) yield* this.#rowsIn(index, key, page.childAt(at), seen);
      if (at === page.count || compare(at) !== 0) return;
      const record = page.indexCell(at);
      const row = this.#values(record, [index.columns.length])[0];
      if (typeof row !== "number") throw new UnreadableDatabase("an index without rows");
      yield row;
    }
  }

  /** Of a record the values of these columns; what a row from before a column was added lacks is null. */
  #values(record: Payload, wanted: readonly number[]): SqlValue[] {
    const [headerBytes, first] = varint(record.upTo(9), 0);
    const header = record.upTo(headerBytes);
    const found = new Map<number, SqlValue>();
    const last = Math.max(...wanted);
    let at = headerBytes;
    for (let column = 0, from = first; column <= last && from < headerBytes; column++) {
      const [type, next] = varint(header, from);
      const length = lengthOf(type);
      if (wanted.includes(column)) found.set(column, valueIn(record.upTo(at + length), at, type, length));
      at += length;
      from = next;
    }
    return wanted.map((column) => found.get(column) ?? null);
  }
}

const kinds = { 2: "index", 5: "table", 10: "index leaf", 13: "table leaf" } as const;

/** A page of a tree. */
class TreePage {
  readonly kind: (typeof kinds)[keyof typeof kinds];
  readonly count: number;
  readonly #pages: Pages;
  readonly #page: Buffer;
  readonly #cells: number;

  constructor(pages: Pages, number: number) {
    this.#pages = pages;
    this.#page = pages.page(number);
    const at = number === 1 ? databaseHeaderBytes : 0;
    const kind = kinds[this.#page.readUInt8(at) as keyof typeof kinds];
    if (!kind) throw new UnreadableDatabase(`page ${number} is of no tree`);
    this.kind = kind;
    this.count = this.#page.readUInt16BE(at + 3);
    this.#cells = at + (kind.endsWith("leaf") ? 8 : 12);
    if (this.#cells + 2 * this.count > this.#page.length) throw new UnreadableDatabase("cells beyond a page");
  }

  #cell(at: number): number {
    const cell = this.#page.readUInt16BE(this.#cells + 2 * at);
    if (cell + 4 > this.#page.length) throw new UnreadableDatabase("a cell beyond its page");
    return cell;
  }

  /** Of an inner page the page before the cell of this number; after the last one the rightmost. */
  childAt(at: number): number {
    return this.#page.readUInt32BE(at === this.count ? this.#cells - 4 : this.#cell(at));
  }

  *children(): Generator<number> {
    for (let at = 0; at <= this.count; at++) yield this.childAt(at);
  }

  /** Of a table's page the row of a cell, or the last one below it. */
  rowAt(at: number): number {
    const cell = this.#cell(at);
    if (this.kind === "table") return varint(this.#page, cell + 4)[0];
    return varint(this.#page, varint(this.#page, cell)[1])[0];
  }

  tableCell(at: number): { record: Payload } {
    const [length, next] = varint(this.#page, this.#cell(at));
    const [, from] = varint(this.#page, next);
    return { record: this.#payload(length, from, this.#pages.usable - 35) };
  }

  indexCell(at: number): Payload {
    const cell = this.#cell(at) + (this.kind === "index" ? 4 : 0);
    const [length, from] = varint(this.#page, cell);
    return this.#payload(length, from, Math.floor(((this.#pages.usable - 12) * 64) / 255) - 23);
  }

  /** `most` bytes lie in the page itself; what is longer goes on in a chain of pages. */
  #payload(length: number, from: number, most: number): Payload {
    const { usable } = this.#pages;
    if (length > longestPayload) throw new UnreadableDatabase("a row without end");
    const least = Math.floor(((usable - 12) * 32) / 255) - 23;
    const some = least + ((length - least) % (usable - 4));
    const here = length <= most ? length : some <= most ? some : least;
    const end = from + here;
    if (end + (here < length ? 4 : 0) > this.#page.length)
      throw new UnreadableDatabase("a row beyond its page");
    return new Payload(
      this.#pages,
      length,
      this.#page.subarray(from, end),
      here < length ? this.#page.readUInt32BE(end) : 0,
    );
  }
}

/** The bytes of a row, of which no more is read than is asked for. */
class Payload {
  readonly #pages: Pages;
  readonly #length: number;
  #bytes: Buffer;
  #next: number;

  constructor(pages: Pages, length: number, bytes: Buffer, next: number) {
    this.#pages = pages;
    this.#length = length;
    this.#bytes = bytes;
    this.#next = next;
  }

  /** Its first bytes, at least so many of them, or all there are. */
  upTo(end: number): Buffer {
    if (this.#bytes.length >= Math.min(end, this.#length)) return this.#bytes;
    const parts = [this.#bytes];
    let have = this.#bytes.length;
    while (have < Math.min(end, this.#length)) {
      const page = this.#pages.page(this.#next);
      const part = page.subarray(4, 4 + Math.min(this.#pages.usable - 4, this.#length - have));
      parts.push(part);
      have += part.length;
      this.#next = page.readUInt32BE(0);
    }
    this.#bytes = Buffer.concat(parts);
    return this.#bytes;
  }
}

/** A number of one to nine bytes and where it ends. Those beyond 2^53 stand for nothing that is read here. */
function varint(bytes: Buffer, at: number): [value: number, next: number] {
  let value = 0;
  for (let used = 0; used < 8; used++) {
    const byte = bytes[at + used];
    if (byte === undefined) throw new UnreadableDatabase("a number that is cut off");
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return [value, at + used + 1];
  }
  const byte = bytes[at + 8];
  if (byte === undefined) throw new UnreadableDatabase("a number that is cut off");
  return [value * 256 + byte, at + 9];
}

/** Bytes of a value, by its serial type. */
function lengthOf(type: number): number {
  if (type >= 12) return Math.floor((type - 12) / 2);
  return [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0][type]!;
}

function valueIn(bytes: Buffer, at: number, type: number, length: number): SqlValue {
  if (bytes.length < at + length) throw new UnreadableDatabase("a row that is cut off");
  if (type >= 13 && type % 2 === 1) return bytes.toString("utf8", at, at + length);
  if (type >= 12) return Uint8Array.from(bytes.subarray(at, at + length));
  if (type === 0) return null;
  if (type === 8 || type === 9) return type - 8;
  if (type === 7) return bytes.readDoubleBE(at);
  if (length === 8) return Number(bytes.readBigInt64BE(at));
  if (length === 0) throw new UnreadableDatabase("a value of no type");
  return bytes.readIntBE(at, length);
}

/** The names of the columns in the statement that made a table or an index. */
function columnsOf(sql: string): string[] {
  const open = sql.indexOf("(");
  const parts: string[] = [];
  let depth = 0;
  let quote = "";
  let from = open + 1;
  for (let at = open; at >= 0 && at < sql.length; at++) {
    const one = sql[at]!;
    if (quote) quote = one === quote ? "" : quote;
    else if (/["'`[]/.test(one)) quote = one === "[" ? "]" : one;
    else if (one === "(") depth++;
    else if (one === "," && depth === 1) {
      parts.push(sql.slice(from, at));
      from = at + 1;
    } else if (one === ")" && --depth === 0) {
      parts.push(sql.slice(from, at));
      break;
    }
  }
  return parts.flatMap((part) => {
    const [, quoted, plain] = /^\s*(?:["`[]([^"`\]]*)["`\]]|(\S+))/.exec(part) ?? [];
    if (plain && /^(?:constraint|primary|foreign|unique|check)\b/i.test(plain)) return [];
    return [quoted ?? plain ?? ""];
  });
}
