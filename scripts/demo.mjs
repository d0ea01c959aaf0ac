// The main job, tried out: a conversation and its code are saved on one machine and continued on another. Both
// machines are folders with a HOME of their own, the remote is a bare repository; all of it lies in one
// temporary folder that is removed at the end, also after a failure or Ctrl-C. Nothing else is touched.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const cli = join(project, "dist", "cli.js");
const started = Date.now();
const temporary = realpathSync(mkdtempSync(join(tmpdir(), "convosync-demo-")));
const remove = () => rmSync(temporary, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
process.on("exit", remove);

/** The child that runs now, in a process group of its own, so that a signal ends its children as well. */
let running = null;
for (const [signal, status] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.on(signal, () => {
    if (running === null) process.exit(status);
    running.once("close", () => process.exit(status));
    try {
      process.kill(-running.pid, "SIGTERM");
    } catch {
      // It has just ended by itself; its "close" is on the way.
    }
  });
}

// ---------------------------------------------------------------------------------------------- machines

function machine({ user, host, place, folder, device, type }) {
  const disk = join(temporary, place);
  const home = join(disk, "home", user);
  const root = join(home, folder, "shop");
  mkdirSync(join(home, folder), { recursive: true });
  const key = root.replace(/[^a-zA-Z0-9]/g, "-");
  return { user, host, disk, home, root, key, device, type, store: join(home, ".claude") };
}

const desktop = machine({
  user: "alex",
  host: "desktop",
  place: "a",
  folder: "code",
  device: "Office desktop",
  type: "desktop",
});
const laptop = machine({
  user: "sam",
  host: "laptop",
  place: "b",
  folder: "src",
  device: "Train laptop",
  type: "laptop",
});
const server = join(temporary, "host");
const remote = join(server, "srv", "shop.git");
const bin = join(temporary, "bin");

/** What a program started on a machine sees: nothing of the real user's settings, agents or git. */
function environment({ user, home }) {
  const kept = ["TMPDIR", "TEMP", "TMP", "SystemRoot", "ComSpec"].filter((name) => process.env[name]);
  return {
    ...Object.fromEntries(kept.map((name) => [name, process.env[name]])),
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    HOME: home,
    // Here everything is saved by hand, to be looked at.
    CONVOSYNC_HOOKS: "false",
    CONVOSYNC_AGENT_HOOKS: "false",
    USERPROFILE: home,
    LC_ALL: "C.UTF-8",
    TZ: "UTC",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: join(home, ".gitconfig"),
    GIT_TERMINAL_PROMPT: "0",
    GIT_AUTHOR_NAME: user,
    GIT_AUTHOR_EMAIL: `${user}@example.org`,
    GIT_COMMITTER_NAME: user,
    GIT_COMMITTER_EMAIL: `${user}@example.org`,
  };
}

function run(where, cwd, command, args) {
  return new Promise((done, fail) => {
    const options = { cwd, env: environment(where), stdio: ["ignore", "pipe", "pipe"], detached: true };
    const child = spawn(command, args, options);
    running = child;
    const both = [];
    const stdout = [];
    child.stdout.on("data", (chunk) => {
      stdout.push(chunk);
      both.push(chunk);
    });
    child.stderr.on("data", (chunk) => both.push(chunk));
    child.on("error", (error) => {
      running = null;
      fail(error);
    });
    child.on("close", (status) => {
      running = null;
      done({ status, stdout: Buffer.concat(stdout), text: Buffer.concat(both).toString() });
    });
  });
}

/** A command behind the scenes. */
async function quietly(where, cwd, ...args) {
  const { status, stdout, text } = await run(where, cwd, "git", args);
  if (status !== 0) throw new Error(`git ${args.join(" ")} ended with ${status}:\n${text}`);
  return stdout;
}

// ------------------------------------------------------------------------------------------------ screen

/** Paths as they would be on real machines: without the temporary folder in front. */
function shown(text) {
  return [desktop.disk, laptop.disk, server].reduce((all, disk) => all.replaceAll(disk, ""), text);
}

const say = (text = "") => process.stdout.write(`${text}\n`);
const heading = (text) => say(`\n── ${text} ${"─".repeat(Math.max(0, 76 - text.length))}\n`);

/** A command as a person would type it, with what it prints. */
async function typed(where, cwd, line) {
  const at = cwd === where.home ? "~" : `~${cwd.slice(where.home.length)}`;
  say(`${where.user}@${where.host}:${at}$ ${line}`);
  const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);
  const [command, ...args] = words.map((word) =>
    word.replace(/^~/, where.home).replace("/srv/", `${server}/srv/`),
  );
  const { status, text } = await run(where, cwd, command, args);
  say(shown(text));
  if (status !== 0) throw new Error(`'${line}' ended with exit status ${status}`);
  return text;
}

