import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseStatus } from "./code-state.ts";
import { defaultExcludes, excluder } from "./exclude.ts";
import { normaliseRemote } from "./remotes.ts";

describe("excluder", () => {
  const defaults = excluder(defaultExcludes);

  test.each([
    ".env",
    "a/.env",
    ".env.local",
    ".ENV",
    "cert.pem",
    "x/y.key",
    "id_rsa",
    "id_rsa.pub",
    "id_ed25519-work",
    ".env/x",
    "conf/credentials.json",
    ".npmrc",
  ])("%s is excluded by default", (path) => {
    expect(defaults(path)).toBe(true);
  });

  test.each([
    ".env.example",
    "env",
    "x.env",
    "key",
    "a.keyboard",
    "src/pem.ts",
    "my_id_rsa.ts",
    "credentials.json.ts",
    "monkey",
  ])("%s is not", (path) => {
    expect(defaults(path)).toBe(false);
  });

  test.each([
    ["/top", "top", true],
    ["/top", "a/top", false],
    ["a/*.c", "a/x.c", true],
    ["a/*.c", "b/a/x.c", false],
    ["a/*.c", "a/b/x.c", false],
    ["**/x", "x", true],
    ["**/x", "a/b/x", true],
    ["a/**/z", "a/z", true],
    ["a/**/z", "a/b/c/z", true],
    ["logs/**", "logs/a/b", true],
    ["build/", "build", false],
    ["build/", "sub/build/x", true],
    ["[ab].t", "a.t", true],
    ["[!ab].t", "a.t", false],
    ["[!ab].t", "c.t", true],
    ["[z-a]", "[z-a]", true],
    ["x?y", "x/y", false],
    ["x?y", "xzy", true],
    ["# note", "# note", false],
    ["a.b", "axb", false],
  ])("%s on %s: %s", (pattern, path, excluded) => {
    expect(excluder([pattern])(path)).toBe(excluded);
  });

  test("the last match decides; nothing in the list excludes nothing; no pattern throws", () => {
    expect(excluder(["*.log", "!keep.log"])("keep.log")).toBe(false);
    expect(excluder(["!keep.log", "*.log"])("keep.log")).toBe(true);
    expect(excluder(["", "  ", "/", "!"])("a")).toBe(false);
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" })), fc.string(), (patterns, path) => {
        expect(typeof excluder(patterns)(path)).toBe("boolean");
      }),
    );
  });
});

describe("normaliseRemote", () => {
  test.each([
    "https://github.com/me/shop.git",
    "https://github.com/me/shop",
    "https://github.com/me/shop/",
    "https://user:pass@GitHub.com:443/me/shop.git/",
    "http://github.com/me/shop",
    "ssh://git@github.com/me/shop.git",
    "ssh://git@github.com:22/me/shop",
    "git@github.com:me/shop.git",
    "github.com:me/shop",
    "git@GITHUB.COM:/me/shop",
    "git://github.com/me/shop",
    "https://a@b:c@github.com/me/shop",
    "https://github.com/me/sh%6Fp",
  ])("%s", (url) => {
    expect(normaliseRemote(url)).toBe("github.com/me/shop");
  });

  test.each([
    ["/srv/git/shop.git", "file:/srv/git/shop"],
    ["file:///srv/git/shop.git/", "file:/srv/git/shop"],
    ["file:///srv/my%20shop", "file:/srv/my shop"],
    ["../shop.git", "file:/base/shop"],
    ["/srv/x/.git", "file:/srv/x/.git"],
    ["./a:b", "file:/base/here/a:b"],
    ["ssh://[::1]:2222/r", "[::1]/r"],
    ["git@[::1]:r", "[::1]/r"],
    ["me@host:~/r.git", "host/~/r"],
    ["ext::sh -c x", "ext::sh -c x"],
    ["https://host/%zz", "host/%zz"],
  ])("%s", (url, normal) => {
    expect(normaliseRemote(url, "/base/here")).toBe(normal);
  });

  test("case of the path counts; no credentials survive", () => {
    expect(normaliseRemote("https://h/Me/Shop")).not.toBe(normaliseRemote("https://h/me/shop"));
    const word = fc.stringMatching(/^[a-z0-9]{1,8}$/);
    fc.assert(
      fc.property(word, word, word, (user, password, host) => {
        const secret = `s3cret${password}`;
        expect(normaliseRemote(`https://${user}:${secret}@${host}/r`)).toBe(`${host}/r`);
        expect(normaliseRemote(`https://${secret}@${host}/r`)).toBe(`${host}/r`);
      }),
    );
  });
});

describe("parseStatus", () => {
  test("records that are not understood do no harm", () => {
    expect(parseStatus([])).toEqual({
      branch: null,
      head: null,
      detached: true,
      unborn: true,
      changes: [],
      dirtySubmodules: [],
    });
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom("1", "2", "u", "?", "#", " ", "M", ".", "S", "x") })),
        (records) => {
          expect(parseStatus(records).changes.length).toBeLessThanOrEqual(records.length);
        },
      ),
    );
  });
});
