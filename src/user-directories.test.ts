import { expect, test } from "vitest";
import { userCacheDir, userStateDir, xdgDirectory } from "./user-directories.ts";

test.skipIf(process.platform === "win32")("a relative XDG directory is ignored", () => {
  const HOME = "/home/me";
  expect(userCacheDir({ HOME, XDG_CACHE_HOME: "/var/cache/me" })).toBe("/var/cache/me/convosync");
  expect(userCacheDir({ HOME, XDG_CACHE_HOME: ".cache" })).toBe("/home/me/.cache/convosync");
  expect(userStateDir({ HOME, XDG_STATE_HOME: "" })).toBe("/home/me/.local/state/convosync");
  expect(xdgDirectory({ HOME, XDG_CONFIG_HOME: "keys" }, "XDG_CONFIG_HOME", ".config")).toBe(
    "/home/me/.config",
  );
});