// ------------------------------------------------------------------------------------------ conversation

const sessionId = "5d0c7e1a-93b4-4c58-8f21-6a7be03d9412";
const agentId = "a7f3c91e";
const title = "Sign in with OAuth, without losing the basket";
const backup = "9c1f0e7ab25d4386@v1";

/** Mulberry32: the same conversation at every run, and on both machines. */
function dice(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n) => Math.floor(next() * n);
  const hex = (n) => Array.from({ length: n }, () => below(16).toString(16)).join("");
  return { below, hex, pick: (list) => list[below(list.length)] };
}

const files = ["oauth", "session", "basket", "pricing", "routes", "mailer", "search", "invoice"];
const nouns = "token basket cookie redirect state verifier customer order price nonce header retry".split(
  " ",
);
const verbs = "expires returns keeps rejects stores compares loses renews merges signs checks logs".split(
  " ",
);
const hints = "twice silently before the callback|after the redirect|when the tab sleeps|on a slow phone|"
  .concat("only in the test|for guests|once the clock jumps|behind the proxy|without a warning")
  .split("|");

const sentence = ({ pick }) =>
  `The ${pick(nouns)} of the ${pick(nouns)} ${pick(verbs)} the ${pick(nouns)} ${pick(hints)}.`;
const prose = (random, n) => Array.from({ length: n }, () => sentence(random)).join(" ");
const code = (random, n) =>
  Array.from({ length: n }, (_, i) => {
    const [a, b] = [random.pick(nouns), random.pick(nouns)];
    return `  const ${a}${i} = ${b}.${random.pick(verbs)}("${random.hex(6)}"); // ${sentence(random)}`;
  }).join("\n");

/**
 * The conversation as Claude Code would have written it on one machine: main transcript and sidecars. `turns`
 * are tool calls; each one is a prompt or thought, a call and its result.
 */
