// The compression function of SHA-256 (FIPS 180-4, section 6.2.2).

const blockLength = 64;
/** Bytes of {@link input}. */
const inputLength = 1 << 16;

/** The hash: eight words. */
const state = <i32>memory.data(32, 16);
/** The round constants: 64 words. */
const constants = <i32>memory.data(256, 16);
const schedule = <i32>memory.data(256, 16);
/** Blocks to be compressed. */
const input = <i32>memory.data(inputLength, 16);

export function stateAt(): i32 {
  return state;
}

export function constantsAt(): i32 {
  return constants;
}

export function inputAt(): i32 {
  return input;
}

/** Runs the compression function over the first `blocks` blocks of the input. */
export function compress(blocks: i32): void {
  let a = word(state, 0);
  let b = word(state, 1);
  let c = word(state, 2);
  let d = word(state, 3);
  let e = word(state, 4);
  let f = word(state, 5);
  let g = word(state, 6);
  let h = word(state, 7);
  for (let block = 0; block < blocks; block++) {
    for (let t = 0; t < 16; t++) {
      store<i32>(schedule + (t << 2), bswap(load<i32>(input + block * blockLength + (t << 2))));
    }
    for (let t = 16; t < 64; t++) {
      const x = word(schedule, t - 15);
      const y = word(schedule, t - 2);
      const s0 = right(x, 7) ^ right(x, 18) ^ (x >>> 3);
      const s1 = right(y, 17) ^ right(y, 19) ^ (y >>> 10);
      store<i32>(schedule + (t << 2), word(schedule, t - 16) + s0 + word(schedule, t - 7) + s1);
    }
    for (let t = 0; t < 64; t++) {
      const s1 = right(e, 6) ^ right(e, 11) ^ right(e, 25);
      const t1 = h + s1 + (g ^ (e & (f ^ g))) + word(constants, t) + word(schedule, t);
      const s0 = right(a, 2) ^ right(a, 13) ^ right(a, 22);
      const t2 = s0 + ((a & b) | (c & (a | b)));
      h = g;
      g = f;
      f = e;
      e = d + t1;
      d = c;
      c = b;
      b = a;
      a = t1 + t2;
    }
    a = add(0, a);
    b = add(1, b);
    c = add(2, c);
    d = add(3, d);
    e = add(4, e);
    f = add(5, f);
    g = add(6, g);
    h = add(7, h);
  }
}

/** Rotates; as shifts, because V8 calls a function for the instruction until it has optimised the code. */
function right(x: i32, by: i32): i32 {
  return (x >>> by) | (x << (32 - by));
}

function word(table: i32, i: i32): i32 {
  return load<i32>(table + (i << 2));
}

/** Adds to a word of the hash; the sum. */
function add(i: i32, value: i32): i32 {
  const sum = word(state, i) + value;
  store<i32>(state + (i << 2), sum);
  return sum;
}
