// A made-up conversation in the shapes of Claude Code's records, the same for the same seed. Its redundancy is that of
// real ones: files are read in parts, edited and read again, each tool result is there twice (for the model and for the
// client), every record repeats the session's particulars, and ids, signatures and token counts do not compress.

const english =
  "the to a of and is in that it this for we not with on be as are if so can has but now there from was will need have at when which by should only all no one other then test tests file files line change first check still same also just where use used new case value call calls error code makes before after into because both name path add added fails run returns already since must actually let me look see how works wrong missing existing instead expected without another between second last time keep state case handles user behaviour simple problem fix matches branch commit later really writes reading two would could does want good right clear read write next through while each default empty output input own means found three full possible given whether list set data order left old part under result note".split(
    " ",
  );
const terms =
  "session commit branch token cache user store queue index config remote status handler parser stream buffer result entry record state client server request response message header event worker retry timeout limit offset cursor page query filter schema field value node tree path file folder lock lease batch writer reader encoder digest key secret device profile account order item cart price invoice payment checkout coupon shipment address locale theme widget panel dialog button input form label tooltip chart axis series point metric trace span logger level format option flag argument command prompt output editor theme plugin hook action reducer effect selector router route link view model adapter driver pool connection transaction migration column table row snapshot delta patch merge conflict scope policy rule grant role member team project issue comment review release tag asset".split(
    " ",
  );
const hooks = "bash $CLAUDE_PROJECT_DIR/.claude/hooks";
const hex = "0123456789abcdef";
const base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** mulberry32: numbers in [0, 1). */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const capital = (word) => word[0].toUpperCase() + word.slice(1);

/** Words, sentences, identifiers and code, all from one source of chance. */
class Author {
  constructor(seed) {
    this.chance = generator(seed);
  }

  below(count) {
    return Math.floor(this.chance() * count);
  }

  /** From `low` to `high`, both included. */
  between(low, high) {
    return low + this.below(high - low + 1);
  }

  one(list) {
    return list[this.below(list.length)];
  }

  characters(alphabet, length) {
    let text = "";
    for (let i = 0; i < length; i++) text += alphabet[this.below(alphabet.length)];
    return text;
  }

  uuid() {
    const part = (length) => this.characters(hex, length);
    return `${part(8)}-${part(4)}-4${part(3)}-a${part(3)}-${part(12)}`;
  }

  name() {
    return this.one(terms) + capital(this.one(terms));
  }

  type() {
    return capital(this.one(terms)) + capital(this.one(terms));
  }

  sentence() {
    const words = Array.from({ length: this.between(7, 22) }, () => {
      const kind = this.chance();
      if (kind < 0.1) return `\`${this.name()}\``;
      if (kind < 0.3) return this.one(terms);
      return english[Math.floor(english.length * this.chance() ** 2)];
    });
    return `${capital(words.join(" "))}.`;
  }

  /** About `length` characters of prose, with a heading or a list now and then. */
  prose(length) {
    let text = "";
    while (text.length < length) {
      const kind = this.chance();
      if (kind < 0.1) text += `\n\n## ${capital(this.one(terms))} ${this.one(terms)}\n\n`;
      else if (kind < 0.3) text += `\n- ${this.sentence()}`;
      else text += `${text === "" || text.endsWith("\n") ? "" : " "}${this.sentence()}`;
    }
    return text;
  }

  statement() {
    const [a, b, c] = [this.name(), this.name(), this.name()];
    switch (this.below(9)) {
      case 0:
        return `  const ${a} = await this.${b}.${this.one(terms)}(${c}, ${this.below(500)});`;
      case 1:
        return `  if (!${a}) throw new ${this.type()}Error("${this.one(terms)} ${this.one(terms)} is missing");`;
      case 2:
        return `  // ${this.sentence()}`;
      case 3:
        return `  for (const ${a} of ${b}.${this.one(terms)}s) ${c}.push(${a}.${this.one(terms)});`;
      case 4:
        return `  const { ${this.one(terms)}, ${this.one(terms)} } = ${a}(${b});`;
      case 5:
        return `  expect(${a}.${this.one(terms)}).toEqual({ ${this.one(terms)}: "${this.one(terms)}-${this.below(90)}" });`;
      case 6:
        return `  if (${a}.${this.one(terms)} === ${b}.${this.one(terms)}) {\n    return ${c};\n  }`;
      case 7:
        return `  ${a}.set("${this.one(terms)}", ${b} ?? ${this.below(100)});`;
      default:
        return `  await ${a}(${b}, { ${this.one(terms)}: ${c} });`;
    }
  }

