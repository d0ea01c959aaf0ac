import { shellScript } from "./installation.ts";

/** The hooks that are used, with what for. pre-push sends along what waits; the last two only say what waits here. */
export const hookEvents = ["post-commit", "post-rewrite", "post-merge", "pre-push", "post-checkout"] as const;
export type HookName = (typeof hookEvents)[number];

// Hook files are bytes of whatever encoding; as latin1 text they come out as they went in.

const begin = (event: HookName): string => `# >>> convosync >>> ${event} `;
const end = "# <<< convosync <<<\n";
const made = "# Made by: git convosync hooks install\n";
const wraps = "# Made by: git convosync hooks install. The hook that was here before is kept, and run, too\n";

/** Below the folder of the hooks: where a hook is kept that no block can be put into. */
export const keptFolder = "convosync-kept";

/** What is put into a hook file: it cannot fail, says nothing, and leaves what follows its arguments and input. */
export function blockFor(event: HookName): string {
  // post-rewrite reads what git sends it, and so may the rest of the file.
  return shellScript(event === "post-rewrite" ? "block-input.sh" : "block.sh", { EVENT: event });
}

/** A hook file for where there is none. */
export const newHook = (event: HookName): string => `#!/bin/sh\n${made}${blockFor(event)}`;

/** A hook file that runs ours and then the one that was there, which is kept beside it under its own name. */
export const wrapperHook = (event: HookName): string =>
  `#!/bin/sh\n${wraps}${blockFor(event)}exec "\${0%/*}/${keptFolder}/${event}" "$@"\n`;

export type HookContent =
  /** A script that a block can be put into, or that has one. */
  | { readonly kind: "shell"; readonly block: "none" | "current" | "outdated" }
  /** Made by us where there was none, or around one that is kept. */
  | { readonly kind: "made" | "wrapper"; readonly block: "current" | "outdated" }
  | { readonly kind: "other"; readonly block: "none" };

/** What a hook file is, from its bytes as latin1. Pure. */
export function examineHook(event: HookName, content: string): HookContent {
  const found = findBlock(event, content);
  if (found) {
    const text = content.slice(found.from, found.to);
    const block = text === blockFor(event) ? "current" : "outdated";
    const rest = content.slice(0, found.from) + content.slice(found.to);
    if (rest === `#!/bin/sh\n${made}`) return { kind: "made", block };
    if (rest.startsWith(`#!/bin/sh\n${wraps}`)) return { kind: "wrapper", block };
    return { kind: "shell", block };
  }
  const first = content.slice(0, content.indexOf("\n") + 1);
  const shell =
    /^#!\s*(?:\S*\/)?(?:env\s+(?:-S\s+)?)?(?:\S*\/)?(?:sh|bash|dash|ash|ksh)(?:\s+-\S+)*[ \t]*\n$/;
  const bare = !content.startsWith("#!") && first !== "" && !/[\0\x7f-\xff]/.test(content);
  const plain = (shell.test(first) || bare) && !content.includes("\r") && !content.includes("\0");
  return plain ? { kind: "shell", block: "none" } : { kind: "other", block: "none" };
}

/** A shell script with the block at its top, where no `exit` of the script's can keep it from running. Pure. */
export function withBlock(event: HookName, content: string): string {
  const bare = withoutBlock(event, content);
  const at = bare.startsWith("#!") ? bare.indexOf("\n") + 1 : 0;
  return bare.slice(0, at) + blockFor(event) + bare.slice(at);
}

/** The script as it was before `withBlock`, byte for byte. Pure. */
export function withoutBlock(event: HookName, content: string): string {
  const found = findBlock(event, content);
  return found ? content.slice(0, found.from) + content.slice(found.to) : content;
}

function findBlock(event: HookName, content: string): { from: number; to: number } | null {
  const from = content.startsWith(begin(event)) ? 0 : content.indexOf(`\n${begin(event)}`) + 1;
  if (from === 0 && !content.startsWith(begin(event))) return null;
  const to = content.indexOf(end, from);
  return to < 0 ? null : { from, to: to + end.length };
}
