import { lstat, open, readdir, readFile, stat } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import type { Agent, FoundSession, Target, Workplace } from "../agents/agent.ts";
import { identify, modeOf, RestoreFile, readWholeLines } from "../agents/local-files.ts";
import { type Places, toLocal, toPortable } from "../agents/portable-paths.ts";
import { checkAgent, isAgentName, loadAgent, loadAgents } from "../agents/registry.ts";
import { replaceId } from "../agents/session-id.ts";
import { isInside, storeAround } from "../agents/spellings.ts";
import { toBase64url } from "../crypto/encoding.ts";
import { ConvosyncError, Exit, integrityError } from "../errors.ts";
import { countLines } from "../packing/lines.ts";
import { limits, mainStream } from "../packing/manifest.ts";
import { StreamHash } from "../packing/stream-hash.ts";
import { vaultPrefix } from "../refs/names.ts";
import { Bundle, isBundle } from "./bundle.ts";
import { catalog } from "./catalog.ts";
import { deliver } from "./deliver.ts";
import { loadHeads } from "./heads.ts";
import { localDirectory, settleIn } from "./local-directory.ts";
import type { Context } from "./repository.ts";
import { localCopy } from "./session-fetch.ts";
import { type OpenVault, openVault } from "./vault.ts";
import { findSession, openWorkplace } from "./workplace.ts";

export interface ImportOptions {
  readonly path: string;
  readonly agent?: string;
  /** Asked when a bundle is protected by a passphrase. */
  readonly passphrase: () => Promise<string>;
  readonly dryRun?: boolean;
}

export interface ImportResult {
  readonly session: string;
  readonly agent: Agent;
  readonly title: string;
  /** Its id in the file, when another conversation has it here already. */
  readonly original: string | null;
  /** False when the conversation was here already. */
  readonly imported: boolean;
  readonly messages: number;
  /** Files that were, or would be, written. */
  readonly files: readonly string[];
  readonly workingDirectory: string;
  readonly resumeCommand: readonly string[];
}

/** A conversation that comes from a file, in portable form. Nothing of it is trusted. */
interface Incoming {
  readonly agent: Agent;
  readonly id: string;
  readonly title: string;
  /** The directory it runs in, in this machine's form. */
  readonly cwd: string;
  readonly streams: readonly { readonly name: string; content(): AsyncIterable<Uint8Array> }[];
  readonly files: readonly {
    readonly name: string;
    readonly form: "jsonl" | "text" | "raw";
    readonly mode: number | undefined;
    content(): Promise<Uint8Array>;
  }[];
  /** What `content` gives is in this machine's form already. */
  readonly local: boolean;
  close(): Promise<void>;
}

/**
 * Puts a bundle or an agent's own transcript into the agent's store here, as a session of this work tree. What is
 * there is never touched: where the id belongs to another conversation, this one gets a new id.
 */
export async function importSession(context: Context, options: ImportOptions): Promise<ImportResult> {
  const place = await openWorkplace(context);
  const vault = await vaultIfAny(context);
  const found = await stat(options.path).catch((cause: unknown) => {
    const hints = ["give a bundle, an agent's transcript, or a folder with one: git convosync import --help"];
    throw new ConvosyncError("unreadable-file", Exit.usage, `cannot read '${options.path}'`, hints, cause);
  });
  const incoming =
    found.isFile() && (await isBundle(options.path))
      ? await fromBundle(options, vault, place)
      : await fromAgent(options, place, found.isDirectory());
  try {
    return await put(context, incoming, vault, place, options.dryRun === true);
  } finally {
    await incoming.close();
  }
}

async function vaultIfAny(context: Context): Promise<OpenVault | null> {
  return openVault(context).catch((error: unknown) => {
    if (error instanceof ConvosyncError && error.code === "not-set-up") return null;
    throw error;
  });
}

