const deepest = 200;

/**
 * One line of a transcript for looking at: a JSON object that is not nested deeper than 200, else null. Deeper
 * values parse, but overflow the stack of whatever walks them next.
 */
export function parseLine(line: string): object | null {
  if (!line.startsWith("{") || isTooDeep(line)) return null;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** The complete lines of a window cut from a transcript; the fragments at its edges fail to parse. */
export function parseLines(window: Uint8Array): object[] {
  const text = new TextDecoder().decode(window);
  return text.split("\n").flatMap((line) => parseLine(line.trimEnd()) ?? []);
}

function isTooDeep(line: string): boolean {
  // Most lines open too few for it, which costs less to find than how deep they are.
  let opened = 0;
  for (const bracket of ["{", "["]) {
    for (let at = line.indexOf(bracket); at >= 0 && opened <= deepest; at = line.indexOf(bracket, at + 1))
      opened++;
  }
  if (opened <= deepest) return false;
  let depth = 0;
  let inString = false;
  for (let i = 0; i < line.length; i++) {
    const unit = line.charCodeAt(i);
    if (inString) {
      if (unit === 0x5c) i++;
      else if (unit === 0x22) inString = false;
    } else if (unit === 0x22) inString = true;
    else if (unit === 0x7b || unit === 0x5b) {
      if (++depth > deepest) return true;
    } else if (unit === 0x7d || unit === 0x5d) depth--;
  }
  return false;
}
