// Memory that is handed out from the end of the static data on, as a stack: whoever needs less again resets `top`.

const start = (<i32>__heap_base + 15) & ~15;
let top: i32 = start;
/** Beyond it no memory has been used yet, which is zeros then. */
let used: i32 = start;

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

/** Memory of zeros. What was never used is not touched. */
export function takeCleared(bytes: i32): i32 {
  const before = used;
  const at = take(bytes);
  if (at < before) memory.fill(at, 0, min(at + bytes, before) - at);
  return at;
}

/** Makes everything up to the address `end` usable. */
export function reserve(end: i32): void {
  used = max(used, end);
  const missing = ((end + 0xffff) >>> 16) - memory.size();
  if (missing > 0 && memory.grow(missing) < 0) unreachable();
}
