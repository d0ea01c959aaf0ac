/** Exit statuses of the program; scripts rely on them, so none is ever renumbered. */
export const Exit = {
  done: 0,
  failed: 1,
  usage: 2,
  /** Saved here, not pushed yet. */
  queued: 3,
  /** A safety check stopped the work; a flag or an answer is needed. */
  stopped: 4,
  /** Code or conversation diverged. */
  conflict: 5,
  /** Something was forged, rolled back or damaged. */
  integrity: 6,
  /** This device cannot open the vault. */
  noKey: 7,
  /** The remote cannot be reached or refuses, and the command needed it. */
  remote: 8,
  cancelled: 130,
} as const;

export type ExitStatus = (typeof Exit)[keyof typeof Exit];

/**
 * An expected failure: what is wrong (`message`, lower case, no full stop), what to do about it (`hints`,
 * each one a sentence or a command that can be pasted), and the exit status it ends the program with.
 * Everything that is thrown and is not one of these is a bug.
 */
export class ConvosyncError extends Error {
  readonly code: string;
  readonly exit: ExitStatus;
  readonly hints: readonly string[];

  constructor(
    code: string,
    exit: ExitStatus,
    message: string,
    hints: readonly string[] = [],
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ConvosyncError";
    this.code = code;
    this.exit = exit;
    this.hints = hints;
  }
}

/** Something from disk, the remote or another device is not what its signature, hash or format says: exit 6. */
export function integrityError(
  code: string,
  message: string,
  hints: readonly string[] = [],
  cause?: unknown,
): ConvosyncError {
  return new ConvosyncError(code, Exit.integrity, message, hints, cause);
}

/** What to do about troubles that are nobody's bug, by the system's code for them. */
export const systemHints = {
  ENOSPC: "the disk is full: make room, then run the command again",
  EDQUOT: "your disk quota is used up: make room, then run the command again",
  EACCES: "check who owns it and who may write to it: git convosync doctor",
  EPERM: "check who owns it and who may write to it: git convosync doctor",
  EROFS:
    "the file system is read-only; an agent's sandbox makes it so for its commands: run this in a terminal of your own",
} as const;
