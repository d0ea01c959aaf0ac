import { base32nopad, base64urlnopad } from "@scure/base";
import { integrityError } from "../errors.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Decodes UTF-8 exactly: a byte order mark stays, invalid bytes are an integrity error, never U+FFFD. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw integrityError("bad-encoding", "text is not valid UTF-8", [], cause);
  }
}

/** RFC 4648 base32 in lower case without padding: safe in ref names and on case-insensitive disks. */
export function base32lower(bytes: Uint8Array): string {
  return base32nopad.encode(bytes).toLowerCase();
}

/** RFC 4648 base64url without padding. */
export function toBase64url(bytes: Uint8Array): string {
  return base64urlnopad.encode(bytes);
}

/**
 * The inverse of `toBase64url`. Accepts exactly what that function produces: padding, white space, the other
 * alphabet and non-zero trailing bits are integrity errors, so that one value has one spelling.
 */
export function fromBase64url(text: string): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    bytes = base64urlnopad.decode(text);
  } catch {
    bytes = undefined;
  }
  if (bytes === undefined || toBase64url(bytes) !== text) {
    throw integrityError("bad-encoding", "text is not canonical base64url");
  }
  return bytes;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Compares without telling by its running time where the first difference is; the lengths are not secret. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}