function conversation({ root, store, key }) {
  const random = dice(20261121);
  const own = join(store, "projects", key, sessionId);
  const write = recorder(root, sessionId, random, Date.parse("2026-11-20T09:00:00Z"));
  const main = [
    JSON.stringify({ type: "ai-title", aiTitle: title, sessionId }),
    write.user(`Please add sign-in with OAuth to ${root}. Guests must keep their basket.`),
    JSON.stringify({
      type: "file-history-snapshot",
      messageId: write.last(),
      snapshot: {
        messageId: write.last(),
        trackedFileBackups: { [join(root, "src/cart.js")]: { backupFileName: backup, version: 1 } },
        timestamp: "2026-11-20T09:00:02.000Z",
      },
      isSnapshotUpdate: false,
    }),
    ...turns(write, random, root, 140),
    ...write.tool(
      "Task",
      { description: "Map the cart", prompt: prose(random, 6), subagent_type: "Explore" },
      () => [`The cart lives in ${root}/src/cart.js. ${prose(random, 8)}`, { agentId, status: "completed" }],
    ),
    ...write.tool("Bash", { command: `cd ${root} && npm test -- --verbose` }, () => [
      `<persisted-output>\nOutput too large. Full output saved to: ${own}/tool-results/bkx81q.txt\n</persisted-output>`,
      { stdout: "", stderr: "", interrupted: false },
    ]),
    write.assistant([
      { type: "text", text: `Done: ${root}/src/auth/oauth.js is in place. ${prose(random, 5)}` },
    ]),
    JSON.stringify({ type: "last-prompt", lastPrompt: "and the basket?", leafUuid: write.last(), sessionId }),
  ];
  const inner = recorder(root, sessionId, random, Date.parse("2026-11-20T10:00:00Z"), {
    isSidechain: true,
    agentId,
  });
  const sidecars = {
    [join(own, "subagents", `agent-${agentId}.jsonl`)]: lines([
      inner.user(`Where does ${root} keep the basket of a guest? ${prose(random, 4)}`),
      ...turns(inner, random, root, 20),
    ]),
    [join(own, "subagents", `agent-${agentId}.meta.json`)]: JSON.stringify({
      agentType: "Explore",
      description: "Map the cart",
      finished: true,
    }),
    [join(own, "tool-results", "bkx81q.txt")]: Array.from(
      { length: 900 },
      (_, i) => `ok ${i + 1} - ${root}/test/${random.pick(files)}.test.js: ${sentence(random)}\n`,
    ).join(""),
    [join(store, "file-history", sessionId, backup)]: firstFiles["src/cart.js"],
  };
  return { main: lines(main), sidecars };
}

/** What is said on the laptop, as each machine would have it. */
function continuation({ root }) {
  const random = dice(4711);
  const write = recorder(root, sessionId, random, Date.parse("2026-11-20T18:30:00Z"));
  return lines([
    write.user("On the train now. Refresh the token before it expires, please."),
    ...turns(write, random, root, 20),
    write.assistant([
      { type: "text", text: `Refreshing is in ${root}/src/auth/refresh.js. ${prose(random, 6)}` },
    ]),
  ]);
}

const lines = (records) => records.map((record) => `${record}\n`).join("");

/** Writes records in the shapes of Claude Code 2.1, each pointing to the one before it. */
function recorder(root, session, random, start, more = {}) {
  let parent = null;
  let at = start;
  const uuid = () => [8, 4, 4, 4, 12].map(random.hex).join("-");
  const record = (fields) => {
    at += 1000 + random.below(20_000);
    const own = uuid();
    const line = JSON.stringify({
      parentUuid: parent,
      isSidechain: false,
      userType: "external",
      cwd: root,
      sessionId: session,
      version: "2.1.329",
      gitBranch: "feature/oauth",
      ...more,
      ...fields,
      uuid: own,
      timestamp: new Date(at).toISOString(),
    });
    parent = own;
    return line;
  };
  const assistant = (content) =>
    record({
      type: "assistant",
      requestId: `req_${random.hex(24)}`,
      message: {
        model: "claude-opus-4-6",
        id: `msg_${random.hex(24)}`,
        type: "message",
        role: "assistant",
        content,
        stop_reason: null,
        usage: {
          input_tokens: random.below(900),
          output_tokens: random.below(900),
          service_tier: "standard",
        },
      },
    });
  const tool = (name, input, answer) => {
    const id = `toolu_${random.hex(24)}`;
    const call = assistant([{ type: "tool_use", id, name, input }]);
    const [content, toolUseResult] = answer();
    const result = [{ tool_use_id: id, type: "tool_result", content }];
    return [call, record({ type: "user", message: { role: "user", content: result }, toolUseResult })];
  };
  return {
    user: (content) =>
      record({ type: "user", message: { role: "user", content }, permissionMode: "default" }),
    assistant,
    tool,
    last: () => parent,
  };
}

