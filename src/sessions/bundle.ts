import { type FileHandle, open } from "node:fs/promises";
import * as v from "valibot";
import { readAgeHeader } from "../crypto/age-header.ts";
import { ageIdentity, ageRecipient } from "../crypto/age-keys.ts";
import { fromUtf8, toBase64url, utf8 } from "../crypto/encoding.ts";
import { openFrom, sealFor } from "../crypto/keyring.ts";
import { randomBytes } from "../crypto/primitives.ts";
import { open as openSealed, openWithPassphrase, seal, sealWithPassphrase } from "../crypto/seal.ts";
import { readSidecar, readStream } from "../domains/reader.ts";
import { hashOf } from "../domains/sealed-objects.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { countLines } from "../packing/lines.ts";
import {
  currentStreams,
  fields,
  limits,
  type Manifest,
  manifestSchema,
  parseRecord,
} from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import { nativeCodec } from "./codec.ts";
import type { Reading } from "./reading.ts";
import type { OpenVault } from "./vault.ts";

/**
 * A bundle: one session in one encrypted file, for another vault or another person (docs/format.md, section 15).
 * Its first part is sealed to whoever is to open it and holds a key of the bundle's own, to which the others are
 * sealed: so the rest is the same for a vault and for a passphrase, and is read piece by piece.
 */
export const bundleMagic = utf8("convosync-bundle 1\n");

const part = v.object({
  raw: v.pipe(fields.count, v.minValue(1), v.maxValue(limits.lineBytes)),
  sha: fields.hash,
});
const headerSchema = v.looseObject({
  v: v.literal(1),
  type: v.literal("bundle"),
  /** `AGE-SECRET-KEY-1…`: opens the other parts. */
  key: v.pipe(v.string(), v.regex(/^AGE-SECRET-KEY-1[0-9A-Z]{58}$/)),
  agent: manifestSchema.entries.agent,
  session: manifestSchema.entries.session,
  title: fields.text,
  /** Portable. */
  cwd: fields.text,
  streams: v.pipe(
    v.array(
      v.looseObject({
        name: fields.name,
        lines: fields.count,
        bytes: v.pipe(fields.count, v.maxValue(limits.sessionBytes)),
        sha: fields.hash,
        parts: v.pipe(v.array(part), v.maxLength(limits.segments)),
      }),
    ),
    v.maxLength(limits.files),
  ),
  files: v.pipe(
    v.array(
      v.looseObject({
        name: fields.name,
        bytes: v.pipe(fields.count, v.maxValue(limits.fileBytes)),
        sha: fields.hash,
        form: v.optional(v.picklist(["jsonl", "text"])),
        mode: v.optional(v.pipe(fields.count, v.maxValue(0o777))),
      }),
    ),
    v.maxLength(limits.files),
  ),
  snapshots: manifestSchema.entries.snapshots,
  links: manifestSchema.entries.links,
});
export type BundleHeader = v.InferOutput<typeof headerSchema>;
type BundleStream = BundleHeader["streams"][number];
type BundleFile = BundleHeader["files"][number];

/** scrypt's work factor for a person's passphrase: 128 MiB and about a second for whoever tries one. */
const passphraseLogN = 17;

/** Who may open a bundle: the devices of a vault, or whoever knows the passphrase. */
export type BundleFor = { readonly vault: OpenVault } | { readonly passphrase: string };

/** Writes a bundle part by part. The session is read twice, because what is in it stands before it. */
export async function* writeBundle(reading: Reading, to: BundleFor): AsyncGenerator<Uint8Array> {
  const { manifest } = reading.stored;
  const streams: BundleStream[] = [];
  for (const one of streamsOf(reading)) streams.push(await describeStream(one.name, one.content()));
  const key = randomBytes(32);
  const header: BundleHeader = {
    v: 1,
    type: "bundle",
    key: ageIdentity(key),
    agent: manifest.agent,
    session: manifest.session,
    title: reading.session.newest.entry.t,
    cwd: manifest.meta.cwd,
    streams,
    files: manifest.files.map(({ name, bytes, sha, form, mode }) => ({
      ...{ name, bytes, sha },
      ...(form && { form }),
      ...(mode !== undefined && { mode }),
    })),
    snapshots: upTo(reading, manifest.snapshots),
    links: manifest.links.filter((one) => (one.gen ?? 0) === reading.gen && one.upto <= reading.lines),
  };
  const payload = nativeCodec.pack(utf8(JSON.stringify(header)));
  const sealed =
    "vault" in to
      ? (await sealFor(to.vault.keyring, payload)).file
      : await sealWithPassphrase(payload, to.passphrase, passphraseLogN);
  yield bundleMagic;
  yield* framed(sealed);
  const recipient = await ageRecipient(key);
  for (const one of streamsOf(reading)) {
    for await (const bytes of one.content()) yield* framed(await seal(nativeCodec.pack(bytes), [recipient]));
  }
  for (const record of manifest.files) {
    const bytes = await readSidecar(reading.vault, reading.stored, record);
    if (bytes.length > 0) yield* framed(await seal(nativeCodec.pack(bytes), [recipient]));
  }
}