  /** A source file, as an array of lines. */
  source() {
    const lines = Array.from({ length: this.between(3, 9) }, () => {
      const name = this.name();
      return `import { ${name} } from "../${this.one(terms)}/${this.one(terms)}-${this.one(terms)}.js";`;
    });
    for (let i = this.between(5, 30); i > 0; i--) {
      lines.push("", `/** ${this.sentence()} */`);
      lines.push(
        `export async function ${this.name()}(${this.name()}: ${this.type()}): Promise<${this.type()}> {`,
      );
      for (let n = this.between(3, 16); n > 0; n--) lines.push(...this.statement().split("\n"));
      lines.push(`  return ${this.name()};`, "}");
    }
    return lines;
  }
}

/** The state of one conversation: the project it works on, and the records' common fields. */
class Conversation {
  constructor({ seed, session, cwd, branch }) {
    this.author = new Author(seed);
    this.session = session;
    this.cwd = cwd;
    this.branch = branch;
    this.parent = null;
    this.clock = Date.UTC(2026, 1, 2, 9, 0, 0) + (seed % 1000) * 60_000;
    this.tokens = 17_000;
    this.files = Array.from({ length: 60 }, () => ({
      path: `${cwd}/src/${this.author.one(terms)}/${this.author.one(terms)}-${this.author.one(terms)}.ts`,
      lines: this.author.source(),
    }));
  }

  timestamp() {
    this.clock += this.author.between(40, 9_000);
    return new Date(this.clock).toISOString();
  }

  record(fields) {
    const uuid = this.author.uuid();
    const { parent } = this;
    this.parent = uuid;
    const common = { parentUuid: parent, isSidechain: false, userType: "external", cwd: this.cwd };
    const about = { sessionId: this.session, version: "2.1.36", gitBranch: this.branch };
    return JSON.stringify({ ...common, ...about, ...fields, uuid, timestamp: this.timestamp() });
  }

  prompt(length = this.author.between(30, 600)) {
    const message = { role: "user", content: this.author.prose(length) };
    return this.record({ type: "user", message, todos: [], permissionMode: "default" });
  }

