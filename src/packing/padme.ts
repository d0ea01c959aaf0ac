/** No payload is padded to less than this, in bytes: tiny records are all alike. */
const floor = 256;

/**
 * The length an object of `n` bytes is padded to, so that its size tells the remote little: PADMÉ (Nikitin et
 * al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019, algorithm 1).
 * With E = ⌊log2 n⌋ and S = ⌊log2 E⌋ + 1, `n` is rounded up to a multiple of 2^(E−S): at most 12 % more and in
 * practice 1–2 %, while only O(log log n) bits of the length are left to see.
 */
export function paddedLength(n: number): number {
  if (n <= floor) return floor;
  const exponent = log2(n);
  const step = 2 ** (exponent - log2(exponent) - 1);
  return Math.ceil(n / step) * step;
}

/** ⌊log2 n⌋ of an integer 1 ≤ n ≤ 2^53, exact also beside powers of two, where Math.log2 may round up. */
function log2(n: number): number {
  return n < 2 ** 32 ? 31 - Math.clz32(n) : 63 - Math.clz32(Math.floor(n / 2 ** 32));
}
