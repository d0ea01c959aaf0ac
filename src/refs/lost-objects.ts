import { ConvosyncError, integrityError } from "../errors.ts";
import { type Git, scrubUrl } from "../git/git.ts";
import { INCOMING, OWN } from "./names.ts";
import { isOid, missingObject, type Oid } from "./object-database.ts";
import { LOCAL, ObjectReader } from "./object-reader.ts";

/**
 * The objects that git cannot read of all that these commits reach: those that are gone, and those whose file is empty,
 * torn or damaged. What only lies below a commit or a folder that is lost shows once that one is back.
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
  const named = stderr.match(/(?<!pack-)\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b/g) ?? [];
  for (const oid of await unreadable(git, new Set([...reached, ...named]))) lost.add(oid);
  return lost;
}

/** So many objects are asked for at once: a pipeline stays full, and memory small. */
const atOnce = 64;

/** Of what is larger, as only uncommitted work is, the beginning is looked at: it would have to be held as a whole. */
const LARGEST = 64 << 20;

/** Those of the objects that git cannot read here, to their last byte. */
export async function unreadable(git: Git, oids: Iterable<Oid>): Promise<Oid[]> {
  const reader = new ObjectReader(git, LOCAL);
  const lost: Oid[] = [];
  const left = new Set(oids).values();
  const work = async (): Promise<void> => {
    for (const oid of left) {
      try {
        await reader.read(oid, null, LARGEST);
      } catch (error) {
        if (!(error instanceof ConvosyncError)) throw error;
        if (error.code === "missing-object") lost.push(oid);
        else if (error.code !== "object-too-large") throw error;
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: atOnce }, work));
  } finally {
    await reader.close();
  }
  return lost;
}

/** Lines in which git says that it cannot read something here; what a remote says of its own stands behind other words. */
const complaints = /^(?:error|fatal): (?!remote error:).*$/gm;
/** The ref, the file or the name of an object, and not a pack's. */
const named =
  /bad object (refs\/\S+)|objects\/([0-9a-f]{2}\/[0-9a-f]{38,62})\b|(?<!pack-)\b([0-9a-f]{64}|[0-9a-f]{40})\b/g;

/**
 * The error for a failure of git's that is due to an object or a ref of ours this clone has lost; null when it is due to
 * anything else.
 */
export async function lostHere(git: Git, stderr: string): Promise<ConvosyncError | null> {
  const oids = new Set<Oid>();
  for (const [line] of stderr.matchAll(complaints)) {
    for (const [, ref, file, oid] of line.matchAll(named)) {
      const found = ref === undefined ? (oid ?? file!.replace("/", "")) : await refHere(git, ref);
      if (found === "broken") return brokenRef(ref!, new Error(scrubUrl(stderr)));
      if (isOid(found)) oids.add(found);
    }
  }
  const missing = oids.size > 0 ? await unreadable(git, oids) : [];
  if (missing.length === 0) return null;
  // What the remote says of its own objects looks the same over some protocols: ours is what our refs reach.
  const format = "--format=%(objectname)";
  const tips = (await git.text(["for-each-ref", format, OWN], { env: LOCAL })).split("\n");
  const ours = await lostObjects(git, tips.filter(isOid));
  const lost = missing.find((oid) => ours.has(oid));
  return lost === undefined ? null : missingObject(lost, new Error(scrubUrl(stderr)));
}

/** What a ref names; empty where it is not here: a remote by a path says the same of its own. */
async function refHere(git: Git, ref: string): Promise<Oid | "broken" | ""> {
  const args = ["for-each-ref", "--format=%(objectname)", ref];
  const { stdout, stderr } = await git.run(args, { okCodes: "any", env: LOCAL });
  const isOurs = ref.startsWith(OWN) || ref.startsWith(INCOMING);
  return isOurs && stderr.includes(`ignoring broken ref ${ref}`) ? "broken" : stdout.toString().trim();
}

const brokenRef = (ref: string, cause: unknown) =>
  integrityError("broken-ref", `${ref} is broken here`, ["mend it with: git convosync doctor --fix"], cause);
