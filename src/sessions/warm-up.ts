import { warmUp as warmUpSealing } from "../crypto/seal.ts";
import { warmUp as warmUpGit } from "../git/git.ts";

/** Starts loading what a command needs later, for the moment in which it first waits. */
export function warmUp(): void {
  warmUpSealing();
  warmUpGit();
}
