import type { Agent, Workplace } from "../agents/agent.ts";
import { readWholeLines } from "../agents/local-files.ts";
import { readStream, type StoredSession } from "../domains/reader.ts";
import { commonBytes, furthestOf } from "../domains/sessions.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import { commonLines } from "../packing/lines.ts";
import { type Manifest, mainStream } from "../packing/manifest.ts";
import { withCaptured } from "./capture-local.ts";
import type { CatalogEntry, Heads } from "./catalog.ts";
import { writeCopy } from "./copy.ts";
import type { Branching, Decide } from "./decide.ts";
import { deviceName } from "./heads.ts";
import { isIdleBeyond } from "./idle-side.ts";
import { joins, writeJoined } from "./join.ts";
import type { Context } from "./repository.ts";
import type { OpenVault } from "./vault.ts";
import { tipsOf } from "./versions.ts";

export type DivergenceEvent =
  | { readonly step: "joined"; readonly how: Resolution; readonly messages: number; readonly idle: boolean }
  | {
      readonly step: "kept-version";
      readonly session: string;
      readonly device: string;
      readonly here: boolean;
      readonly snapshot: number;
      /** Whether it can become a session of its own. */
      readonly copies: boolean;
      /** Nobody had gone on with it. */
      readonly idle: boolean;
    }
  | {
      readonly step: "forked";
      readonly device: string;
      readonly session: string;
      readonly command: readonly string[];
    };

export type Resolution = "mine" | "theirs" | "merge" | "fork";

/** The conversation in the agent's own file here, where it went on apart from all that is saved. */
export interface LocalBranch {
  /** The first stream that parted: `main`, or a helper's. */
  readonly stream: string;
  readonly path: string;
  readonly lines: number;
  /** Lines that it shares with the saved one. */
  readonly common: number;
  readonly at: Date;
}

interface Situation {
  readonly vault: OpenVault;
  readonly heads: Heads;
  readonly session: CatalogEntry;
  readonly stored: readonly StoredSession[];
  readonly agent: Agent;
  readonly place: Workplace;
  /** The directory the conversation runs in here. */
  readonly cwd: string;
  readonly local: LocalBranch | null;
  /** Nothing is written: where nobody has to be asked, it is as if it were settled. */
  readonly dryRun: boolean;
}

/**
 * Asks how versions that went on separately come together and does it. What is in the agent's file here is captured
 * first, so that nothing is anywhere alone. Where one goes on from all others, nobody is asked, nor where nobody has gone on
 * with one of two: the other one goes on, and what that one has is kept. Returns the version that holds all of them.
 */
