import { type Places, toPortable } from "../agents/portable-paths.ts";

/** The project and the home, by whatever spelling; and what stands for the beginning of such a token itself. */
const tokens = /\{\{CS:(?:(ROOT|HOME)[2-9]?)?\}\}(\/?)/g;

/**
 * A title as an index holds it, at most 80 UTF-16 units, without this machine's paths, as it is read on others: those in
 * the project are relative to it, those in the home begin with `~`.
 */
export function portableTitle(title: string, places: Places | null): string {
  if (!places) return title.slice(0, 80);
  const portable = toPortable(Buffer.from(title), { ...places, store: [], keys: [] }, "text");
  return Buffer.from(portable)
    .toString()
    .replaceAll(tokens, (_, place: string | undefined, slash: string) =>
      place === undefined ? `{{CS:${slash}` : place === "HOME" ? `~${slash}` : slash ? "" : ".",
    )
    .slice(0, 80);
}
