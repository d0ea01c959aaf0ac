import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { localLength, type PathForm, type Places, toLocal, toPortable } from "./portable-paths.ts";

const laptop = machine("/home/me/code/shop", "/home/me", { keys: ["-home-me-code-shop"] });
const mac = machine("/Users/al/shop", "/Users/al", { keys: ["-Users-al-shop"] });
const windows = machine("C:\\Users\\me\\shop", "C:\\Users\\me", { keys: ["C--Users-me-shop"] });
const awkward = machine('/srv/my "shop"\\x', "/home/zoë", { keys: ["-srv-my--shop--x"] });

function machine(root: string, home: string, more: Partial<Places> = {}): Places {
  const separator = home.includes("\\") ? "\\" : "/";
  return { root: [root], home: [home], store: [`${home}${separator}.claude`], keys: [], ...more };
}

const portable = (text: string, places: Places, form: PathForm = "jsonl"): string =>
  Buffer.from(toPortable(Buffer.from(text), places, form)).toString();
const local = (text: string, places: Places, form: PathForm = "jsonl"): string =>
  Buffer.from(toLocal(Buffer.from(text), places, form)).toString();

describe("what is a path", () => {
  test.each([
    ['{"cwd":"/home/me/code/shop"}', '{"cwd":"{{CS:ROOT}}"}'],
    ["/home/me/code/shop/src/a.ts", "{{CS:ROOT}}/src/a.ts"],
    ["/home/me/code/other", "{{CS:HOME}}/code/other"],
    [
      "/home/me/code/shop2 and /home/me/code/shop-old",
      "{{CS:HOME}}/code/shop2 and {{CS:HOME}}/code/shop-old",
    ],
    ["/home/me/code/shop.bak", "{{CS:HOME}}/code/shop.bak"],
    ["It is in /home/me/code/shop.", "It is in {{CS:ROOT}}."],
    ["/home/me/.claude/settings.json", "{{CS:STORE}}/settings.json"],
    ["PATH=/home/me/bin:/home/me/code/shop/bin", "PATH={{CS:HOME}}/bin:{{CS:ROOT}}/bin"],
    ["\\n/home/me/x\\t/home/me/y", "\\n{{CS:HOME}}/x\\t{{CS:HOME}}/y"],
    ["\\\\n/home/me/x", "\\\\n{{CS:HOME}}/x"],
    ["\\u001b[0;31m/home/me/x\\u001b[0m", "\\u001b[0;31m{{CS:HOME}}/x\\u001b[0m"],
    ["\u001b[32m/home/me/x", "\u001b[32m{{CS:HOME}}/x"],
    ["\\u003c/home/me/x\\u003e", "\\u003c{{CS:HOME}}/x\\u003e"],
    ["\\n-/home/me/old\\n+/home/me/new", "\\n-{{CS:HOME}}/old\\n+{{CS:HOME}}/new"],
    ["file:///home/me/code/shop/a.ts", "file://{{CS:ROOT-url}}/a.ts"],
    ["vscode://x @/home/me/a", "vscode://x @{{CS:HOME}}/a"],
    ["/home/me/.claude/projects/-home-me-code-shop/x.jsonl", "{{CS:STORE}}/projects/{{CS:KEY}}/x.jsonl"],
    [
      "/home/me/.claude/projects/-home-me-code-shop--claude-worktrees-x/y",
      "{{CS:STORE}}/projects/{{CS:KEY}}--claude-worktrees-x/y",
    ],
    ['\\"/home/me\\" \\\\\\"/home/me', '\\"{{CS:HOME+1}}\\" \\\\\\"{{CS:HOME+2}}'],
    ['\\\\\\\\"/home/me"', '\\\\\\\\"{{CS:HOME}}"'],
  ])("%s", (text, stored) => {
    expect(portable(text, laptop)).toBe(stored);
    expect(local(stored, laptop)).toBe(text);
  });

  test.each([
    "/mnt/home/me",
    "x/home/me",
    "./home/me",
    "~/home/me",
    "}/home/me",
    "$(pwd)/home/me",
    "é/home/me",
    "\\u00e9/home/me",
    "/home/meé",
    "/home/me\\u00e9",
    "/home/me2",
    "/home/me_x",
    "/home/me.d",
    "/home",
    "\\/home/me",
    "http://home/me",
    "x//home/me",
    "foo-/home/me",
    "[0m/home/me",
    "file:///home/me%20too",
    "git commit -home-me-code-shop",
    "/-home-me-code-shop-old/",
  ])("%s is left alone", (text) => {
    expect(portable(text, laptop)).toBe(text);
  });

  test("Windows paths in every written form", () => {
    const forms = [
      ['{"cwd":"C:\\\\Users\\\\me\\\\shop\\\\src"}', '{"cwd":"{{CS:ROOT}}\\\\src"}'],
      ['\\"C:\\\\\\\\Users\\\\\\\\me\\\\\\\\shop\\"', '\\"{{CS:ROOT+1}}\\"'],
      [`${"C:\\Users\\me".replaceAll("\\", "\\".repeat(8))}`, "{{CS:HOME+2}}"],
      ["\\nC:/Users/me/shop/a.ts", "\\n{{CS:ROOT-slash}}/a.ts"],
      ["file:///C:/Users/me/shop/a.ts", "file://{{CS:ROOT-url}}/a.ts"],
      ["\\\\projects\\\\C--Users-me-shop\\\\x", "\\\\projects\\\\{{CS:KEY}}\\\\x"],
    ];
    for (const [text, stored] of forms) {
      expect(portable(text!, windows)).toBe(stored);
      expect(local(stored!, windows)).toBe(text);
    }
    expect(portable("in C:\\Users\\me\\shop\\a", windows, "text")).toBe("in {{CS:ROOT}}\\a");
  });

  test("restoring onto a path that needs escaping writes valid JSON at every depth", () => {
    const inner = JSON.stringify({ path: "/home/me/code/shop/a" });
    const line = JSON.stringify({ cwd: "/home/me/code/shop", inner, deep: JSON.stringify({ inner }) });
    const restored = JSON.parse(local(portable(line, laptop), awkward));
    const root = awkward.root[0]!;
    expect(restored.cwd).toBe(root);
    expect(JSON.parse(restored.inner).path).toBe(`${root}/a`);
    expect(JSON.parse(JSON.parse(restored.deep).inner).path).toBe(`${root}/a`);
    expect(portable(JSON.stringify(restored), awkward)).toBe(portable(line, laptop));
  });

  test("text that looks like a token stays text", () => {
    const text = "{{CS:ROOT}} {{CS: {{{CS:}} {{{{CS:NOPE}}";
    expect(portable(text, laptop)).toBe("{{CS:}}ROOT}} {{CS:}} {{{CS:}}}} {{{{CS:}}NOPE}}");
    expect(local(portable(text, laptop), mac)).toBe(text);
  });

  test("unknown tokens of a newer version stay as they are", () => {
    for (const stored of [
      "{{CS:CACHE}}",
      "{{CS:ROOT1}}",
      "{{CS:ROOT-url+1}}",
      "{{CS:KEY-slash}}",
      "{{CS:ROOT",
      "{{CS:",
    ]) {
      expect(local(stored, laptop)).toBe(stored);
    }
    expect(local("{{CS:KEY}}", { ...laptop, keys: [] })).toBe("{{CS:KEY}}");
  });

  test("a symlinked spelling falls back to the real path where there is none", () => {
    const linked = { ...laptop, root: ["/data/shop", "/home/me/link"] };
    const stored = portable("/home/me/link/a /data/shop/b", linked);
    expect(stored).toBe("{{CS:ROOT2}}/a {{CS:ROOT}}/b");
    expect(local(stored, linked)).toBe("/home/me/link/a /data/shop/b");
    expect(local(stored, mac)).toBe("/Users/al/shop/a /Users/al/shop/b");
  });

  test("places too short or not absolute are never looked for, but can be written", () => {
    const odd = machine("/", "", { store: ["rel/.claude"], keys: ["-"] });
    expect(portable("/ /a a/b rel/.claude /-/", odd)).toBe("/ /a a/b rel/.claude /-/");
    expect(local("{{CS:ROOT}}/etc", odd)).toBe("/etc");
  });

  test("home and root in every relation", () => {
    const same = machine("/home/me", "/home/me");
    expect(portable("/home/me/a", same)).toBe("{{CS:ROOT}}/a");
    const above = machine("/home", "/home/me");
    expect(portable("/home/me/a /home/b", above)).toBe("{{CS:HOME}}/a {{CS:ROOT}}/b");
  });

  test("what a path ends with opens nothing: on another machine it ends differently", () => {
    const colon = machine("/srv/file:", "/home/me");
    expect(portable("/srv/file:/home/me/a", colon)).toBe("{{CS:ROOT}}/home/me/a");
    expect(portable("/srv/file:///home/me/a", colon)).toBe("{{CS:ROOT}}///home/me/a");
  });

  test("nothing to replace costs no copy", () => {
    const bytes = Buffer.from("nothing here\n");
    expect(toPortable(bytes, laptop, "jsonl")).toBe(bytes);
    expect(toLocal(bytes, laptop, "jsonl")).toBe(bytes);
  });
});

