import * as v from "valibot";
import { defineDomain } from "./domain.ts";
import { lastWriterWins, type RecordDomain } from "./records.ts";

/** A named opening of a conversation. Its name is the record's id. */
const shape = v.looseObject({
  /** What the person says first, and what they said after that. */
  prompts: v.pipe(
    v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(16_000))),
    v.minLength(1),
    v.maxLength(20),
  ),
  /** The agent it was made with; null for any. */
  agent: v.nullable(v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/))),
});

export type Template = v.InferOutput<typeof shape>;

const template = (name: string, scope: "repository" | "user"): RecordDomain<Template> =>
  defineDomain({ name, shape, policy: lastWriterWins, scope });

/** Those of a repository, and those its user has in all of theirs. */
export const templates = {
  repository: template("templates", "repository"),
  user: template("user-templates", "user"),
} as const;
