import * as v from "valibot";
import { integrityError } from "../errors.ts";
import { ageIdentity, ageRecipient, ageSecret } from "./age-keys.ts";
import { fromBase64url, toBase64url } from "./encoding.ts";
import {
  Bytes32,
  cleanName,
  DeviceName,
  type DeviceType,
  DeviceTypeName,
  Id,
  newerVersion,
  Timestamp,
} from "./fields.ts";
import { deviceId } from "./names.ts";
import { ed25519PublicKey, ed25519Sign, randomBytes } from "./primitives.ts";
import type { Signer } from "./signed-line.ts";

/** A vault a device belongs to, and the first line of its keyring, by hash: what trust starts from. */
export interface VaultPin {
  readonly vault: string;
  readonly genesis: string;
}

/** A device with its secrets, as `device.txt` holds it. Keys and seeds are in base64url unless age's own. */
export interface Device {
  readonly id: string;
  readonly name: string;
  readonly type: DeviceType;
  /** Opens what is sealed to this device: `AGE-SECRET-KEY-1…`. */
  readonly identity: string;
  /** `age1…` */
  readonly recipient: string;
  /** The Ed25519 secret it signs with, and the public key that belongs to it. */
  readonly signSeed: string;
  readonly signPub: string;
  /** ISO 8601, UTC. */
  readonly created: string;
  readonly vaults: readonly VaultPin[];
}

/** Makes a device with new keys. An unprintable name gives way to the type's. */
export async function createDevice(about: {
  name: string;
  type: DeviceType;
  created: string;
}): Promise<Device> {
  const created = v.parse(Timestamp, about.created);
  const secret = randomBytes(32);
  const signSeed = randomBytes(32);
  const name = cleanName(about.name) || about.type;
  return { ...(await withPublicKeys(secret, signSeed)), name, type: about.type, created, vaults: [] };
}

/** The same device as a member of one more vault. */
export function withVault<D extends { readonly vaults: readonly VaultPin[] }>(device: D, pin: VaultPin): D {
  const others = device.vaults.filter(({ vault }) => vault !== pin.vault);
  return { ...device, vaults: [...others, { vault: pin.vault, genesis: pin.genesis }] };
}

export function deviceSigner(device: Device): Signer {
  const seed = fromBase64url(device.signSeed);
  return { device: device.id, sign: (message) => ed25519Sign(seed, message) };
}

/** `device.txt`: an age identity file (`age -d -i device.txt …` takes it) whose comments say the rest. */
export function formatDevice(device: Device): string {
  return [
    "# convosync device 1",
    "# Secret: whoever has this file reads the conversations of the vaults below and signs as this device.",
    `# id: ${device.id}`,
    `# name: ${device.name}`,
    `# type: ${device.type}`,
    `# created: ${device.created}`,
    `# public key: ${device.recipient}`,
    `# signing key: ${device.signPub}`,
    ...device.vaults.map(({ vault, genesis }) => `# vault: ${vault} ${genesis}`),
    `# signing seed: ${device.signSeed}`,
    device.identity,
    "",
  ].join("\n");
}

const MAX_TEXT = 64 * 1024;

const Comments = v.object({
  id: v.string(),
  name: DeviceName,
  type: DeviceTypeName,
  created: Timestamp,
  "public key": v.string(),
  "signing key": v.string(),
  "signing seed": Bytes32,
});

/**
 * Reads `device.txt`. Ids and public keys are recomputed from the secrets and must be the ones written down;
 * other comments are skipped. Anything wrong is an integrity error `damaged-device-file`.
 */
export async function parseDevice(text: string): Promise<Device> {
  if (text.length > MAX_TEXT) throw damaged("it is too long");
  const [first, ...lines] = text.split(/\r?\n/);
  const version = /^# convosync device (\d+)$/.exec(first ?? "")?.[1];
  if (version === undefined) throw damaged("it does not begin like one");
  if (version !== "1") throw newerVersion("the device key file");

  const comments = new Map<string, string>();
  const vaults: VaultPin[] = [];
  const identities: string[] = [];
  for (const line of lines) {
    const [, key, value] = /^# ([a-z ]+): (.*)$/.exec(line) ?? [];
    if (key === "vault") vaults.push(parsePin(value ?? ""));
    else if (key !== undefined && comments.has(key)) throw damaged(`'${key}' is there twice`);
    else if (key !== undefined) comments.set(key, value ?? "");
    else if (line !== "" && !line.startsWith("#")) identities.push(line);
  }

  const secret = identities.length === 1 ? ageSecret(identities[0]!) : undefined;
  if (secret === undefined) throw damaged("it must hold exactly one age identity");
  if (new Set(vaults.map(({ vault }) => vault)).size < vaults.length) throw damaged("a vault is there twice");
  const parsed = v.safeParse(Comments, Object.fromEntries(comments));
  if (!parsed.success) throw damaged(`'${v.getDotPath(parsed.issues[0])}' is missing or malformed`);
  const said = parsed.output;

  const keys = await withPublicKeys(secret, fromBase64url(said["signing seed"]));
  if (keys.id !== said.id || keys.recipient !== said["public key"] || keys.signPub !== said["signing key"]) {
    throw damaged("its keys do not belong together");
  }
  return { ...keys, name: said.name, type: said.type, created: said.created, vaults };
}

async function withPublicKeys(secret: Uint8Array, signSeed: Uint8Array) {
  const recipient = await ageRecipient(secret);
  const signPub = toBase64url(await ed25519PublicKey(signSeed));
  const id = await deviceId(recipient, signPub);
  return { id, identity: ageIdentity(secret), recipient, signSeed: toBase64url(signSeed), signPub };
}

function parsePin(value: string): VaultPin {
  const [vault, genesis, ...rest] = value.split(" ");
  if (!v.is(Id, vault) || !v.is(Bytes32, genesis) || rest.length > 0) throw damaged("a vault is malformed");
  return { vault, genesis };
}

/** Says what is wrong, never what is in the file: it is secret. */
function damaged(why: string): Error {
  return integrityError("damaged-device-file", `the device key file is damaged: ${why}`);
}