async function fromBundle(
  options: ImportOptions,
  vault: OpenVault | null,
  place: Workplace,
): Promise<Incoming> {
  const bundle = await Bundle.open(options.path, vault, options.passphrase);
  const { header } = bundle;
  try {
    if (!isAgentName(header.agent)) throw unknownAgent(header.agent);
    const agent = await loadAgent(header.agent);
    if (!agent.validId(header.session))
      throw integrityError("unsafe-name", "the bundle's session id is not one its agent would make");
    return {
      agent,
      id: header.session,
      title: header.title,
      cwd: localDirectory(agent, place, header.cwd),
      streams: header.streams.map(({ name }) => ({ name, content: () => bundle.stream(name) })),
      files: header.files.map((one) => ({
        name: one.name,
        form: one.form ?? "raw",
        mode: one.mode,
        content: () => bundle.file(one),
      })),
      local: false,
      close: () => bundle.close(),
    };
  } catch (error) {
    await bundle.close();
    throw error;
  }
}

const windowBytes = 1 << 20;

/** A transcript as its agent wrote it, or a folder with one and what belongs to it. */
async function fromAgent(options: ImportOptions, place: Workplace, folder: boolean): Promise<Incoming> {
  checkAgent(options.agent);
  const path = folder ? await transcriptIn(options.path) : options.path;
  const { size } = await stat(path);
  if (size > limits.sessionBytes)
    throw new ConvosyncError(
      "session-too-large",
      Exit.failed,
      `'${path}' is larger than ${limits.sessionBytes >> 20} MiB`,
    );
  const head = await ends(path, 0);
  const agents = (await loadAgents()).filter(
    (one) => options.agent === undefined || one.name === options.agent,
  );
  const known = agents.flatMap((agent) => {
    const seen = agent.recognise?.(head);
    return seen ? [{ agent, id: seen.id }] : [];
  })[0];
  if (!known) throw notAConversation(options.path);
  const { agent, id } = known;
  const { title, cwd } = agent.describe(head, await ends(path, Math.max(0, size - windowBytes)));
  const here = place.worktrees.some((root) => cwd !== null && isInside(cwd, root));
  const foreign = cwd === null || here ? null : foreignPlaces(agent, place, cwd);
  const main = {
    name: "main",
    content: () => transcriptLines(path, (bytes) => (foreign ? toPortable(bytes, foreign, "jsonl") : bytes)),
  };
  const sidecars = folder ? await sidecarsIn(join(options.path, basename(path, ".jsonl")), "") : [];
  const convert = (bytes: Uint8Array, form: "jsonl" | "text" | "raw"): Uint8Array =>
    foreign && form !== "raw" ? toPortable(bytes, foreign, form) : bytes;
  const session = { id, cwd: place.root };
  const streams = sidecars.filter((one) => isStream(agent, one.name, session, place));
  const files = [];
  for (const one of sidecars.filter((one) => !streams.includes(one)))
    files.push({ ...one, mode: await smallFile(one.path) });
  return {
    agent,
    id,
    title,
    cwd: here && cwd !== null ? cwd : place.root,
    streams: [
      main,
      ...streams.map((one) => ({
        name: one.name,
        content: () => transcriptLines(one.path, (bytes) => convert(bytes, "jsonl")),
      })),
    ],
    files: files.map((one) => {
      const { form } = agent.target(one.name, "file", session, place);
      const content = async () => convert(await readFile(one.path), form);
      return { name: one.name, form, mode: one.mode, content };
    }),
    local: foreign === null,
    close: async () => undefined,
  };
}

async function transcriptIn(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".jsonl"));
  const [name] = names;
  if (name === undefined || names.length > 1) throw notAConversation(folder);
  const path = join(folder, name);
  if (!(await lstat(path)).isFile()) throw notAConversation(folder);
  return path;
}

/** Regular files below a folder, by their names in it. Symlinks are not followed. */
async function sidecarsIn(folder: string, prefix: string): Promise<{ name: string; path: string }[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found: { name: string; path: string }[] = [];
  for (const entry of entries) {
    const one = { name: `${prefix}${entry.name}`, path: join(folder, entry.name) };
    if (entry.isDirectory() && prefix.length < 400)
      found.push(...(await sidecarsIn(one.path, `${one.name}/`)));
    else if (entry.isFile()) found.push(one);
    if (found.length > limits.files)
      throw new ConvosyncError("session-too-large", Exit.failed, `'${folder}' holds too many files`);
  }
  return found;
}

