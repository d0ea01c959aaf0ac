/** Gives every mention of a session's own id another one; ids of one agent are of one length and occur for nothing else. */
export function replaceId(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const text = Buffer.from(bytes);
  const needle = Buffer.from(from);
  const parts: Uint8Array[] = [];
  let copied = 0;
  for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) {
    parts.push(text.subarray(copied, at), Buffer.from(to));
    copied = at + needle.length;
  }
  return copied === 0 ? bytes : Buffer.concat([...parts, text.subarray(copied)]);
}
