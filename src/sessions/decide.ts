import { ConvosyncError, Exit } from "../errors.ts";
import type { Change } from "../worktree/code-state.ts";

/** One of the versions of a conversation that went on separately. */
export interface Branching {
  readonly device: string;
  readonly here: boolean;
  readonly messages: number;
  /** Those of them that the others lack. */
  readonly own: number;
  readonly at: Date;
}

/** A session as a picker shows it. All text in it comes from conversations and devices: hostile. */
export interface Candidate {
  readonly id: string;
  readonly device: string;
  readonly deviceType: string;
  readonly at: Date;
  readonly title: string;
  readonly message: string;
  readonly branch: string | null;
  readonly commit: string | null;
  readonly messages: number;
  readonly agent: string;
}

/** What a question is about, with the facts a person needs to answer it. */
export type About =
  | { readonly kind: "session"; readonly sessions: readonly Candidate[] }
  | {
      readonly kind: "changes";
      readonly changes: readonly Change[];
      readonly branch: string | null;
      readonly wanted: string | null;
    }
  | {
      readonly kind: "branch";
      readonly branch: string | null;
      readonly wanted: string;
      readonly unpushed: number;
    }
  | { readonly kind: "code"; readonly branch: string; readonly ours: number; readonly theirs: number }
  | { readonly kind: "conversation"; readonly versions: readonly Branching[] }
  /** An agent on another device has it open. */
  | { readonly kind: "open"; readonly device: string; readonly since: Date }
  | { readonly kind: "conflicts"; readonly paths: readonly string[]; readonly begun: boolean };

/** A question of a use case: what it is about, what may be answered, and what holds when nobody can be asked. */
export interface Question<Name extends string> {
  readonly about: About;
  readonly choices: readonly Name[];
  /** The answer that nobody need be asked for, unless a flag gives another. */
  readonly clear?: Name;
  /** The answer that is safe without being asked, or the error that names the flags that answer. */
  readonly otherwise: Name | ConvosyncError;
}

/** Gets an answer from a flag or from a person. Throws `cancelled`, or the question's own error. */
export type Decide = <Name extends string>(question: Question<Name>) => Promise<Name>;

/** For where nobody is asked and no flag was given. */
export const undecided: Decide = async ({ clear, otherwise }) => {
  if (clear !== undefined) return clear;
  if (typeof otherwise === "string") return otherwise;
  throw otherwise;
};

export const cancelled = (what = "nothing was changed"): ConvosyncError =>
  new ConvosyncError("cancelled", Exit.cancelled, `cancelled; ${what}`);
