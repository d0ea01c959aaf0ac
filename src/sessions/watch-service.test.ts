import { expect, test } from "vitest";
import { describeService } from "./watch-service.ts";

const env = { HOME: "/home/al", PATH: "/usr/bin:/opt/50%$x", CLAUDE_CONFIG_DIR: '/home/al/my "claude"' };
const root = '/home/al/code/50% "shop" $HOME';

test("systemd: names are quoted as its parser reads them", () => {
  const { path, content } = describeService({ env, platform: "linux", root });
  expect(path).toMatch(/^\/home\/al\/\.config\/systemd\/user\/convosync-watch-[0-9a-f]{10}\.service$/);
  expect(content).toContain('WorkingDirectory=/home/al/code/50%% "shop" $HOME\n');
  expect(content).toContain('Environment="PATH=/usr/bin:/opt/50%%$x"\n');
  expect(content).toContain('Environment="CLAUDE_CONFIG_DIR=/home/al/my \\"claude\\""\n');
  expect(describeService({ env, platform: "linux", root: null }).content).toMatch(
    /^ExecStart=.*"watch" "--all"$/m,
  );
});

test("launchd: text stands in XML as text", () => {
  const { path, content } = describeService({ env, platform: "darwin", root: "/Users/al/R&D <x>" });
  expect(path).toMatch(
    /^\/home\/al\/Library\/LaunchAgents\/org\.convosync\.convosync-watch-[0-9a-f]{10}\.plist$/,
  );
  expect(content).toContain("<key>WorkingDirectory</key><string>/Users/al/R&amp;D &lt;x&gt;</string>");
  expect(content.match(/<dict>/g)).toHaveLength(content.match(/<\/dict>/g)!.length);
});

test("Termux: a job that runs once and ends; nothing for a system that is not known", () => {
  const termux = { ...env, TERMUX_VERSION: "0.118" };
  const { kind, content, start } = describeService({
    env: termux,
    platform: "android",
    root: "/sdcard/it's",
  });
  expect(kind).toBe("termux");
  expect(content).toMatch(/^#!\/data\/.*\/sh\ncd '\/sdcard\/it'\\''s' && exec '.*' '.*' 'watch' '--once'\n$/);
  expect(start[0]!.argv.slice(0, 2)).toEqual(["termux-job-scheduler", "--script"]);
  expect(() => describeService({ env, platform: "win32", root })).toThrowError(
    expect.objectContaining({ code: "no-service", exit: 1, message: expect.stringMatching(/knows no way/) }),
  );
});