/** The permissions of a file that can be taken. */
async function smallFile(path: string): Promise<number> {
  const { size, mode } = await stat(path);
  if (size <= limits.fileBytes) return mode & 0o777;
  throw new ConvosyncError("file-too-large", Exit.failed, `'${path}' is larger than 32 MiB`, [
    "move it out of the folder to import the rest",
  ]);
}

/** Whether a name is that of a stream; a name the agent has neither for is refused as a file. */
function isStream(
  agent: Agent,
  name: string,
  session: { id: string; cwd: string },
  place: Workplace,
): boolean {
  try {
    agent.target(name, "stream", session, place);
    return true;
  } catch {
    return false;
  }
}

async function ends(path: string, from: number): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(windowBytes), 0, windowBytes, from);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Whole lines; a last one that only lacks its line feed counts. */
async function* transcriptLines(
  path: string,
  convert: (bytes: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  const end = yield* convertedLines(path, convert);
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const torn = Buffer.alloc(Math.min(size - end, limits.lineBytes));
    await file.read(torn, 0, torn.length, end);
    JSON.parse(torn.toString("utf8"));
    yield convert(Buffer.concat([torn, Buffer.from("\n")]));
  } catch {
    // A half-written line is no line.
  } finally {
    await file.close();
  }
}

async function* convertedLines(
  path: string,
  convert: (bytes: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array, number> {
  const lines = readWholeLines(path);
  try {
    let next = await lines.next();
    for (; !next.done; next = await lines.next()) yield convert(next.value);
    return next.value.end;
  } finally {
    await lines.return({} as never);
  }
}

/** What a machine that is not this one called the places a conversation of it mentions, as far as its paths tell. */
function foreignPlaces(agent: Agent, place: Workplace, cwd: string): Places {
  const home = /^(?:\/(?:home|Users)\/[^/]+|\/root|[A-Za-z]:\\Users\\[^\\]+)/.exec(cwd)?.[0];
  const there: Workplace = { root: cwd, worktrees: [cwd], cwd, home: home ?? cwd, env: {} };
  const { keys } = agent.places({ cwd, workTree: cwd }, there);
  const local = agent.places({ cwd: place.root, workTree: place.root }, place);
  const storeName = relative(place.home, local.store[0] ?? "");
  const nested = storeName !== "" && !storeName.startsWith("..");
  return {
    root: [cwd],
    home: home && home !== cwd ? [home] : [],
    store: home && nested ? [`${home}/${storeName.split(sep).join("/")}`] : [],
    keys: [...keys],
  };
}

/** Whether an agent that can have a session only once has it in another directory, be it one that is gone. */
const hasElsewhere = (agent: Agent, id: string, place: Workplace): boolean =>
  (agent.elsewhere?.(id, place) ?? null) !== null;

async function put(
  context: Context,
  incoming: Incoming,
  vault: OpenVault | null,
  place: Workplace,
  dryRun: boolean,
): Promise<ImportResult> {
  const { agent, cwd } = incoming;
  const places = agent.places({ cwd, workTree: place.root }, place);
  const here = await findSession(agent, place, incoming.id);
  const clash = here
    ? await differs(incoming, here, places)
    : hasElsewhere(agent, incoming.id, place) || (await isSavedAs(context, vault, incoming));
  const id = clash ? agent.newId() : incoming.id;
  const result = {
    session: id,
    agent,
    title: incoming.title,
    original: clash ? incoming.id : null,
    workingDirectory: cwd,
    resumeCommand: agent.resumeCommand(id),
  };
  if (here && !clash) return { ...result, imported: false, messages: 0, files: [] };
  const withId = agent.withId ?? replaceId;
  const renamed = (bytes: Uint8Array): Uint8Array => (clash ? withId(bytes, incoming.id, id) : bytes);
  const inPlace = (bytes: Uint8Array, form: "jsonl" | "text" | "raw"): Uint8Array =>
    form === "raw" ? bytes : renamed(incoming.local ? bytes : toLocal(bytes, places, form));
  const destination = { id, cwd };
  const create = (target: Target, mode?: number) =>
    RestoreFile.create(target.path, storeAround(target.path, agent, place), modeOf(target, mode));
  const written: RestoreFile[] = [];
  const names: string[] = [];
  let messages = 0;
  try {
    for (const one of incoming.files) {
      const target = agent.target(one.name, "file", destination, place);
      if ((await identify(target.path)) !== null) {
        if (target.path.includes(id)) throw occupied(target.path);
        // A plan, say, which has a name of its own: then it is another session's, too.
        continue;
      }
      names.push(target.path);
      const bytes = inPlace(await one.content(), one.form);
      if (dryRun) continue;
      written.push(await create(target, one.mode));
      await written.at(-1)!.write(bytes);
    }
    // The main stream last: until it is in place, there is no session.
    for (const one of [...incoming.streams].reverse()) {
      const target = agent.target(one.name, "stream", destination, place);
      if ((await identify(target.path)) !== null) throw occupied(target.path);
      names.push(target.path);
      const file = dryRun ? null : await create(target);
      if (file) written.push(file);
      for await (const part of one.content()) {
        if (one.name === "main") messages += countLines(part);
        await file?.write(inPlace(part, "jsonl"));
      }
    }
    if (messages === 0) throw notAConversation(incoming.title || incoming.id);
    const backupDir = join(context.stateDir, "backup", id);
    if (written.length > 0) await agent.settle?.(cwd, place);
    while (written.length > 0) {
      await written[0]!.commit({ backupDir, expect: null });
      written.shift();
    }
    if (dryRun) return { ...result, imported: true, messages, files: names };
    const { workingDirectory } = settleIn(cwd, place);
    await deliver(agent, destination, place);
    return { ...result, workingDirectory, imported: true, messages, files: names };
  } catch (error) {
    for (const file of written.reverse()) await file.abort().catch(() => undefined);
    throw error;
  }
}

/** Whether the transcript here is not what comes in, nor goes on from it. */
async function differs(incoming: Incoming, here: FoundSession, places: Places): Promise<boolean> {
  const main = incoming.streams.find((one) => one.name === "main")!;
  const file = await open(here.path, "r");
  try {
    let at = 0;
    for await (const part of main.content()) {
      const bytes = incoming.local ? part : toLocal(part, places, "jsonl");
      const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes.length), 0, bytes.length, at);
      if (bytesRead < bytes.length || !buffer.equals(bytes)) return true;
      at += bytesRead;
    }
    return false;
  } finally {
    await file.close();
  }
}

