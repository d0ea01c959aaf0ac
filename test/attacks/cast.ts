import { parseRef } from "../../src/refs/names.ts";
import { desktopAtWork, initialise, type Machine, Sandbox } from "../faults/sandbox.ts";

/** Three machines of one vault, and what their refs are called. The tablet is the victim. */
export interface Cast {
  readonly sandbox: Sandbox;
  readonly desktop: Machine;
  readonly laptop: Machine;
  readonly tablet: Machine;
  /** The desktop's refs on the remote: its head, and the refs of its two conversations, `first` with two segments. */
  readonly head: string;
  readonly first: string;
  readonly second: string;
  readonly keyring: string;
  /** A commit that the desktop's head was at before. */
  readonly olderHead: string;
  /** Everything saved and known to all; then, once more, saved by the desktop and known to no other. */
  readonly known: string;
  readonly fresh: string;
}

export const secondId = "5e55104e-0000-4000-8000-c0ffee000002";

export function assemble(): Cast {
  const sandbox = new Sandbox();
  const desktop = desktopAtWork(sandbox);
  initialise(desktop);
  desktop.convosync(["save", "one"]);
  const sessionRefs = (): string[] =>
    sandbox.git("for-each-ref", "--format=%(refname)", "refs/convosync/").split("\n");
  const first = sessionRefs().find((ref) => parseRef(ref)?.kind === "session")!;
  const head = sessionRefs().find((ref) => parseRef(ref)?.kind === "head")!;
  const olderHead = sandbox.git("rev-parse", head);
  desktop.talk(0, 4, secondId);
  desktop.convosync(["save", "--session", secondId, "other"]);
  const refs = sessionRefs();
  const second = refs.find((ref) => parseRef(ref)?.kind === "session" && ref !== first)!;
  const keyring = refs.find((ref) => parseRef(ref)?.kind === "keyring")!;

  const laptop = sandbox.machine("laptop");
  const tablet = sandbox.machine("tablet");
  for (const machine of [laptop, tablet]) {
    machine.clone();
    initialise(machine, "--join");
  }
  laptop.convosync(["resume", "5e55104e-0000-4000-8000-c0ffee000001"]);
  laptop.talk(20, 2);
  laptop.convosync(["save", "two"]);
  for (const machine of [desktop, tablet])
    machine.convosync(["resume", "5e55104e-0000-4000-8000-c0ffee000001"]);
  laptop.convosync(["sync"]);
  const known = sandbox.keep();
  desktop.talk(22, 5);
  desktop.sidecars(2);
  desktop.write("auth.js", "two\n");
  desktop.convosync(["save", "three"]);
  return {
    ...{ sandbox, desktop, laptop, tablet },
    ...{ head, first, second, keyring, olderHead },
    ...{ known, fresh: sandbox.keep() },
  };
}
