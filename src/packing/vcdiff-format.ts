// VCDIFF (RFC 3284) as docs/format.md narrows it: one window, the default code table, no secondary compression.

/** "VCD" with high bits set, version 0, and no header indicator. */
export const magic = Uint8Array.of(0xd6, 0xc3, 0xc4, 0x00, 0x00);

/** Window indicator: the window has a source segment (RFC 3284, section 4.2). */
export const windowHasSource = 1;

/** Instruction types (section 5.4). */
export const NOOP = 0;
export const ADD = 1;
export const RUN = 2;
export const COPY = 3;

/** Address modes of COPY (section 5.3): absolute, distance back from here, near 0–3, same 0–2. */
export const SELF = 0;
export const HERE = 1;
export const NEAR = 2;
export const SAME = 6;
export const modes = 9;

/**
 * One of the 256 instruction codes: two instructions, the second often NOOP. Size 0 means that the size follows
 * the code.
 */
export interface Code {
  readonly type1: number;
  readonly size1: number;
  readonly mode1: number;
  readonly type2: number;
  readonly size2: number;
  readonly mode2: number;
}

/** The default code table (section 5.6), in the order of its text. */
export const codeTable: readonly Code[] = defaultCodeTable();

function defaultCodeTable(): Code[] {
  const codes: Code[] = [];
  const one = (type1: number, size1: number, mode1 = 0) =>
    codes.push({ type1, size1, mode1, type2: NOOP, size2: 0, mode2: 0 });
  one(RUN, 0);
  for (let size = 0; size <= 17; size++) one(ADD, size);
  for (let mode = 0; mode < modes; mode++) {
    one(COPY, 0, mode);
    for (let size = 4; size <= 18; size++) one(COPY, size, mode);
  }
  for (let mode = 0; mode < modes; mode++) {
    for (let size1 = 1; size1 <= 4; size1++) {
      for (let size2 = 4; size2 <= (mode < SAME ? 6 : 4); size2++) {
        codes.push({ type1: ADD, size1, mode1: 0, type2: COPY, size2, mode2: mode });
      }
    }
  }
  for (let mode = 0; mode < modes; mode++) {
    codes.push({ type1: COPY, size1: 4, mode1: mode, type2: ADD, size2: 1, mode2: 0 });
  }
  return codes;
}

/** The recently used addresses that both sides keep to write addresses shortly (section 5.1). */
export class AddressCache {
  readonly near = new Float64Array(4);
  readonly same = new Float64Array(3 * 256);
  #next = 0;

  update(address: number): void {
    this.near[this.#next] = address;
    this.#next = (this.#next + 1) % this.near.length;
    this.same[address % this.same.length] = address;
  }
}

/** Bytes of `n` as a variable-length integer: base 128, most significant first (section 2). */
export function integerLength(n: number): number {
  let length = 1;
  for (let rest = n; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}