export async function settleDivergence(
  context: Context,
  now: Situation,
  decide: Decide,
  tell: (event: DivergenceEvent) => void,
): Promise<StoredSession> {
  const { vault, agent, place } = now;
  const before = await tipsOf(vault, now.stored);
  const choices: Resolution[] = [
    ...(joins(agent) ? (["merge"] as const) : []),
    "theirs",
    ...(now.local || mineOf(before, now.heads) ? (["mine"] as const) : []),
    ...(agent.copies === false ? [] : (["fork"] as const)),
  ];
  const ways = [...choices.map((one) => flags[one]), ...impossible(agent)];
  const otherwise = now.local
    ? localDiverged(now.session, now.local, ways)
    : storedDiverged(vault, before, now.session, ways);
  const about = { kind: "conversation", versions: facts(now, before) } as const;
  const clear = now.local ? null : furthestOf(before);
  if (clear && now.dryRun) return clear;
  const idle = clear ? null : await idleSide(now, before);
  const easy = idle && ({ mine: "theirs", theirs: "mine" } as const)[idle.side];
  const how = clear
    ? null
    : await decide<Resolution>({ about, choices, ...(easy && { clear: easy }), otherwise });
  // Nothing is settled, but what would come of it is known.
  if (now.dryRun && idle && how === "theirs") return idle.other;

  const key = `${agent.name}:${now.session.id}`;
  const { heads, session, copies } = await withCaptured(context, vault, now.heads, place, key);
  const captured = await tipsOf(vault, copies);
  // Where the other one is what was here before, what is here was captured as what the agent has made of it.
  const rewritten = captured.length === 1 && now.local !== null && how !== null;
  const tips = rewritten
    ? [...captured, ...before.filter(({ commit }) => commit !== captured[0]!.commit)]
    : captured;
  if (tips.length === 1) return tips[0]!;

  const byTime = [...tips].sort((a, b) => (lastTime(a) < lastTime(b) ? 1 : -1));
  const mine = mineOf(tips, heads) ?? byTime[0]!;
  const theirs = byTime.find((one) => one !== mine) ?? mine;
  const furthest = how === null ? furthestOf(tips) : null;
  // The agent may have gone on since it was looked at.
  if (how === null && !furthest) throw otherwise;
  const first = furthest ?? (how === "theirs" ? theirs : mine);
  const others = byTime.filter((one) => one !== first);
  const joining = how === "merge" && joins(agent) ? agent : null;
  // On one branch the other side's code is what is still to come; else the newest conversation says where it stands.
  const code = how !== "merge" ? first : branchOf(mine) === branchOf(theirs) ? theirs : byTime[0]!;
  const written = await writeJoined(context, vault, heads, session, [first, ...others], joining, code);
  if (how === null) return written;
  const isIdle = how === easy;
  tell({ step: "joined", how, messages: mainStream(written.manifest)?.lines ?? 0, idle: isIdle });
  for (const one of how === "merge" ? [] : others) {
    const device = deviceName(vault, one.manifest.snapshots.at(-1)?.device ?? "");
    if (how === "fork") {
      const { id } = await writeCopy(vault, one, agent, place, now.cwd, null);
      tell({ step: "forked", device, session: id, command: agent.resumeCommand(id) });
    } else {
      const snapshot = snapshotOf(written.manifest, one.manifest);
      const copies = agent.copies !== false;
      const here = one === mine;
      tell({ step: "kept-version", session: session.id, device, here, snapshot, copies, idle: isIdle });
    }
  }
  return written;
}

/** Of two versions the one that nobody has gone on with since they parted; of two such, the one here. */
async function idleSide(
  { vault, heads, agent, local }: Situation,
  tips: readonly StoredSession[],
): Promise<{ side: "mine" | "theirs"; other: StoredSession } | null> {
  const mine = local ? null : (mineOf(tips, heads) ?? null);
  const [other, ...more] = tips.filter((one) => one !== mine);
  if (!other || more.length > 0 || (!local && !mine) || !agent.reader) return null;
  // Where a helper's talk parted, that tells nothing of the conversation itself; and where what is here parted from what this
  // clone has saved, it was rewritten: taken back, it may be.
  if (local && (local.stream !== "main" || mineOf([other], heads))) return null;
  const shared = local ? local.common : await sharedBeginning(vault, mine!, other);
  const reader = () => agent.reader!({ line: shared, n: 1, key: null });
  const stored = (one: StoredSession) => readStream(vault, one, mainStream(one.manifest)!);
  const ours = local ? readWholeLines(local.path) : stored(mine!);
  if (await isIdleBeyond(shared, ours, reader())) return { side: "mine", other };
  return (await isIdleBeyond(shared, stored(other), reader())) ? { side: "theirs", other } : null;
}

/** Lines that two versions begin with alike, also where they were cut in other places. */
async function sharedBeginning(vault: OpenVault, one: StoredSession, other: StoredSession): Promise<number> {
  const partsOf = (each: StoredSession) => readStream(vault, each, mainStream(each.manifest)!);
  const [ours, theirs] = [partsOf(one), partsOf(other)];
  let a: Uint8Array = new Uint8Array();
  let b: Uint8Array = new Uint8Array();
  let lines = 0;
  try {
    for (;;) {
      if (a.length === 0) a = (await ours.next()).value ?? a;
      if (b.length === 0) b = (await theirs.next()).value ?? b;
      const length = Math.min(a.length, b.length);
      const [x, y] = [a.subarray(0, length), b.subarray(0, length)];
      lines += commonLines(x, y);
      if (length === 0 || Buffer.compare(x, y) !== 0) return lines;
      [a, b] = [a.subarray(length), b.subarray(length)];
    }
  } finally {
    await ours.return(undefined);
    await theirs.return(undefined);
  }
}

