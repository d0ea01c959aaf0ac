// Holds the import rules of docs/architecture: rooms, portability, one place that starts processes, lazy commands.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const source = fileURLToPath(new URL("../src", import.meta.url));

interface Import {
  /** `room/file.ts` below src, `node:…`, or a package. */
  readonly to: string;
  readonly how: "value" | "type" | "lazy";
}

/** Import statements of a module; comments are not looked into. */
function importsOf(file: string, text: string): Import[] {
  const code = text.replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, "");
  const found: Import[] = [];
  const add = (specifier: string, how: Import["how"]): void => {
    const own = specifier.startsWith(".");
    found.push({
      to: own
        ? relative(source, join(source, dirname(file), specifier))
            .split(sep)
            .join("/")
        : specifier,
      how,
    });
  };
  for (const [, type, names, specifier] of code.matchAll(
    /^\s*(?:import|export)\s+(type\s+)?([^;"']*?\bfrom\s+)?"([^"]+)"/gm,
  )) {
    const inner = /\{([^}]*)\}/
      .exec(names ?? "")?.[1]
      ?.split(",")
      .map((name) => name.trim())
      .filter(Boolean);
    const onlyTypes =
      inner !== undefined && inner.length > 0 && inner.every((name) => name.startsWith("type "));
    const hasDefault = /^[\w$]+\s*(,|\s+from)/.test((names ?? "").trim());
    add(specifier as string, type || (onlyTypes && !hasDefault) ? "type" : "value");
  }
  for (const [, specifier] of code.matchAll(/\btypeof import\("([^"]+)"\)/g))
    add(specifier as string, "type");
  for (const [, specifier] of code.matchAll(/(?<!typeof )\bimport\(\s*"([^"]+)"\s*\)/g))
    add(specifier as string, "lazy");
  return found;
}

const isTest = (file: string): boolean => /\.(?:test|fixture|contract)\.ts$/.test(file);

const modules = new Map(
  readdirSync(source, { recursive: true, encoding: "utf8" })
    .map((file) => file.split(sep).join("/"))
    .filter((file) => file.endsWith(".ts") && !isTest(file))
    .map((file): [string, { text: string; imports: Import[] }] => {
      const text = readFileSync(join(source, file), "utf8");
      return [file, { text, imports: importsOf(file, text) }];
    }),
);

const roomOf = (file: string): string => (file.includes("/") ? (file.split("/")[0] as string) : file);

/** What each room may import of ours, besides itself and errors.ts; those with Node files also leftovers.ts. */
const allowed: Record<string, readonly string[]> = {
  "cli.ts": ["main.ts", "code-cache.ts", "user-directories.ts", "version.ts"],
  "code-cache.ts": ["make-folder.ts"],
  "user-directories.ts": [],
  "version.ts": [],

  "main.ts": ["world.ts", "ui", "program.ts"],
  "program.ts": ["world.ts", "version.ts", "ui", "command-tree.ts"],
  "command-tree.ts": ["verbs"],
  "completion-engine.ts": [],
  "manual.ts": ["shells.ts", "verbs", "sessions"],
  "shells.ts": [],
  "world.ts": ["sessions", "ui", "verbs"],
  "errors.ts": [],
  "leftovers.ts": [],
  "make-folder.ts": [],
  verbs: ["world.ts", "commands"],
  commands: [
    ...["world.ts", "sessions", "domains", "ui", "agents", "rendering"],
    ...["completion-engine.ts", "manual.ts", "shells.ts", "user-directories.ts"],
  ],
  rendering: ["ui", "agents"],
  ui: [],
  sessions: [
    ...["leftovers.ts", "make-folder.ts", "user-directories.ts", "version.ts"],
    ...["agents", "worktree", "domains", "refs", "packing", "crypto", "git"],
  ],
  agents: ["leftovers.ts", "make-folder.ts", "user-directories.ts", "packing"],
  worktree: ["leftovers.ts", "git"],
  domains: ["refs", "packing", "crypto"],
  refs: ["git", "crypto"],
  packing: [],
  crypto: [],
  // What the program has in place of the portable primitives, of the same types.
  native: ["crypto", "packing"],
  git: [],
};

/** Single imports beyond the table, each for a reason. */
const exceptions: Record<string, readonly string[]> = {
  // A pure function that takes passwords out of URLs.
  "commands/status.ts": ["git/git.ts"],
};

/** In the commands' room, and no verb: what several of them use. */
const shared = ["commands/number.ts", "commands/questions.ts", "commands/save-form.ts"];

/** Rooms that run unchanged in a browser, and the files in them that do not. */
const portable = ["crypto", "packing", "domains", "refs"];
const nodeFiles = ["transport", "git-database", "object-reader", "lost-objects", "ref-locks"].map(
  (name) => `refs/${name}.ts`,
);

/**
 * Who may start processes: git's room, the pager, the user's own commands that print a key, a summary or a notice, the
 * worker's starter, the system's service manager, and the agent itself, when the user asks for it or when it alone can take
 * a session in.
 */
const starters = [
  ...["git/git.ts", "git/process-group.ts", "ui/pager.ts"],
  ...["sessions/key-store.ts", "sessions/summary-command.ts", "sessions/notify.ts"],
  ...["sessions/start-worker.ts", "sessions/watch-service.ts", "sessions/deliver.ts"],
  ...["commands/template-start.ts", "commands/resume.ts"],
];

const isPortable = (file: string): boolean => portable.includes(roomOf(file)) && !nodeFiles.includes(file);

describe("the import rules", () => {
  test("every room is in the table", () => {
    const rooms = [...new Set([...modules.keys()].map(roomOf))];
    expect(rooms.filter((room) => allowed[room] === undefined)).toEqual([]);
    expect(modules.size).toBeGreaterThan(50);
  });

  test("all imports are seen", () => {
    for (const [file, { text, imports }] of modules) {
      const written = text.match(/ from "[^"]+";$/gm) ?? [];
      expect({ file, seen: imports.filter(({ how }) => how !== "lazy").length }).toEqual({
        file,
        seen: written.length + (text.match(/typeof import\("/g) ?? []).length,
      });
    }
  });

  test("a room imports only what it may", () => {
    const violations = [...modules].flatMap(([file, { imports }]) =>
      imports
        .filter(({ to }) => modules.has(to) && to !== "errors.ts" && roomOf(to) !== roomOf(file))
        .filter(({ to }) => !allowed[roomOf(file)]?.includes(roomOf(to)) && !exceptions[file]?.includes(to))
        .map(({ to }) => `${file} imports ${to}`),
    );
    expect(violations).toEqual([]);
  });

  test("every own import leads to a module that exists, never to a test", () => {
    const violations = [...modules].flatMap(([file, { imports }]) =>
      imports
        .filter(({ to }) => to.endsWith(".ts") && !modules.has(to))
        .map(({ to }) => `${file} imports ${to}`),
    );
    expect(violations).toEqual([]);
  });

  test("portable rooms import nothing of Node's and use no Buffer", () => {
    const violations = [...modules]
      .filter(([file]) => isPortable(file))
      .flatMap(([file, { text, imports }]) => [
        ...imports.filter(({ to }) => to.startsWith("node:")).map(({ to }) => `${file} imports ${to}`),
        ...imports.filter(({ to }) => nodeFiles.includes(to)).map(({ to }) => `${file} imports ${to}`),
        ...imports.filter(({ to }) => roomOf(to) === "git").map(({ to }) => `${file} imports ${to}`),
        ...(/(?<![\w.])(?:Buffer|process|setImmediate)\b[.(]/.test(
          text.replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, ""),
        )
          ? [`${file} uses Node's globals`]
          : []),
      ]);
    expect(violations).toEqual([]);
    for (const file of nodeFiles) expect(modules.has(file)).toBe(true);
  });

  test("only git's room starts processes, with few exceptions", () => {
    const violations = [...modules].flatMap(([file, { imports }]) =>
      imports
        .filter(({ to, how }) => how !== "type" && ["node:child_process", "execa"].includes(to))
        .filter(() => !starters.includes(file))
        .map(({ to }) => `${file} imports ${to}`),
    );
    expect(violations).toEqual([]);
    for (const file of starters) expect(modules.has(file)).toBe(true);
  });

  test("use cases neither print nor prompt; prompts are loaded when there is a question", () => {
    const texts = ["sessions", "agents", "worktree", "domains", "refs", "packing", "crypto"];
    const violations = [...modules]
      .filter(([file]) => texts.includes(roomOf(file)))
      .filter(([, { text }]) => /\bconsole\.|process\.std(?:out|err|in)\b/.test(text))
      .map(([file]) => file);
    expect(violations).toEqual([]);
    const clack = [...modules].flatMap(([file, { imports }]) =>
      imports.filter(({ to }) => to === "@clack/prompts").map(({ how }) => `${roomOf(file)} ${how}`),
    );
    expect([...new Set(clack)].sort()).toEqual(["ui lazy", "ui type"]);
  });

  test("no command is loaded before it is asked for", () => {
    for (const file of ["cli.ts", "main.ts", "program.ts", "world.ts"]) {
      const eager = reach(file, ({ how }) => how === "value");
      expect(
        [...eager].filter((one) => ["commands", "sessions", "crypto", "git"].includes(roomOf(one))),
      ).toEqual([]);
    }
    const verbs = [...modules]
      .filter(([file]) => roomOf(file) === "verbs")
      .flatMap(([, { imports }]) => imports.filter(({ to }) => roomOf(to) === "commands"));
    expect(verbs.length).toBeGreaterThan(8);
    expect(verbs.filter(({ how }) => how === "value")).toEqual([]);
    const commands = [...modules.keys()].filter(
      (file) => roomOf(file) === "commands" && !shared.includes(file),
    );
    expect([...new Set(verbs.map(({ to }) => to))].sort()).toEqual(commands.sort());
  });

  test("no import goes round in a circle", () => {
    const circles: string[] = [];
    for (const file of modules.keys()) {
      const path = circleThrough(file);
      if (path && path[0] === [...path].sort()[0]) circles.push(path.join(" → "));
    }
    expect(circles).toEqual([]);
  });
});

/** All modules that loading `file` loads, by the imports that `follow` accepts. */
function reach(file: string, follow: (one: Import) => boolean): Set<string> {
  const seen = new Set<string>();
  const queue = [file];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    for (const one of modules.get(at)?.imports ?? []) {
      if (!modules.has(one.to) || !follow(one) || seen.has(one.to)) continue;
      seen.add(one.to);
      queue.push(one.to);
    }
  }
  return seen;
}

/** The shortest way from a module back to itself, by imports that are there at run time. */
function circleThrough(start: string): string[] | null {
  const ways = new Map<string, string[]>([[start, [start]]]);
  const queue = [start];
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    for (const { to, how } of modules.get(at)?.imports ?? []) {
      if (how !== "value" || !modules.has(to)) continue;
      const way = ways.get(at) as string[];
      if (to === start) return way;
      if (ways.has(to)) continue;
      ways.set(to, [...way, to]);
      queue.push(to);
    }
  }
  return null;
}