  assistant(content) {
    const { author } = this;
    const fresh = author.between(90, 2_500);
    this.tokens += fresh;
    const usage = {
      input_tokens: author.between(1, 9),
      cache_creation_input_tokens: fresh,
      cache_read_input_tokens: this.tokens,
      cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: fresh },
      output_tokens: author.between(1, 700),
      service_tier: "standard",
    };
    const id = `msg_01${author.characters(base64.slice(0, 62), 22)}`;
    const head = { model: "claude-opus-4-6", id, type: "message", role: "assistant" };
    const message = { ...head, content: [content], stop_reason: null, stop_sequence: null, usage };
    const requestId = `req_011${author.characters(base64.slice(0, 62), 21)}`;
    return this.record({ message, requestId, type: "assistant" });
  }

  text(length = this.author.between(60, 1_200)) {
    return this.assistant({ type: "text", text: this.author.prose(length) });
  }

  thinking() {
    const signature = this.author.characters(base64, 4 * this.author.between(80, 260));
    const thinking = this.author.prose(this.author.between(200, 3_000));
    return this.assistant({ type: "thinking", thinking, signature });
  }

  progress(toolUseID, hook, command) {
    const data = { type: "hook_progress", hookEvent: hook.split(":")[0], hookName: hook, command };
    return this.record({ type: "progress", data, parentToolUseID: toolUseID, toolUseID });
  }

  *tool(name, input, content, toolUseResult) {
    const id = `toolu_01${this.author.characters(base64.slice(0, 62), 22)}`;
    yield this.assistant({ type: "tool_use", id, name, input });
    yield this.progress(id, `PreToolUse:${name}`, `${hooks}/before-tool.sh`);
    const answer = { tool_use_id: id, type: "tool_result", content };
    const message = { role: "user", content: [answer] };
    yield this.record({ type: "user", message, toolUseResult, sourceToolAssistantUUID: this.parent });
    if (this.author.chance() < 0.4) yield this.progress(id, `PostToolUse:${name}`, "callback");
  }

  *read() {
    const { author } = this;
    const { path, lines } = author.one(this.files);
    const start = author.chance() < 0.5 ? 0 : author.below(lines.length);
    const part = lines.slice(start, start + author.between(30, 300));
    const numbered = part.map((line, i) => `${String(start + i + 1).padStart(6)}→${line}`).join("\n");
    const file = { filePath: path, content: part.join("\n"), numLines: part.length, startLine: start + 1 };
    const input =
      start === 0 ? { file_path: path } : { file_path: path, offset: start + 1, limit: part.length };
    const result = { type: "text", file: { ...file, totalLines: lines.length } };
    yield* this.tool("Read", input, numbered, result);
  }

  *edit() {
    const { author } = this;
    const file = author.one(this.files);
    const at = author.below(Math.max(1, file.lines.length - 8));
    const before = file.lines.slice(at, at + author.between(2, 8));
    const after = [...before.slice(0, 1), ...author.statement().split("\n"), ...before.slice(2)];
    const original = file.lines.join("\n");
    file.lines.splice(at, before.length, ...after);
    const [oldString, newString] = [before.join("\n"), after.join("\n")];
    const lines = [...before.map((line) => `-${line}`), ...after.map((line) => `+${line}`)];
    const hunk = {
      oldStart: at + 1,
      oldLines: before.length,
      newStart: at + 1,
      newLines: after.length,
      lines,
    };
    const result = { filePath: file.path, oldString, newString, originalFile: original };
    yield* this.tool(
      "Edit",
      { replace_all: false, file_path: file.path, old_string: oldString, new_string: newString },
      `The file ${file.path} has been updated successfully.`,
      { ...result, structuredPatch: [hunk], userModified: false, replaceAll: false },
    );
  }

  *bash() {
    const { author } = this;
    const lines = Array.from({ length: author.between(2, 90) }, () => {
      const file = author.one(this.files).path.slice(this.cwd.length + 1);
      return ` ✓ ${file} (${author.between(1, 40)} tests) ${author.between(1, 900)}ms`;
    });
    const stdout = lines.join("\n");
    const command = `npx vitest run src/${author.one(terms)} 2>&1 | tail -${author.between(10, 90)}`;
    const input = { command, description: `Run the ${author.one(terms)} tests` };
    yield* this.tool("Bash", input, stdout, { stdout, stderr: "", interrupted: false, isImage: false });
  }

  *grep() {
    const { author } = this;
    const matches = Array.from({ length: author.between(2, 40) }, () => {
      const { path, lines } = author.one(this.files);
      const at = author.below(lines.length);
      return `${path}:${at + 1}:${lines[at]}`;
    });
    const content = matches.join("\n");
    const result = { mode: "content", numFiles: 0, filenames: [], content, numLines: matches.length };
    const input = { pattern: author.name(), path: `${this.cwd}/src`, output_mode: "content" };
    yield* this.tool("Grep", input, content, result);
  }

  *turn() {
    const { author } = this;
    const messageId = author.uuid();
    const snapshot = { messageId, trackedFileBackups: {}, timestamp: this.timestamp() };
    yield JSON.stringify({ type: "file-history-snapshot", messageId, snapshot, isSnapshotUpdate: false });
    yield this.prompt();
    for (let steps = author.between(2, 12); steps > 0; steps--) {
      if (author.chance() < 0.2) yield this.thinking();
      if (author.chance() < 0.4) yield this.text();
      const tool = author.chance();
      if (tool < 0.42) yield* this.read();
      else if (tool < 0.62) yield* this.edit();
      else if (tool < 0.87) yield* this.bash();
      else yield* this.grep();
    }
    yield this.text(author.between(400, 2_500));
    const hookInfos = [{ command: `${hooks}/stop.sh` }];
    const about = { subtype: "stop_hook_summary", hookCount: 1, hookInfos, hookErrors: [] };
    yield this.record({ type: "system", ...about, preventedContinuation: false, stopReason: "" });
  }
}

/**
 * @typedef {object} Particulars
 * @property {number} seed
 * @property {string} session Its id, a UUID.
 * @property {string} cwd Working directory, absolute.
 * @property {string} branch
 */

/**
 * The lines of a conversation with tools, without end; the first 896 are 3.2 MB.
 * @param {Particulars} particulars
 * @returns {Generator<string>} Lines without their line feed.
 */
export function* conversation(particulars) {
  const state = new Conversation(particulars);
  for (;;) yield* state.turn();
}

/**
 * The lines of a conversation of nothing but words, without end: a question and an answer in turn, together 2.4 KB.
 * @param {Particulars} particulars
 * @returns {Generator<string>}
 */
export function* chat(particulars) {
  const state = new Conversation(particulars);
  for (;;) {
    yield state.prompt(250);
    yield state.text(900);
  }
}

/**
 * @param {Iterator<string>} lines
 * @param {number} count
 * @returns {string[]} Lines, each with its line feed.
 */
export function take(lines, count) {
  return Array.from({ length: count }, () => `${lines.next().value}\n`);
}

/** A UUID that names the `n`th made-up session. */
export const sessionId = (n) => new Author(n).uuid();