function* framed(sealed: Uint8Array): Generator<Uint8Array> {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, sealed.length);
  yield length;
  yield sealed;
}

interface PortableStream {
  readonly name: string;
  content(): AsyncGenerator<Uint8Array>;
}

/** The main stream as far as it was opened, and the others as they stood then. */
export function streamsOf(reading: Reading): PortableStream[] {
  const { stored, vault, snapshot } = reading;
  const others = currentStreams(stored.manifest).filter((one) => one.name !== "main");
  const known = upTo(reading, stored.manifest.snapshots);
  return [
    { name: "main", content: reading.portable },
    ...others.flatMap((record): PortableStream[] => {
      const at = known.findLast((one) => one.upto[record.name] !== undefined)?.upto[record.name];
      if (snapshot && !at) return [];
      const bytes = snapshot ? Math.min(at![1], record.bytes) : record.bytes;
      return [{ name: record.name, content: () => firstBytes(readStream(vault, stored, record), bytes) }];
    }),
  ];
}

const upTo = ({ snapshot }: Reading, all: Manifest["snapshots"]): Manifest["snapshots"] =>
  snapshot ? all.filter((one) => one.n <= snapshot.n) : all;

async function* firstBytes(parts: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const one of parts) {
    const piece = one.subarray(0, left);
    left -= piece.length;
    if (piece.length > 0) yield piece;
  }
}

async function describeStream(name: string, content: AsyncIterable<Uint8Array>): Promise<BundleStream> {
  const hash = StreamHash.start();
  const parts: BundleStream["parts"] = [];
  let bytes = 0;
  let lines = 0;
  for await (const one of content) {
    hash.update(one);
    parts.push({ raw: one.length, sha: await hashOf(one) });
    bytes += one.length;
    lines += countLines(one);
  }
  return { name, lines, bytes, sha: toBase64url(hash.digest()), parts };
}

/** A bundle that was opened; what it holds is proved as it is read. Exit 6 for whatever is not as it should be. */
export class Bundle {
  readonly header: BundleHeader;
  readonly #file: FileHandle;
  /** Where each part begins, and its length. */
  readonly #parts: readonly (readonly [number, number])[];

  private constructor(file: FileHandle, header: BundleHeader, parts: readonly (readonly [number, number])[]) {
    this.#file = file;
    this.header = header;
    this.#parts = parts;
  }