const segment = fc.oneof(
  fc.constantFrom(
    "me",
    "shop",
    "my shop",
    "a.b",
    "zoë",
    'q"uote',
    "back\\slash",
    "new\nline",
    "{{CS:ROOT}}",
    "😀",
    "%20",
    "\u0007",
  ),
  fc.string({ minLength: 1, maxLength: 6 }),
);
const posixPath = fc.array(segment, { maxLength: 3 }).map((parts) => `/${parts.join("/")}`);
const windowsPath = fc
  .array(fc.constantFrom("Users", "me", "my shop", "zoë", "a.b"), { maxLength: 3 })
  .map((parts) => `C:\\${parts.join("\\")}`);
const anyPath = fc.oneof(
  posixPath,
  windowsPath,
  fc.constantFrom("", "/", "/a", "relative", "\\\\server\\share"),
);
const anyMachine: fc.Arbitrary<Places> = fc
  .record({
    root: fc.array(anyPath, { minLength: 1, maxLength: 3 }),
    home: fc.array(anyPath, { maxLength: 2 }),
    store: fc.array(anyPath, { maxLength: 2 }),
    keys: fc.array(fc.constantFrom("-home-me", "C--Users-me", "-a", "--x.y--", "{{CS:"), { maxLength: 2 }),
    inside: fc.boolean(),
  })
  .map(({ inside, ...places }) =>
    inside ? { ...places, root: places.root.map((path) => (places.home[0] ?? "") + path) } : places,
  );
