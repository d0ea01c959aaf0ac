import { gunzipSync, gzipSync } from "node:zlib";
import { expect } from "vitest";
import { createDevice, type Device, deviceSigner } from "./device.ts";
import { utf8 } from "./encoding.ts";
import type { DeviceType } from "./fields.ts";
import { type Codec, createKeyring, type Keyring, type KeyringFiles } from "./keyring.ts";
import { seal } from "./seal.ts";
import { signLine } from "./signed-line.ts";

export const codec: Codec = {
  pack: (body) => gzipSync(body),
  unpackWithin: (payload, limit) => gunzipSync(payload, { maxOutputLength: limit }),
};

export const CODE = "00000-00000-00000-00000-00000";
export const TS = "2026-01-02T03:04:05Z";

export function newDevice(name = "laptop", type: DeviceType = "laptop"): Promise<Device> {
  return createDevice({ name, type, created: TS });
}

export async function newVault(name = "laptop") {
  return createKeyring({ device: await newDevice(name), recoveryCode: CODE, ts: TS, codec });
}

/** Signs any entry, sensible or not, that claims to follow the keyring's last line. */
export function forgeLine(keyring: Keyring, signer: Device, fields: object): Promise<string> {
  const place = { v: 1, vault: keyring.vault, seq: keyring.seq + 1, prev: keyring.hash, ts: TS };
  return signLine("keyring", JSON.stringify({ ...place, ...fields }), deviceSigner(signer));
}

/** The files with other lines in the log, sealed to the epoch as everybody who knows its recipient can. */
export async function withLog(
  keyring: Keyring,
  files: KeyringFiles,
  lines: readonly string[],
): Promise<KeyringFiles> {
  const text = lines.map((line) => `${line}\n`).join("");
  return {
    ...files,
    log: await seal(codec.pack(utf8(text)), [keyring.epochs.get(keyring.epoch)!.recipient]),
  };
}

export async function expectFailure(promise: Promise<unknown>, code: string, exit: number): Promise<void> {
  await expect(promise).rejects.toMatchObject({ name: "ConvosyncError", code, exit });
}