  /** `passphrase` is asked where the bundle is protected by one; `vault` is null where none is set up. */
  static async open(
    path: string,
    vault: OpenVault | null,
    passphrase: () => Promise<string>,
  ): Promise<Bundle> {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const [first, next] = await frame(file, bundleMagic.length, size);
      const sealed = await readAt(file, first, next - first);
      const payload = await openHeader(sealed, vault, passphrase);
      const json = fromUtf8(nativeCodec.unpackWithin(payload, limits.lineBytes));
      const header = parseRecord(headerSchema, "bundle", json);
      checkSums(header);
      const lengths = [
        ...header.streams.flatMap((one) => one.parts.map(({ raw }) => raw)),
        ...header.files.flatMap(({ bytes }) => (bytes > 0 ? [bytes] : [])),
      ];
      const parts: (readonly [number, number])[] = [];
      let at = next;
      for (const raw of lengths) {
        const [from, to] = await frame(file, at, size);
        if (to - from > raw + (raw >> 3) + (64 << 10)) throw damaged("a part is longer than what it holds");
        parts.push([from, to - from]);
        at = to;
      }
      if (at !== size) throw damaged("something follows its last part");
      return new Bundle(file, header, parts);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async *stream(name: string): AsyncGenerator<Uint8Array> {
    let index = 0;
    for (const one of this.header.streams) {
      if (one.name !== name) {
        index += one.parts.length;
        continue;
      }
      const hash = StreamHash.start();
      for (const { raw, sha } of one.parts) {
        const bytes = await this.#part(index++, raw, sha);
        if (bytes.at(-1) !== 0x0a) throw damaged("a stream is not made of whole lines");
        hash.update(bytes);
        yield bytes;
      }
      if (toBase64url(hash.digest()) !== one.sha) throw damaged("a stream is not what it says");
      return;
    }
  }

  async file(wanted: BundleFile): Promise<Uint8Array> {
    let index = this.header.streams.reduce((sum, one) => sum + one.parts.length, 0);
    for (const one of this.header.files) {
      if (one === wanted) return one.bytes === 0 ? new Uint8Array() : this.#part(index, one.bytes, one.sha);
      if (one.bytes > 0) index++;
    }
    throw new Error("no such file in the bundle");
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #part(index: number, raw: number, sha: string): Promise<Uint8Array> {
    const [from, length] = this.#parts[index]!;
    const sealed = await readAt(this.#file, from, length);
    const bytes = nativeCodec.unpack(await openSealed(sealed, [this.header.key], "object"), raw);
    if ((await hashOf(bytes)) !== sha) throw damaged("a part does not hold what it says");
    return bytes;
  }
}

/** Whether a file begins as a bundle does. */
export async function isBundle(path: string): Promise<boolean> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bundleMagic.length), 0, bundleMagic.length, 0);
    return bytesRead === bundleMagic.length && buffer.equals(bundleMagic);
  } finally {
    await file.close();
  }
}

async function openHeader(
  sealed: Uint8Array,
  vault: OpenVault | null,
  passphrase: () => Promise<string>,
): Promise<Uint8Array> {
  const [stanza] = readAgeHeader(sealed, { stanzas: 1, bytes: 4096 });
  if (stanza?.type === "scrypt") {
    const words = await passphrase();
    return openWithPassphrase(sealed, words).catch((error: unknown) => {
      if (!(error instanceof ConvosyncError) || error.exit !== Exit.noKey) throw error;
      throw new ConvosyncError("wrong-passphrase", Exit.noKey, "this passphrase does not open the bundle", [
        "ask whoever made it for the right one",
      ]);
    });
  }
  if (!vault) throw notOurs();
  return openFrom(vault.keyring, sealed).catch((error: unknown) => {
    throw error instanceof ConvosyncError && error.exit === Exit.noKey ? notOurs() : error;
  });
}

function checkSums({ streams, files }: BundleHeader): void {
  const names = [...streams, ...files].map((one) => one.name);
  if (new Set(names).size !== names.length || streams[0]?.name !== "main")
    throw damaged("its list of contents is not in order");
  let total = 0;
  for (const { parts, bytes } of streams) {
    if (parts.reduce((sum, { raw }) => sum + raw, 0) !== bytes)
      throw damaged("a stream is not the sum of its parts");
    total += bytes;
  }
  for (const { bytes } of files) total += bytes;
  if (total > limits.sessionBytes)
    throw integrityError("oversized-session", `the bundle holds more than ${limits.sessionBytes >> 20} MiB`);
}

/** Where the part that begins at `at` has its bytes. */
async function frame(file: FileHandle, at: number, size: number): Promise<[from: number, to: number]> {
  if (at + 4 > size) throw damaged("it ends too early");
  const length = new DataView((await readAt(file, at, 4)).buffer).getUint32(0);
  const most = limits.lineBytes + (limits.lineBytes >> 3) + (64 << 10);
  if (length > most || at + 4 + length > size) throw damaged("it ends too early");
  return [at + 4, at + 4 + length];
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw damaged("it ends too early");
    done += bytesRead;
  }
  return bytes;
}

const damaged = (why: string): ConvosyncError =>
  integrityError("damaged-bundle", `the bundle is damaged or was altered: ${why}`);

const notOurs = (): ConvosyncError =>
  new ConvosyncError("no-key", Exit.noKey, "this bundle is for another vault", [
    "ask whoever made it for one with a passphrase: git convosync export <session> --format bundle --passphrase",
  ]);
