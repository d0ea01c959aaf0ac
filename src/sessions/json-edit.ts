/**
 * Changes a person's JSON file (comments and trailing commas allowed) by putting text in and taking it out again:
 * everything else stays as it is, byte for byte, which no parser that prints its result could promise. Pure.
 */

/** One text put in. `at` counts in the text that the insertions before it have made. */
export interface Insertion {
  readonly at: number;
  readonly text: string;
}

type Node =
  | {
      readonly kind: "object";
      readonly from: number;
      readonly to: number;
      readonly members: readonly Member[];
    }
  | { readonly kind: "array"; readonly from: number; readonly to: number; readonly items: readonly Node[] }
  | { readonly kind: "value"; readonly from: number; readonly to: number };

interface Member {
  readonly key: string;
  readonly from: number;
  readonly value: Node;
}

/** Deeper than any settings; a deeper file is not walked. */
const deepest = 64;

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Node {
    // A byte order mark, as one character or, in text read as latin1, as three.
    this.#at = /^(?:\ufeff|\u00ef\u00bb\u00bf)?/.exec(this.#text)![0].length;
    const node = this.#node(0);
    this.#space();
    if (this.#at < this.#text.length) throw this.#wrong();
    return node;
  }

  #wrong(): SyntaxError {
    const line = this.#text.slice(0, this.#at).split("\n").length;
    return new SyntaxError(`it is not valid JSON at line ${line}`);
  }

  #space(): void {
    const blank = /(?:[ \t\r\n]|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;
    blank.lastIndex = this.#at;
    this.#at += blank.exec(this.#text)?.[0].length ?? 0;
  }

  #take(what: string): boolean {
    this.#space();
    if (!this.#text.startsWith(what, this.#at)) return false;
    this.#at += what.length;
    return true;
  }

  #node(depth: number): Node {
    this.#space();
    if (depth > deepest) throw this.#wrong();
    const from = this.#at;
    if (this.#take("{")) {
      const members: Member[] = [];
      while (!this.#take("}")) {
        if (members.length > 0 && !this.#take(",")) throw this.#wrong();
        if (this.#take("}")) break;
        this.#space();
        const start = this.#at;
        const key = JSON.parse(this.#scalar(/"(?:[^"\\\n]|\\.)*"/y)) as string;
        if (!this.#take(":")) throw this.#wrong();
        members.push({ key, from: start, value: this.#node(depth + 1) });
      }
      return { kind: "object", from, to: this.#at, members };
    }
    if (this.#take("[")) {
      const items: Node[] = [];
      while (!this.#take("]")) {
        if (items.length > 0 && !this.#take(",")) throw this.#wrong();
        if (this.#take("]")) break;
        items.push(this.#node(depth + 1));
      }
      return { kind: "array", from, to: this.#at, items };
    }
    this.#scalar(/"(?:[^"\\\n]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null/y);
    return { kind: "value", from, to: this.#at };
  }

  #scalar(form: RegExp): string {
    form.lastIndex = this.#at;
    const found = form.exec(this.#text)?.[0];
    if (found === undefined) throw this.#wrong();
    this.#at += found.length;
    return found;
  }
}

/**
 * Puts `value` at the end of the list at `path`; lists and objects on the way are made where they are missing. Null
 * when something else stands there. SyntaxError when the text is no JSON.
 */
export function insertInto(text: string, path: readonly string[], value: unknown): Insertion | null {
  let node = new Reader(text).document();
  for (const [depth, key] of path.entries()) {
    if (node.kind !== "object") return null;
    const member: Member | undefined = node.members.findLast((one) => one.key === key);
    if (!member) {
      const made = path.slice(depth + 1).reduceRight<unknown>((inner, name) => ({ [name]: inner }), [value]);
      return place(text, node, (print) => `${JSON.stringify(key)}: ${print(made)}`);
    }
    node = member.value;
  }
  return node.kind === "array" ? place(text, node, (print) => print(value)) : null;
}

/** Puts one more member or item behind the last one, in lines of their own where the others have such. */
function place(
  text: string,
  node: Extract<Node, { kind: "object" | "array" }>,
  show: (print: (value: unknown) => string) => string,
): Insertion {
  const parts: readonly { from: number; to: number }[] =
    node.kind === "object" ? node.members.map((one) => ({ from: one.from, to: one.value.to })) : node.items;
  const last = parts.at(-1);
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const step = /\n([ \t]+)\S/.exec(text)?.[1] ?? "  ";
  const outer = indentAt(text, node.from);
  const flat = !text.slice(node.from, node.to).includes("\n") && last !== undefined;
  const inner = last && !flat ? indentAt(text, last.from) : outer + step;
  const print = (value: unknown): string =>
    flat ? JSON.stringify(value) : JSON.stringify(value, null, step).replaceAll("\n", `${eol}${inner}`);
  const shown = show(print);
  if (last) return { at: last.to, text: flat ? `, ${shown}` : `,${eol}${inner}${shown}` };
  // Nothing in it yet: what may stand between the brackets, a line or a comment, stays behind ours.
  const rest = text.slice(node.from + 1, node.to - 1);
  const closing = /^[ \t]*\r?\n/.test(rest) ? "" : `${eol}${outer}`;
  return { at: node.from + 1, text: `${eol}${inner}${shown}${closing}` };
}

function indentAt(text: string, at: number): string {
  const start = text.lastIndexOf("\n", at - 1) + 1;
  return /^[ \t]*/.exec(text.slice(start, at))?.[0] ?? "";
}

export function insert(text: string, { at, text: added }: Insertion): string {
  return text.slice(0, at) + added + text.slice(at);
}

/** Takes back what `insert` put in; null when it no longer stands where it was put. */
export function takeBack(text: string, { at, text: added }: Insertion): string | null {
  return text.startsWith(added, at) ? text.slice(0, at) + text.slice(at + added.length) : null;
}

/**
 * Takes out of all lists below `path` the items whose text contains `mark`, each with one of the commas beside it.
 * For files that have been changed since something was put in.
 */
export function removeItems(text: string, path: readonly string[], mark: string): string {
  for (;;) {
    const span = findItem(text, path, mark);
    if (!span) return text;
    text = text.slice(0, span.from) + text.slice(span.to);
  }
}

function findItem(text: string, path: readonly string[], mark: string): { from: number; to: number } | null {
  let node: Node | undefined = new Reader(text).document();
  for (const key of path)
    node = node?.kind === "object" ? node.members.findLast((one) => one.key === key)?.value : undefined;
  for (const { value } of node?.kind === "object" ? node.members : []) {
    if (value.kind !== "array") continue;
    const at = value.items.findIndex((one) => text.slice(one.from, one.to).includes(mark));
    const item = value.items[at];
    if (!item) continue;
    const [before, after] = [value.items[at - 1], value.items[at + 1]];
    if (before) return { from: before.to, to: item.to };
    if (after) return { from: item.from, to: after.from };
    return { from: value.from + 1, to: value.to - 1 };
  }
  return null;
}
