import type { ConvosyncError } from "../errors.ts";
import { type Git, scrubUrl } from "../git/git.ts";
import { OWN } from "./names.ts";
import { isOid, missingObject, type Oid } from "./object-database.ts";
import { LOCAL } from "./object-reader.ts";

/**
 * The objects that git cannot read of all that these commits reach: those that are gone, and those whose file is empty or
 * torn. What only lies below a commit or a folder that is lost shows once that one is back. A byte that has changed inside
 * an object does not show here; reading it does.
 */
export async function lostObjects(git: Git, commits: Iterable<Oid>): Promise<Set<Oid>> {
  const tips = [...commits];
  const lost = new Set(await unreadable(git, tips));
  const args = ["rev-list", "--objects", "--missing=print", "--no-object-names", "--stdin"];
  const input = tips
    .filter((oid) => !lost.has(oid))
    .map((oid) => `${oid}\n`)
    .join("");
  const { stdout, stderr } = await git.run(args, { input, env: LOCAL, okCodes: "any" });
  const reached: Oid[] = [];
  for (const line of stdout.toString().split("\n")) {
    if (line.startsWith("?") && isOid(line.slice(1))) lost.add(line.slice(1));
    else if (isOid(line)) reached.push(line);
  }
  // It stops at a file that is torn, and says which one.
  const named = stderr.match(/\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b/g) ?? [];
  for (const oid of await unreadable(git, new Set([...reached, ...named]))) lost.add(oid);
  return lost;
}

/** Those of the objects that git cannot read here. */
export async function unreadable(git: Git, oids: Iterable<Oid>): Promise<Oid[]> {
  const input = [...oids].map((oid) => `${oid}\n`).join("");
  const { stdout } = await git.run(["cat-file", "--batch-check"], { input, env: LOCAL, okCodes: "any" });
  return stdout
    .toString()
    .split("\n")
    .filter((line) => line.endsWith(" missing"))
    .map((line) => line.slice(0, line.indexOf(" ")));
}

/** git's words when it cannot read an object, each with the object's name, its file or a ref to it. */
const complaints =
  /^(?:error|fatal): .*?(?:bad object (refs\/\S+)|objects\/([0-9a-f]{2}\/[0-9a-f]{38,62}) is empty|(?:loose object|valid commit:|load tree|Could not read|unable to (?:read|find|unpack)(?: tree)?) \(?([0-9a-f]{40,64})\b)/gm;

/** The error for a failure of git's that is due to an object of ours this clone has lost; null when it is due to anything else. */
export async function lostHere(git: Git, stderr: string): Promise<ConvosyncError | null> {
  const named: Oid[] = [];
  for (const [, ref, file, oid] of stderr.matchAll(complaints)) {
    if (ref !== undefined) named.push(await git.text(["for-each-ref", "--format=%(objectname)", ref]));
    else named.push(oid ?? file!.replace("/", ""));
  }
  const missing = named.length > 0 ? await unreadable(git, named.filter(isOid)) : [];
  if (missing.length === 0) return null;
  // What the remote says of its own objects looks the same over some protocols: ours is what our refs reach.
  const format = "--format=%(objectname)";
  const tips = (await git.text(["for-each-ref", format, OWN], { env: LOCAL })).split("\n");
  const ours = await lostObjects(git, tips.filter(isOid));
  const lost = missing.find((oid) => ours.has(oid));
  return lost === undefined ? null : missingObject(lost, new Error(scrubUrl(stderr)));
}
