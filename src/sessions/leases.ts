import type { Agent } from "../agents/agent.ts";
import { ConvosyncError, Exit } from "../errors.ts";
import type { Heads } from "./catalog.ts";

/**
 * A session that an agent has open in another clone, as its head says. Only captures that nobody asked for say so: who
 * saves by hand may be about to go on elsewhere. It is a hint with an end and no lock: a device that sleeps cannot
 * give it back.
 */
export interface Lease {
  readonly replica: string;
  /** The device's id. */
  readonly device: string;
  readonly since: Date;
  /** When the agent was last seen to go on with it. */
  readonly seen: Date;
}

const leaseMs = 15 * 60_000;

/** Where else an agent is at work on a session now; the one seen last when there are several. Pure. */
export function liveElsewhere(heads: Heads, key: string, now: Date): Lease | null {
  const found = heads.others.flatMap(({ replica, head }): Lease[] =>
    (head.live ?? [])
      .filter(([session, , seen]) => session === key && isFresh(seen, now))
      .map(([, since, seen]) => ({
        replica,
        device: head.device,
        since: new Date(since),
        seen: new Date(seen),
      })),
  );
  return found.sort((a, b) => b.seen.getTime() - a.seen.getTime())[0] ?? null;
}

/** A clock that is ahead of ours lengthens it by at most as much again. */
const isFresh = (seen: string, now: Date): boolean =>
  Math.abs(now.getTime() - new Date(seen).getTime()) < leaseMs;

/** Exit 4: to go on with it here as well would split the conversation. */
export function openElsewhere(id: string, agent: Agent, device: string, lease: Lease): ConvosyncError {
  const short = id.slice(0, 8);
  const time = lease.since.toISOString().slice(0, 16).replace("T", " ");
  return new ConvosyncError(
    "session-open-elsewhere",
    Exit.stopped,
    `this conversation is open on ${device} since ${time} UTC, and goes on there`,
    [
      `hand it over: git convosync save, on ${device}`,
      ...(agent.copies === false ? [] : [`go on with a copy of it: git convosync resume ${short} --fork`]),
      `only read it: git convosync resume ${short} --read-only`,
      `go on all the same: git convosync resume ${short} --force`,
    ],
  );
}