const anyForm = fc.constantFrom<PathForm>("jsonl", "text");

/** Bytes made of the machine's own paths in all forms, near-tokens, quotes, escapes, newlines and noise. */
function hostileBytes(places: Places): fc.Arbitrary<Buffer> {
  const paths = [...places.root, ...places.home, ...places.store, ...places.keys];
  const forms = paths.flatMap((path) => {
    const once = JSON.stringify(path).slice(1, -1);
    const twice = JSON.stringify(once).slice(1, -1);
    return [
      path,
      once,
      twice,
      JSON.stringify(twice).slice(1, -1),
      path.replaceAll("\\", "/"),
      `file://${encodeURI(path)}`,
    ];
  });
  const scraps = [
    "{{CS:",
    "{{",
    "}}",
    "{{CS:ROOT}}",
    "{{CS:}}",
    "{{CS:HOME+1}}",
    '"',
    '\\"',
    '\\\\\\"',
    "\\",
    "\\n",
    "\n",
  ];
  const piece = fc.oneof(
    fc.constantFrom("", ...forms).map((text) => Buffer.from(text)),
    fc
      .constantFrom(...scraps, "/", "-", ".", "x", " ", "file://", "\\u001b[0m", "\\u00e9")
      .map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
  );
  return fc.array(piece, { maxLength: 30 }).map((pieces) => Buffer.concat(pieces));
}

