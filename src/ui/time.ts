const units: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 365 * 86_400],
  ["month", 30 * 86_400],
  ["week", 7 * 86_400],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "3 minutes ago", "yesterday"; a time less than a minute away is "just now". */
export function relativeTime(then: Date, now: Date): string {
  const seconds = (then.getTime() - now.getTime()) / 1000;
  const unit = units.find(([, size]) => Math.abs(seconds) >= size);
  if (!unit) return "just now";
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(
    Math.round(seconds / unit[1]),
    unit[0],
  );
}

/** "3.7 MB": decimal units, as disks and hosts count. */
export function byteSize(bytes: number): string {
  const names = ["B", "KB", "MB", "GB"];
  let value = bytes;
  let index = 0;
  while (value >= 999.5 && index < names.length - 1) {
    value /= 1000;
    index++;
  }
  return `${index === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${names[index]}`;
}

/** "1 message", "15 messages". */
export function plural(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