const lastTime = (one: StoredSession): string => one.manifest.snapshots.at(-1)?.ts ?? "";

const branchOf = (one: StoredSession): string | null => one.manifest.snapshots.at(-1)?.branch ?? null;

/** The version this clone writes. */
const mineOf = (tips: readonly StoredSession[], heads: Heads): StoredSession | undefined =>
  tips.find((one) => one.replica === heads.replica);

/** The number under which the last snapshot of a version stands now. */
function snapshotOf(joined: Manifest, { snapshots }: Manifest): number {
  const last = snapshots.at(-1);
  return joined.snapshots.find((one) => one.ts === last?.ts && one.device === last.device)?.n ?? 0;
}

function facts({ vault, heads, local }: Situation, tips: readonly StoredSession[]): Branching[] {
  const lengths = tips.map((tip, at): Branching => {
    const main = mainStream(tip.manifest);
    const messages = main?.lines ?? 0;
    const shared = tips.filter((_, other) => other !== at).map((other) => sharedLines(tip, other));
    const last = tip.manifest.snapshots.at(-1);
    return {
      device: deviceName(vault, last?.device ?? ""),
      here: local === null && tip.replica === heads.replica,
      messages,
      own: messages - (local ? local.common : Math.max(0, ...shared)),
      at: new Date(last?.ts ?? 0),
    };
  });
  if (!local) return lengths;
  const { lines, common, at } = local;
  return [{ device: vault.device.name, here: true, messages: lines, own: lines - common, at }, ...lengths];
}

function sharedLines(one: StoredSession, other: StoredSession): number {
  const [a, b] = [mainStream(one.manifest), mainStream(other.manifest)];
  if (!a || !b) return 0;
  const common = commonBytes(a, b);
  return a.segments
    .filter((part) => part.off + part.raw <= common)
    .reduce((sum, part) => sum + part.lines, 0);
}

const flags: Readonly<Record<Resolution, string>> = {
  merge: "join them, no line is lost: git convosync resume --merge",
  theirs: "go on with the other one, mine is kept: git convosync resume --theirs",
  mine: "go on with mine, the other one is kept: git convosync resume --mine",
  fork: "make the other one a session of its own: git convosync resume --fork",
};

/** For whoever asked for it by its flag. */
const impossible = ({ title, joinLogs, copies }: Agent): string[] => [
  ...(joinLogs ? [] : [`--merge is not for ${title}: it could not read the two as one`]),
  ...(copies === false ? [`--fork is not for ${title}: it could not go on with a copy`] : []),
];

function storedDiverged(
  vault: OpenVault,
  tips: readonly StoredSession[],
  session: CatalogEntry,
  ways: readonly string[],
): ConvosyncError {
  const who = tips.map(({ manifest }) => {
    const last = manifest.snapshots.at(-1);
    return `${last ? deviceName(vault, last.device) : "?"} (${mainStream(manifest)?.lines ?? 0} messages)`;
  });
  const short = session.id.slice(0, 8);
  return new ConvosyncError(
    "conversation-diverged",
    Exit.conflict,
    `the conversation ${short} went on separately on ${who.join(" and ")}`,
    ["nothing is lost: both are kept", ...ways, `read them: git convosync show ${short}`],
  );
}

function localDiverged(
  session: CatalogEntry,
  { path }: LocalBranch,
  ways: readonly string[],
): ConvosyncError {
  return new ConvosyncError(
    "conversation-diverged",
    Exit.conflict,
    "the conversation here and the saved one went on separately; the one here was left as it is",
    [
      "keep the one here too: git convosync save",
      ...ways,
      `it is in ${path}`,
      `read the saved one: git convosync show ${session.id.slice(0, 8)}`,
    ],
  );
}