function turns(write, random, root, count) {
  return Array.from({ length: count }, (_, i) => {
    const path = join(root, "src", `${random.pick(files)}.js`);
    const spoken = i % 6 === 5 ? [write.user(prose(random, 2))] : [];
    const thought = { type: "thinking", thinking: prose(random, 5), signature: random.hex(240) };
    return [...spoken, write.assistant([thought]), ...call(write, random, root, path, i % 4)];
  }).flat();
}

function call(write, random, root, path, kind) {
  if (kind === 0)
    return write.tool("Read", { file_path: path }, () => {
      const content = code(random, 40);
      return [content, { type: "text", file: { filePath: path, content, numLines: 40, startLine: 1 } }];
    });
  if (kind === 1)
    return write.tool("Bash", { command: `cd ${root} && npm test`, description: sentence(random) }, () => {
      const stdout = Array.from(
        { length: 30 },
        () => `  at ${root}/src/${random.pick(files)}.js:${random.below(400)}`,
      );
      return [
        stdout.join("\n"),
        { stdout: stdout.join("\n"), stderr: "", interrupted: false, isImage: false },
      ];
    });
  if (kind === 2)
    return write.tool("Grep", { pattern: random.pick(nouns), path: root, output_mode: "content" }, () => {
      const hits = Array.from(
        { length: 20 },
        () => `${root}/src/${random.pick(files)}.js:${sentence(random)}`,
      );
      return [hits.join("\n"), { mode: "content", numFiles: 8, content: hits.join("\n") }];
    });
  const [before, after] = [code(random, 6), code(random, 8)];
  return write.tool("Edit", { file_path: path, old_string: before, new_string: after }, () => [
    `The file ${path} has been updated.`,
    {
      filePath: path,
      oldString: before,
      newString: after,
      originalFile: code(random, 25),
      userModified: false,
    },
  ]);
}

// -------------------------------------------------------------------------------------------------- code

const firstFiles = {
  "package.json": '{ "name": "shop", "private": true, "type": "module" }\n',
  "src/cart.js": "export const total = (items) => items.reduce((sum, { price }) => sum + price, 0);\n",
};
const oauth = 'export const signIn = (provider) => new URL("/authorize", provider).href;\n';
const refresh = "export const mustRefresh = ({ expires }, now) => expires - now < 60_000;\n";

function put(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode: 0o600 });
}

async function setUp() {
  if (!existsSync(cli)) {
    const built = await run({ user: "demo", home: temporary }, project, process.execPath, [
      "scripts/build.mjs",
    ]);
    if (built.status !== 0) throw new Error(`the build failed:\n${built.text}`);
  }
  put(
    join(bin, "git-convosync"),
    `#!/bin/sh\nexec '${process.execPath}' '${cli.replaceAll("'", "'\\''")}' "$@"\n`,
  );
  chmodSync(join(bin, "git-convosync"), 0o755);
  mkdirSync(dirname(remote), { recursive: true });
  await quietly(
    desktop,
    temporary,
    "init",
    "--quiet",
    "--bare",
    "--template=",
    "--initial-branch=main",
    remote,
  );
  await quietly(desktop, desktop.home, "clone", "--quiet", remote, desktop.root);
  for (const [name, text] of Object.entries(firstFiles)) put(join(desktop.root, name), text);
  await quietly(desktop, desktop.root, "add", ".");
  await quietly(desktop, desktop.root, "commit", "--quiet", "--message=The shop as it was");
  await quietly(desktop, desktop.root, "push", "--quiet", "origin", "HEAD");
  await quietly(desktop, desktop.root, "switch", "--quiet", "--create", "feature/oauth");
  put(join(desktop.root, "src/auth/oauth.js"), oauth);
  const { main, sidecars } = conversation(desktop);
  put(transcriptOf(desktop), main);
  for (const [path, text] of Object.entries(sidecars)) put(path, text);
}

const transcriptOf = ({ store, key }) => join(store, "projects", key, `${sessionId}.jsonl`);
const count = (text) => text.split("\n").length - 1;

