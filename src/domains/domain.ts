import type * as v from "valibot";

/**
 * The kernel of the sync framework. A domain is a kind of synced data; all it declares is its shape (what a
 * record looks like), its policy (how two versions of a record from different replicas become one) and its
 * scope (who shares it). Everything else, sealing, signing, refs, transport, is the same for all domains.
 */
export interface Domain<Shape extends v.GenericSchema, Value> {
  readonly name: string;
  /** Schema of a stored record; everything that comes from another device passes through it. */
  readonly shape: Shape;
  readonly policy: Policy<Value>;
  readonly scope: Scope;
}

export type Scope = "repository" | "user" | "device";

/** How one version of a record relates to another. */
export type Relation = "equal" | "behind" | "ahead" | "diverged";

/**
 * A conflict policy: a total, deterministic comparison. `behind` means that `b` holds everything `a` does
 * and more, so that taking `b` loses nothing; only `diverged` needs a decision.
 */
export interface Policy<Value> {
  readonly name: "append-log" | "last-writer-wins";
  relate(a: Value, b: Value): Relation;
}

export interface Merged<Value> {
  /** Versions that no other version supersedes, in a stable order; one of them unless the record diverged. */
  readonly tips: readonly Value[];
  /** Everything else: each is wholly contained in one of the tips. */
  readonly superseded: readonly Value[];
}

/** Declares a domain. */
export function defineDomain<Shape extends v.GenericSchema, Value>(
  domain: Domain<Shape, Value>,
): Domain<Shape, Value> {
  return Object.freeze(domain);
}

/**
 * Merges the versions that several replicas hold of one record: the ones that nothing supersedes remain.
 * Pure, total, and independent of the order of arrival: of equal versions the one with the smallest `key`
 * represents all.
 */
export function merge<Value>(
  policy: Policy<Value>,
  versions: readonly Value[],
  key: (value: Value) => string,
): Merged<Value> {
  const ordered = [...versions].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
  const tips: Value[] = [];
  const superseded: Value[] = [];
  for (const [index, one] of ordered.entries()) {
    const contained = ordered.some((other, at) => {
      if (at === index) return false;
      const relation = policy.relate(one, other);
      return relation === "behind" || (relation === "equal" && at < index);
    });
    (contained ? superseded : tips).push(one);
  }
  return { tips, superseded };
}

/** The relation as the other side sees it. */
export function flip(relation: Relation): Relation {
  return relation === "behind" ? "ahead" : relation === "ahead" ? "behind" : relation;
}
