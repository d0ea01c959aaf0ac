import { type Places, toPortable } from "../agents/portable-paths.ts";

/** The project and the home, by whatever spelling; and what stands for the beginning of such a token itself. */
const tokens = /\{\{CS:(?:(ROOT|HOME)[2-9]?)?\}\}(\/?)/g;

/**
 * The beginning of a title or a message, as an index holds it: at most 72 UTF-16 units, and no half of a character.
 * They are a third of the list that a new device fetches; the subject of a commit is as long.
 */
export const cutText = (text: string): string => text.slice(0, 72).replace(/[\ud800-\udbff]$/, "");

/**
 * A title as an index holds it, without this machine's paths, as it is read on others: those in the project are
 * relative to it, those in the home begin with `~`.
 */
export function portableTitle(title: string, places: Places | null): string {
  if (!places) return cutText(title);
  const portable = toPortable(Buffer.from(title), { ...places, store: [], keys: [] }, "text");
  const read = Buffer.from(portable)
    .toString()
    .replaceAll(tokens, (_, place: string | undefined, slash: string) =>
      place === undefined ? `{{CS:${slash}` : place === "HOME" ? `~${slash}` : slash ? "" : ".",
    );
  return cutText(read);
}