// ------------------------------------------------------------------------------------------------ checks

const checks = [];
const check = (ok, text) => checks.push({ ok, text });

/** Length of the pieces of plaintext that are looked for, in bytes. */
const gram = 16;

/** All pieces of the lines of a text, as latin1. */
function grams(text) {
  const all = new Set();
  for (const line of Buffer.from(text).toString("latin1").split("\n")) {
    for (let at = 0; at + gram <= line.length; at++) all.add(line.slice(at, at + gram));
  }
  return all;
}

/** How many positions of `bytes` begin a piece of plaintext. */
function hits(bytes, wanted) {
  const text = bytes.toString("latin1");
  let found = 0;
  for (let at = 0; at + gram <= text.length; at++) if (wanted.has(text.slice(at, at + gram))) found++;
  return found;
}

/** Names and contents of all files and folders below a folder. */
function bytesOfFiles(directory) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    return [Buffer.from(entry.name), ...(entry.isDirectory() ? bytesOfFiles(path) : [readFileSync(path)])];
  });
}

async function checkRemote(plaintext) {
  const git = (...args) => quietly(desktop, remote, ...args);
  const objects = await git("cat-file", "--batch-all-objects", "--batch", "--buffer", "--unordered");
  const refs = await git("for-each-ref");
  const everything = Buffer.concat([objects, refs, ...bytesOfFiles(remote)]);
  // What is meant to be readable: the code with its commit messages, and the explanation beside the keys.
  const keyring = /refs\/convosync\/\S+\/keyring/.exec(refs.toString())[0];
  const open = [
    ...Object.values(firstFiles),
    oauth,
    refresh,
    (await git("log", "--branches", "--format=%B")).toString(),
    (await git("show", `${keyring}:README.md`)).toString(),
  ];
  const wanted = grams(plaintext);
  for (const text of open) for (const one of grams(text)) wanted.delete(one);
  const found = hits(everything, wanted);
  const control = hits(Buffer.from(plaintext), wanted);
  const size = `${(everything.length / 1e6).toFixed(1)} MB`;
  check(
    found === 0,
    `none of ${wanted.size.toLocaleString("en")} pieces of the conversation is in the remote's ${size}`,
  );
  check(control > wanted.size / 2, "the same search does find them in the transcript");
  const names = [
    sessionId,
    title,
    agentId,
    backup,
    "bkx81q",
    desktop.device,
    laptop.device,
    desktop.key,
    "claude",
  ];
  const seen = names.filter((name) => everything.includes(name));
  check(
    seen.length === 0,
    `no session id, title, device or file name is${seen.length ? `: ${seen.join(", ")}` : ""}`,
  );
  const ours = refs
    .toString()
    .split("\n")
    .filter((line) => line.includes("convosync"));
  check(
    ours.length === 5,
    `the remote has ${ours.length} conversation refs: keyring, and a head and a session per machine`,
  );
}

function same(path, text) {
  return existsSync(path) && readFileSync(path, "utf8") === text;
}

/** The first arrival on the laptop, before anything is done there. */
async function checkArrival() {
  const [there, here] = [await head(desktop), await head(laptop)];
  check(there === here, `the laptop is at the desktop's commit ${here.slice(0, 7)} on feature/oauth`);
  check(same(join(laptop.root, "src/auth/oauth.js"), oauth), "the code arrived");
  const { main, sidecars } = conversation(laptop);
  check(
    same(transcriptOf(laptop), main),
    `all ${count(main)} lines of the conversation arrived, byte for byte what the laptop's own agent would have written`,
  );
  const names = Object.keys(sidecars);
  check(
    names.every((path) => same(path, sidecars[path])),
    `so did its ${names.length} sidecar files: subagent, its description, tool output, file backup`,
  );
  const written = bytesOfFiles(laptop.store);
  check(
    ![desktop.home, desktop.key].some((path) => written.some((bytes) => bytes.includes(path))),
    "no path of the desktop is left in them",
  );
  check((statSync(transcriptOf(laptop)).mode & 0o777) === 0o600, "only the laptop's user can read them");
}

