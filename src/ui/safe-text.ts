import { stripVTControlCharacters } from "node:util";
import { cutTo } from "./width.ts";

/** Text that may be shown on a terminal: no control sequence, no invisible or bidirectional trickery is left. */
export type SafeText = string & { readonly safe: unique symbol };

const invisible =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: the combining characters are meant one by one.
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc]|[\u{e0000}-\u{e0fff}]|\p{Surrogate}/gu;

/** No writing needs more marks on one letter. */
const pile = /(\p{M}{6})\p{M}+/gu;

/** Nothing to be wary of. Asked first: to load the tables for everything else takes longer than to print a list. */
const harmless = /^[ -~]*$/;

/**
 * Makes text from a conversation, another device or the remote fit to print on one line, cut to `width`
 * columns. What could steer a terminal or hide itself becomes `·`, and piles of marks are cut.
 */
export function safeText(raw: string, width = 200): SafeText {
  const head = raw.slice(0, 4096);
  const shown = (harmless.test(head) ? head : onOneLine(head)).replace(/\s+/g, " ").trim();
  return cutTo(shown, width) as SafeText;
}

function onOneLine(raw: string): string {
  return stripVTControlCharacters(raw)
    .normalize("NFC")
    .replace(/[\t\r\n]+/g, " ")
    .replace(invisible, "·")
    .replace(pile, "$1");
}

/** The same for text of several lines, which keep their breaks and their indentation. */
export function safeBlock(raw: string): SafeText {
  return stripVTControlCharacters(raw)
    .normalize("NFC")
    .split(/\r\n|\n|\r/)
    .map((line) => line.replace(/\t/g, "    ").replace(invisible, "·"))
    .join("\n") as SafeText;
}
