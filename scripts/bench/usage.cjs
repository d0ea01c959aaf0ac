// Loaded into a measured process before its own code (`node --require`): at its end it writes what it used to the file
// that BENCH_USAGE names, in milliseconds and bytes.
const { readFileSync, writeFileSync } = require("node:fs");

/** Linux knows more than getrusage; elsewhere these files do not exist. */
function proc(name) {
  try {
    return readFileSync(`/proc/self/${name}`, "latin1");
  } catch {
    return null;
  }
}

/** Milliseconds by which this process' clock is ahead: what took days is measured in minutes. */
const later = Number(process.env.BENCH_LATER ?? 0);
if (later > 0) {
  const Now = Date;
  globalThis.Date = class extends Now {
    constructor(...about) {
      if (about.length > 0) super(...about);
      else super(Now.now() + later);
    }
    static now() {
      return Now.now() + later;
    }
  };
}

process.on("exit", () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  // ru_maxrss counts what the parent held at the fork; the high-water mark in `status` begins at the exec.
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(proc("status") ?? "")?.[1];
  // Fields 16 and 17 of `stat`, in ticks of 10 ms: user and system time of the children that have ended.
  const fields = proc("stat")
    ?.replace(/^.*\) /s, "")
    .split(" ");
  const usage = {
    cpu: (userCPUTime + systemCPUTime) / 1000,
    children: fields ? (Number(fields[13]) + Number(fields[14])) * 10 : null,
    rss: (peak === undefined ? maxRSS : Number(peak)) * 1024,
  };
  writeFileSync(process.env.BENCH_USAGE, JSON.stringify(usage));
});
