// Names of the refs ConvoSync owns (docs/format.md). `formatRef` and `parseRef` are an inverse pair:
// whatever is not exactly one of the five forms is refused, so a ref name from a remote is never half understood.

/** What a ref holds. `vault` and `replica` are 13, `dir` 16 and `slot` 20 characters of lower-case base32. */
export type RefName =
  | { readonly kind: "keyring"; readonly vault: string }
  | { readonly kind: "head"; readonly vault: string; readonly replica: string }
  | { readonly kind: "session"; readonly vault: string; readonly dir: string; readonly replica: string }
  | { readonly kind: "archive"; readonly vault: string; readonly replica: string; readonly n: number }
  | { readonly kind: "join"; readonly vault: string; readonly slot: string };

/** What all of our names begin with, and their twins in quarantine. */
export const OWN = "refs/convosync/";
export const INCOMING = "refs/convosync-incoming/";

const ID13 = "[a-z2-7]{13}";
const FORM = new RegExp(
  `^refs/convosync/(?<vault>${ID13})/(?:keyring` +
    `|head/(?<head>${ID13})` +
    `|session/(?<dir>[a-z2-7]{16})/(?<session>${ID13})` +
    `|archive/(?<archive>${ID13})/(?<n>0|[1-9][0-9]{0,14})` +
    `|join/(?<slot>[a-z2-7]{20}))$`,
);

/** The full name of a ref. Throws RangeError for parts that `parseRef` would not give back. */
export function formatRef(name: RefName): string {
  const ref = `${OWN}${name.vault}/${suffix(name)}`;
  if (!FORM.test(ref)) throw new RangeError(`not the parts of a convosync ref: ${JSON.stringify(name)}`);
  return ref;
}

function suffix(name: RefName): string {
  switch (name.kind) {
    case "keyring":
      return "keyring";
    case "head":
      return `head/${name.replica}`;
    case "session":
      return `session/${name.dir}/${name.replica}`;
    case "archive":
      return `archive/${name.replica}/${name.n}`;
    case "join":
      return `join/${name.slot}`;
  }
}

/** The parts of a ref's full name, or null when it is not one of ours. */
export function parseRef(ref: string): RefName | null {
  const parts = FORM.exec(ref)?.groups as Partial<Record<string, string>> | undefined;
  if (parts === undefined) return null;
  const { vault = "", head, dir, session, archive, n, slot } = parts;
  if (head !== undefined) return { kind: "head", vault, replica: head };
  if (dir !== undefined && session !== undefined) return { kind: "session", vault, dir, replica: session };
  if (archive !== undefined) return { kind: "archive", vault, replica: archive, n: Number(n) };
  if (slot !== undefined) return { kind: "join", vault, slot };
  return { kind: "keyring", vault };
}

/**
 * The quarantine twin of one of our refs: where a fetch puts it, and where it stays until its contents are
 * verified. Also takes a prefix or a pattern (`refs/convosync/<vault>/head/*`).
 */
export function incomingRef(ref: string): string {
  if (!ref.startsWith(OWN)) throw new RangeError(`not a convosync ref: ${ref}`);
  return INCOMING + ref.slice(OWN.length);
}

/** The inverse of `incomingRef`. */
export function outgoingRef(ref: string): string {
  if (!ref.startsWith(INCOMING)) throw new RangeError(`not an incoming convosync ref: ${ref}`);
  return OWN + ref.slice(INCOMING.length);
}

/** Everything below this prefix belongs to one vault; it ends in a slash. */
export function vaultPrefix(vault: string): string {
  return formatRef({ kind: "keyring", vault }).slice(0, -"keyring".length);
}
