import { integrityError } from "../errors.ts";
import { concat, fromBase64url, toBase64url, utf8 } from "./encoding.ts";
import { ed25519Verify, sha256 } from "./primitives.ts";

// A signed line (docs/format.md):
//
//   line = <json, one line> HT <deviceId> HT <base64url(Ed25519 signature)>
//   sig  = Ed25519(utf8("convosync/v1/" + kind) 00 json-bytes)
//
// The signature covers the JSON bytes as they are, so nothing is ever re-serialised to be checked. Lines
// are held without their LF.

/** What a line is for; part of what is signed, so a line of one kind is never valid as another. */
export type LineKind = "keyring" | "head" | "join" | "repo";

export interface Signer {
  /** The device's id. */
  readonly device: string;
  /** The 64-byte Ed25519 signature of a message. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

export interface SplitLine {
  readonly json: string;
  readonly device: string;
  readonly signature: Uint8Array;
}

export async function signLine(kind: LineKind, json: string, signer: Signer): Promise<string> {
  const signature = toBase64url(await signer.sign(signedBytes(kind, json)));
  const line = `${json}\t${signer.device}\t${signature}`;
  readLine(line);
  return line;
}

/**
 * Splits a line without believing it. The JSON part is only known to be one line of well-formed text without
 * control characters (JSON needs none); everything else is an integrity error `bad-line`.
 */
export function readLine(line: string): SplitLine {
  const [, json, device, signature] =
    /^([^\0-\x1f]+)\t([a-z2-7]{20})\t([A-Za-z0-9_-]{85}[AQgw])$/.exec(line) ?? [];
  if (json === undefined || device === undefined || signature === undefined || /\p{Cs}/u.test(json)) {
    throw integrityError("bad-line", "a signed line is malformed");
  }
  return { json, device, signature: fromBase64url(signature) };
}

/**
 * Checks a line's signature and returns what it says and who says it.
 * @param signPubOf the Ed25519 public key (base64url) of a device that may sign here, undefined for others
 */
export async function verifyLine(
  kind: LineKind,
  line: string,
  signPubOf: (deviceId: string) => string | undefined,
): Promise<{ json: string; device: string }> {
  const { json, device, signature } = readLine(line);
  const signPub = signPubOf(device);
  if (signPub === undefined) {
    throw integrityError("unknown-signer", `device '${device}' is not entitled to sign this ${kind} line`);
  }
  if (!(await ed25519Verify(fromBase64url(signPub), signedBytes(kind, json), signature))) {
    throw integrityError("bad-signature", `the signature of device '${device}' on a ${kind} line is wrong`);
  }
  return { json, device };
}

/** base64url(SHA-256(line without LF)): covers the signature, so two signatures of one text differ. */
export async function lineHash(line: string): Promise<string> {
  return toBase64url(await sha256(utf8(line)));
}

function signedBytes(kind: LineKind, json: string): Uint8Array {
  return concat(utf8(`convosync/v1/${kind}`), new Uint8Array(1), utf8(json));
}