const head = async ({ root, ...where }) =>
  (await quietly(where, root, "rev-parse", "HEAD")).toString().trim();

/** Names and bytes of a work tree in one hash. */
function treeHash(root) {
  const hash = createHash("sha256");
  for (const name of readdirSync(root, { recursive: true }).sort()) {
    const path = join(root, name);
    if (name.split(/[\\/]/)[0] === ".git" || statSync(path).isDirectory()) continue;
    hash.update(`${name}\0`).update(readFileSync(path)).update("\0");
  }
  return hash.digest("hex");
}

// -------------------------------------------------------------------------------------------------- play

async function play() {
  say("Two machines, one remote, all in a temporary folder; paths are shown without it.");
  await setUp();
  const kilobytes = Math.round(statSync(transcriptOf(desktop)).size / 1000);
  const first = conversation(desktop);

  heading(`Desktop: a conversation of ${count(first.main)} messages, ${kilobytes} KB`);
  await typed(desktop, desktop.root, "git status --short");
  await typed(
    desktop,
    desktop.root,
    `git convosync init --yes --recovery-file ~/recovery-code.txt --device-name "${desktop.device}" --device-type desktop`,
  );
  await typed(desktop, desktop.root, 'git convosync save "Implemented OAuth login"');
  await typed(desktop, desktop.root, "git convosync list");

  heading("Laptop: another user, another path, no conversation yet");
  await typed(laptop, join(laptop.home, "src"), "git clone --quiet /srv/shop.git");
  say("(the recovery code travels by hand, for instance in a password manager)\n");
  put(join(laptop.home, "recovery-code.txt"), readFileSync(join(desktop.home, "recovery-code.txt")));
  await typed(
    laptop,
    laptop.root,
    `git convosync init --yes --join --recovery-file ~/recovery-code.txt --device-name "${laptop.device}" --device-type laptop`,
  );
  const printed = await typed(laptop, laptop.root, "git convosync resume");
  check(
    printed.includes(`claude --resume ${sessionId}`),
    "resume names the agent's own command to go on with",
  );
  await checkArrival();

  const more = continuation(laptop);
  say(`(work goes on: ${count(more)} more messages, and src/auth/refresh.js)\n`);
  appendFileSync(transcriptOf(laptop), more);
  put(join(laptop.root, "src/auth/refresh.js"), refresh);
  await typed(laptop, laptop.root, 'git convosync save "Refresh the token in time"');

  heading("Desktop again");
  await typed(desktop, desktop.root, "git convosync resume");
  await typed(desktop, desktop.root, "git convosync verify");

  check((await head(desktop)) === (await head(laptop)), "back on the desktop: the laptop's commit");
  check(treeHash(desktop.root) === treeHash(laptop.root), "the same files in both work trees");
  const whole = first.main + continuation(desktop);
  check(
    same(transcriptOf(desktop), whole),
    `all ${count(whole)} lines, with the desktop's own paths, no question asked`,
  );
  const status = await quietly(desktop, desktop.root, "status", "--porcelain");
  check(status.length === 0, "nothing of it lies in the work tree");
  await checkRemote([whole, more, ...Object.values(first.sidecars)].join("\n"));

  heading("Proof");
  for (const { ok, text } of checks) say(`${ok ? "✓" : "✗ FAILED:"} ${text}`);
  const failed = checks.filter(({ ok }) => !ok).length;
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  say(`\n${checks.length - failed} of ${checks.length} checks hold, ${seconds} s. ${temporary} is removed.`);
  return failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await play();
} catch (error) {
  process.stderr.write(`\ndemo: ${shown(error.message)}\n`);
  process.exitCode = 1;
}
