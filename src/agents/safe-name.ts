const segment = /^[A-Za-z0-9_@+=-][A-Za-z0-9_@+=,. -]*$/;
/** Windows opens a device under these names, whatever the extension. */
const device = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])(?:\.|$)/i;

/**
 * The segments of a slash-separated logical name that every file system takes as it is and none takes for
 * something else (`..`, absolute, drive, stream, device, hidden); null for any other name.
 */
export function safeSegments(name: string): string[] | null {
  const segments = name.split("/");
  if (name.length > 400 || segments.length > 8) return null;
  return segments.every(isSafe) ? segments : null;
}

const isSafe = (name: string): boolean =>
  name.length <= 128 && segment.test(name) && !/[. ]$/.test(name) && !device.test(name);
