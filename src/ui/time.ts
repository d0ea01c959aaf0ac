// Written out, and not left to Intl: loading its data costs more than the rest of a short command.

const units: readonly (readonly [name: string, seconds: number, last?: string, next?: string])[] = [
  ["year", 365 * 86_400, "last year", "next year"],
  ["month", 30 * 86_400, "last month", "next month"],
  ["week", 7 * 86_400, "last week", "next week"],
  ["day", 86_400, "yesterday", "tomorrow"],
  ["hour", 3_600],
  ["minute", 60],
];

/** "3 minutes ago", "yesterday"; a time less than a minute away is "just now". */
export function relativeTime(then: Date, now: Date): string {
  const seconds = (then.getTime() - now.getTime()) / 1000;
  const unit = units.find(([, size]) => Math.abs(seconds) >= size);
  if (!unit) return "just now";
  const [name, size, last, next] = unit;
  const count = Math.round(Math.abs(seconds) / size);
  const named = seconds < 0 ? last : next;
  if (count === 1 && named !== undefined) return named;
  return seconds < 0 ? `${plural(count, name)} ago` : `in ${plural(count, name)}`;
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

/** "1 message", "1,500 messages". */
export function plural(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** "1,234,567". */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(?:[0-9]{3})+$)/g, ",");
}
