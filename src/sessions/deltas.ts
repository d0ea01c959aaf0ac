import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Codec } from "../domains/sealed-objects.ts";
import { HistoryIndex } from "../packing/history-index.ts";
import type { Segment } from "../packing/manifest.ts";
import { encode } from "../packing/vcdiff-encode.ts";
import type { Chores } from "./chores.ts";
import { readChecked, readIfPresent, writeCache, writeChecked } from "./files.ts";
import { freeMemory } from "./free-memory.ts";
import { HistoryChanged, type LocalHistory, type Pieces } from "./local-history.ts";
import type { Context } from "./repository.ts";

/** A delta must be at least this much smaller to be worth a second tool for whoever reads with stock ones. */
const worthwhile = 0.9;
/**
 * Up to this length both ways are tried. Beyond, where there is but one line, a delta that is much shorter than its target
 * needs no rival, and one that has found next to nothing is none; what each step leaves behind is freed at once.
 */
const comparedBytes = 1 << 20;
/** Nor does one that came out so much smaller than its target: gzip alone makes a fifth of a conversation. */
const unrivalled = 10;

export interface Packed {
  readonly payload: Uint8Array;
  readonly codec: Segment["codec"];
  /** Length of what the gzip member holds. */
  readonly enc: number;
}

/**
 * Packs the segments of one stream, each as a delta against all that precedes it where that is smaller. The index
 * of the history is kept between saves, so that a save costs what is new.
 */
export class DeltaPacker {
  readonly #chores: Chores;
  readonly #codec: Codec;
  readonly #history: LocalHistory;
  readonly #path: string;
  #index: HistoryIndex | null;

  private constructor(
    chores: Chores,
    codec: Codec,
    history: LocalHistory,
    path: string,
    index: HistoryIndex | null,
  ) {
    this.#chores = chores;
    this.#codec = codec;
    this.#history = history;
    this.#path = path;
    this.#index = index;
  }

  /**
   * `stream` names it among all streams of the repository; `historyOf` opens what is stored of it. Without deltas when the
   * setting says so.
   */
  static async open(
    context: Context,
    codec: Codec,
    repo: string,
    stream: string,
    historyOf: (pieces: Pieces) => LocalHistory,
  ): Promise<DeltaPacker> {
    const name = createHash("sha256").update(stream).digest("base64url").slice(0, 22);
    const path = join(context.cacheDir, "index", repo, name);
    const { chores, settings } = context;
    if (settings.get("codec") === "gz") return new DeltaPacker(chores, codec, historyOf({}), path, null);
    const history = historyOf((await readChecked<Pieces>(piecesPath(path))) ?? {});
    return new DeltaPacker(chores, codec, history, path, await loadIndex(path, history));
  }

  /** Where the segments begin in the agent's file, those that were taken in too, and where the last one ends. */
  get range(): { readonly starts: readonly number[]; readonly end: number } {
    return this.#history;
  }

  pack(bytes: Uint8Array): Packed {
    const isLong = bytes.length > comparedBytes;
    if (isLong) freeMemory();
    const delta = this.#delta(bytes, isLong);
    if (delta && isLong && delta.enc < bytes.length / 2) return delta;
    if (delta && delta.payload.length * unrivalled < bytes.length) return delta;
    const plain: Packed = { payload: this.#codec.pack(bytes), codec: "gz", enc: bytes.length };
    if (isLong) freeMemory();
    return delta && delta.payload.length <= plain.payload.length * worthwhile ? delta : plain;
  }

  /** Takes in a segment that was packed, so that the next may copy from it. */
  append(segment: Pick<Segment, "off" | "raw" | "sha">, bytes: Uint8Array): void {
    this.#history.append(segment, bytes);
    this.#index?.extend(bytes);
  }

  close(): void {
    this.#history.close();
    const saved = this.#index?.save();
    if (!saved) return;
    this.#chores.later(() => writeCache(this.#path, saved));
    const { learned } = this.#history;
    if (learned) this.#chores.later(() => writeChecked(piecesPath(this.#path), learned));
  }

  #delta(bytes: Uint8Array, isLong: boolean): Packed | null {
    if (!this.#index) return null;
    try {
      const delta = encode(bytes, this.#index, this.#history);
      if (isLong) freeMemory();
      if (isLong && delta.bytes.length > bytes.length * worthwhile) return null;
      return { payload: this.#codec.pack(delta.bytes, delta.cuts), codec: "vcd", enc: delta.bytes.length };
    } catch (error) {
      if (!(error instanceof HistoryChanged)) throw error;
      this.#index = null;
      rmSync(piecesPath(this.#path), { force: true });
      return null;
    }
  }
}

const piecesPath = (path: string): string => `${path}.pieces`;

/** The index as it was kept, or made anew from the history; null when the agent's file no longer holds that. */
async function loadIndex(path: string, history: LocalHistory): Promise<HistoryIndex | null> {
  const saved = await readIfPresent(path).catch(() => null);
  if (saved && history.length > 0) {
    try {
      const index = HistoryIndex.load(saved);
      if (index.length === history.length) return index;
    } catch {
      // A damaged cache is made anew.
    }
  }
  const index = HistoryIndex.start();
  const step = 1 << 20;
  try {
    for (let at = 0; at < history.length; at += step) {
      index.extend(history.read(at, Math.min(step, history.length - at)));
    }
    return index;
  } catch (error) {
    if (error instanceof HistoryChanged) return null;
    throw error;
  }
}