/** Whether the vault has another conversation under this id; what it has of the same one is no clash. */
async function isSavedAs(context: Context, vault: OpenVault | null, incoming: Incoming): Promise<boolean> {
  if (!vault) return false;
  const key = `${incoming.agent.name}:${incoming.id}`;
  const session = catalog(await loadHeads(context, vault), vault).find((one) => one.key === key);
  if (!session) return false;
  const stored = await localCopy(vault, session.newest, await context.db.refs(vaultPrefix(vault.ref)));
  const record = stored && mainStream(stored.manifest);
  if (!record || incoming.local) return true;
  const hash = StreamHash.start();
  for await (const part of incoming.streams.find((one) => one.name === "main")!.content()) hash.update(part);
  return toBase64url(hash.digest()) !== record.sha;
}

const notAConversation = (path: string): ConvosyncError =>
  new ConvosyncError(
    "not-a-conversation",
    Exit.failed,
    `'${path}' is neither a bundle nor a conversation of a known agent`,
    ["make one: git convosync export <session> --format bundle -o talk.convosync"],
  );

const unknownAgent = (name: string): ConvosyncError =>
  new ConvosyncError("unsupported-agent", Exit.failed, `this version does not know the agent '${name}'`, [
    "update convosync on this device",
  ]);

const occupied = (path: string): ConvosyncError =>
  new ConvosyncError("file-exists", Exit.usage, `'${path}' exists already; nothing was written`, [
    "a conversation with the same id was here once; move that file away first",
  ]);
