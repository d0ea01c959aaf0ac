// Memory that is handed out from the end of the static data on, as a stack: whoever needs less again resets `top`.

const start = (<i32>__heap_base + 15) & ~15;
let top: i32 = start;

export function reset(to: i32 = start): void {
  top = to;
}

export function mark(): i32 {
  return top;
}

/** Memory of whatever content. */
export function take(bytes: i32): i32 {
  const at = top;
  top += (bytes + 15) & ~15;
  reserve(top);
  return at;
}

/** Memory of zeros. */
export function takeCleared(bytes: i32): i32 {
  const at = take(bytes);
  memory.fill(at, 0, bytes);
  return at;
}

/** Makes everything up to the address `end` usable. */
export function reserve(end: i32): void {
  const missing = ((end + 0xffff) >>> 16) - memory.size();
  if (missing > 0 && memory.grow(missing) < 0) unreachable();
}
