import { integrityError } from "../errors.ts";

// The textual header of an age v1 file (https://c2sp.org/age#header), read before age sees the file: age
// itself has no limit, and tries every stanza with every identity (5,000 junk stanzas cost 10 s).

export interface Stanza {
  /** The first argument: `X25519`, `scrypt`, … */
  readonly type: string;
  readonly args: readonly string[];
}

export interface HeaderLimits {
  readonly stanzas: number;
  /** Length of the whole header with the MAC line's LF, in bytes. */
  readonly bytes: number;
}

/**
 * Reads the stanzas of a binary age file; armored files are refused like anything else that is not one.
 * Whatever is malformed or over the limits is an integrity error `bad-header`. Bodies and MAC are only
 * measured: age checks them.
 */
export function readAgeHeader(file: Uint8Array, limits: HeaderLimits): readonly Stanza[] {
  const lines = headerLines(file, limits.bytes);
  if (lines.next().value !== "age-encryption.org/v1") throw bad("not an age file");

  const stanzas: Stanza[] = [];
  let line = lines.next().value;
  while (line?.startsWith("-> ")) {
    const [type, ...args] = line.slice(3).split(" ");
    if (type === undefined || type === "" || args.includes("")) throw bad("empty stanza argument");
    stanzas.push({ type, args });
    if (stanzas.length > limits.stanzas) throw bad(`more than ${limits.stanzas} recipients`);
    // A body is lines of 64 characters and one shorter line, which may be empty.
    let body: string | undefined;
    do {
      body = lines.next().value;
      if (body === undefined || !/^[A-Za-z0-9+/]{0,64}$/.test(body)) throw bad("malformed stanza");
    } while (body.length === 64);
    line = lines.next().value;
  }
  if (stanzas.length === 0) throw bad("no recipient");
  if (line === undefined || !/^--- [A-Za-z0-9+/]{43}$/.test(line)) throw bad("no MAC after the stanzas");
  return stanzas;
}

/** The LF-terminated lines of printable ASCII at the start of the file, within the limit. */
function* headerLines(file: Uint8Array, limit: number): Generator<string, undefined> {
  for (let start = 0; ; ) {
    const end = file.indexOf(0x0a, start);
    if (end === -1) return undefined;
    if (end >= limit) throw bad(`header longer than ${limit} bytes`);
    let line = "";
    for (let i = start; i < end; i++) {
      const byte = file[i]!;
      if (byte < 0x20 || byte > 0x7e) throw bad("header is not ASCII");
      line += String.fromCharCode(byte);
    }
    yield line;
    start = end + 1;
  }
}

function bad(why: string): Error {
  return integrityError("bad-header", `a sealed file has a malformed header: ${why}`);
}
