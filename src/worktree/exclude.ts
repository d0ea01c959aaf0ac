/**
 * Untracked files that `save` never commits: what commonly holds a secret. Same syntax as `.gitignore`; matched
 * without regard to case. Files that are tracked already are the user's decision.
 */
export const defaultExcludes: readonly string[] = [
  ".env",
  ".env.*",
  "!.env.example",
  "!.env.sample",
  "!.env.template",
  "credentials.json",
  "*.key",
  "*.pem",
  "*.p12",
  "*.pfx",
  "*.jks",
  "*.keystore",
  "*.kdbx",
  "id_rsa*",
  "id_dsa*",
  "id_ecdsa*",
  "id_ed25519*",
  ".netrc",
  ".npmrc",
  ".pypirc",
  ".git-credentials",
  // What agents keep beside the code for one user alone, or of their conversations.
  "**/.claude/settings.local.json",
  "CLAUDE.local.md",
  ".aider*",
];

interface Rule {
  readonly pattern: RegExp;
  readonly negated: boolean;
  readonly foldersOnly: boolean;
}

/**
 * A test for paths (relative, with slashes): the last pattern that matches decides, and what lies in an excluded
 * folder is excluded. A pattern without a slash matches a name at any depth, one with a slash the path from the
 * root; `*` and `?` stop at a slash, `**` does not.
 */
export function excluder(patterns: readonly string[]): (path: string) => boolean {
  const rules = patterns.flatMap(ruleOf);
  const decides = (path: string, folder: boolean): boolean =>
    rules.findLast((rule) => (folder || !rule.foldersOnly) && rule.pattern.test(path))?.negated === false;
  return (path) => {
    const segments = path.split("/");
    const parents = segments.slice(1).map((_, i) => segments.slice(0, i + 1).join("/"));
    return parents.some((folder) => decides(folder, true)) || decides(path, false);
  };
}

function ruleOf(line: string): Rule[] {
  const negated = line.startsWith("!");
  const bare = (negated ? line.slice(1) : line).trim();
  const pattern = bare.replace(/\/+$/, "");
  if (pattern === "" || bare.startsWith("#")) return [];
  const anchored = pattern.includes("/");
  const body = pattern
    .replace(/^\//, "")
    .split(/(\*\*\/|\/\*\*$|\*+|\?|\[!?[^\]/]+\])/)
    .map(translate)
    .join("");
  const source = anchored ? `^${body}$` : `(?:^|/)${body}$`;
  return [{ pattern: new RegExp(source, "is"), negated, foldersOnly: bare !== pattern }];
}

function translate(part: string): string {
  if (part === "**/") return "(?:.*/)?";
  if (part === "/**") return "/.*";
  if (part.startsWith("*")) return "[^/]*";
  if (part === "?") return "[^/]";
  return characterClass(part) ?? part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** `[a-z]`, `[!x]`; null when it is none, such as `[z-a]`. */
function characterClass(part: string): string | null {
  const inside = /^\[(!?)(.+)\]$/s.exec(part);
  if (inside === null) return null;
  const source = `[${inside[1] ? "^" : ""}${inside[2]!.replace(/[\\[\]^]/g, "\\$&")}]`;
  try {
    return new RegExp(source).source;
  } catch {
    return null;
  }
}