describe("law 1: capture, then restore on the same machine, is the identity on bytes", () => {
  const machineAndBytes = anyMachine.chain((places) => fc.tuple(fc.constant(places), hostileBytes(places)));

  test("on hostile bytes and any machine", () => {
    fc.assert(
      fc.property(machineAndBytes, anyForm, ([places, bytes], form) => {
        expect(Buffer.from(toLocal(toPortable(bytes, places, form), places, form)).equals(bytes)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  test("restoring hostile stored bytes never fails, and what it wrote can be captured again", () => {
    fc.assert(
      fc.property(machineAndBytes, anyForm, ([places, stored], form) => {
        const here = toLocal(stored, places, form);
        expect(localLength(stored, places, form)).toBe(here.length);
        expect(Buffer.from(toLocal(toPortable(here, places, form), places, form)).equals(here)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test("line by line gives what the whole gives", () => {
    fc.assert(
      fc.property(machineAndBytes, anyForm, ([places, bytes], form) => {
        const lines = bytes
          .toString("latin1")
          .split(/(?<=\n)/)
          .map((line) => Buffer.from(line, "latin1"));
        for (const convert of [toPortable, toLocal]) {
          const pieces = Buffer.concat(lines.map((line) => convert(line, places, form)));
          expect(pieces.equals(convert(bytes, places, form))).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe("law 2: what was restored elsewhere is captured as it was stored", () => {
  const name = (letters: string) =>
    fc.array(fc.constantFrom(...letters), { minLength: 2, maxLength: 5 }).map((l) => l.join(""));
  const posix = (letters: string) =>
    fc.tuple(name(letters), name("cdü;"), fc.boolean()).map(([user, project, inside]) => {
      const home = `/home/h${user}h`;
      const root = inside ? `${home}/p${project}p` : `/srv/p${project}p`;
      return machine(root, home, { keys: [`-k${project.length}-${user.length}`] });
    });
  // Where a quote in a path is written tells its depth; a machine without the quote could not know it.
  const from = posix("abé '");
  const onto = posix("abé \"\\'");
  const win = fc.tuple(name("abé "), name("cdü")).map(([user, project]) => {
    const home = `C:\\Users\\h${user}h`;
    return machine(`${home}\\p${project}p`, home, { keys: [`C--k${project.length}-${user.length}`] });
  });
  const anyTail = fc.constantFrom(
    "",
    "/src/y.ts",
    " w",
    ".",
    ":2",
    ",",
    "\n",
    " 'z'",
    "/w.v",
    " {{CS:ROOT}} {{",
  );
  const doc = (places: Places) => {
    const url = (path: string) =>
      `file://${encodeURI(`/${path.replaceAll("\\", "/")}`.replace("//", "/")).replace(/[?#]/g, encodeURIComponent)}`;
    const value = fc
      .array(
        fc.tuple(
          fc.constantFrom("in ", "at:", "\n", "\u001b[0m", "-", "(", "w", ""),
          fc.constantFrom(
            places.root[0]!,
            places.home[0]!,
            places.store[0]!,
            url(places.root[0]!),
            `w/${places.keys[0]}`,
          ),
          anyTail,
        ),
        { maxLength: 4 },
      )
      .map((parts) => parts.flat().join(""));
    const nested = fc.tuple(value, value).map(([v, w]) => JSON.stringify({ v, w: JSON.stringify({ w }) }));
    return fc
      .array(fc.record({ v: value, n: nested, w: value }), { minLength: 1, maxLength: 3 })
      .map((records) => records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  };

  test.each([
    ["POSIX to POSIX", from, onto],
    ["Windows to Windows", win, win],
    ["POSIX to Windows", from, win],
  ])("%s", (_, from, to) => {
    const journey = fc.tuple(from, to).chain(([a, b]) => fc.tuple(fc.constant(a), fc.constant(b), doc(a)));
    fc.assert(
      fc.property(journey, ([a, b, text]) => {
        const stored = portable(text, a);
        expect(portable(local(stored, b), b)).toBe(stored);
        for (const line of local(stored, b).split("\n").slice(0, -1)) JSON.parse(line);
      }),
      { numRuns: 500 },
    );
  });
});

const corpus = process.env["CONVOSYNC_CORPUS"];
describe.skipIf(!corpus)("CONVOSYNC_CORPUS: every real transcript", () => {
  const files = corpus
    ? readdirSync(corpus, { recursive: true, encoding: "utf8" }).filter((file) => /\.jsonl?$/.test(file))
    : [];
  const recorded = (text: string): string[] => [
    ...new Set([...text.matchAll(/"cwd":"([^"\\]+)"/g)].map((match) => match[1]!)),
  ];

  test("comes back byte for byte, with its own places and with others", () => {
    let replaced = 0;
    for (const file of files) {
      const bytes = readFileSync(join(corpus!, file));
      const own = recorded(bytes.toString("latin1")).map((cwd) => {
        const home = /^\/(?:Users|home)\/[^/]+/.exec(cwd)?.[0] ?? "/root";
        return machine(cwd, home, { keys: [cwd.replace(/[^a-zA-Z0-9]/g, "-")] });
      });
      for (const places of [...own.slice(0, 3), laptop, windows, machine("/usr", "/tmp")]) {
        const stored = toPortable(bytes, places, "jsonl");
        if (stored !== bytes) replaced++;
        expect(Buffer.compare(toLocal(stored, places, "jsonl"), bytes), file).toBe(0);
      }
    }
    expect(replaced).toBeGreaterThan(20);
  });

  test("moved to another machine it names no place of the old one, and every line that was JSON still is", () => {
    const isJson = (line: string): boolean => {
      try {
        return JSON.parse(line) !== undefined;
      } catch {
        return false;
      }
    };
    for (const file of files.filter((path) => path.startsWith("claude/")).slice(0, 8)) {
      const text = readFileSync(join(corpus!, file)).toString();
      const [cwd] = recorded(text);
      const home = cwd && /^\/Users\/[^/]+/.exec(cwd)?.[0];
      if (!cwd || !home) continue;
      const stored = portable(text, machine(cwd, home));
      for (const target of [windows, awkward]) {
        const moved = local(stored, target);
        expect(moved).not.toContain(`"cwd":"${cwd}"`);
        const before = text.split("\n").filter(isJson).length;
        expect(moved.split("\n").filter(isJson).length, file).toBe(before);
      }
    }
  });
});
