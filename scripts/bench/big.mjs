// Big repositories: a save must not notice them, except where git itself has to look at every file.
import { join } from "node:path";
import { BareGit } from "./bare-git.mjs";
import { chat, sessionId, take } from "./conversation.mjs";
import { Project } from "./fixtures.mjs";
import { interleave, rowsOf } from "./rows.mjs";

/**
 * @param {import("./lab.mjs").Lab} lab
 * @returns {import("./rows.mjs").Row[]}
 */
export default function big(lab) {
  const small = new Project(lab, "small").init();
  const files = new Project(lab, "files", { remote: manyFiles(lab) }).init();
  const objects = new Project(lab, "objects", { remote: manyObjects(lab) }).init();
  const bare = new BareGit(lab);
  const sessions = new Map(
    [small, files, objects].map((project) => {
      const particulars = { seed: 21, session: sessionId(1), cwd: project.work, branch: "main" };
      return [project, chat(particulars)];
    }),
  );
  const save = (project, ...args) => {
    project.append(sessionId(1), take(sessions.get(project), 4));
    return project.convosync("save", ...args).ms;
  };
  const withCode = (project) => (run) => {
    project.edit(`change ${run}`);
    return save(project, `Step ${run}`);
  };
  for (const project of sessions.keys()) {
    save(project, "--no-code");
    withCode(project)(-1);
  }
  const samples = interleave(lab.options.runs, {
    small: () => save(small, "--no-code"),
    files: () => save(files, "--no-code"),
    objects: () => save(objects, "--no-code"),
    status: () => files.machine.run(files.work, "git", ["status", "--porcelain"]).ms,
    push: () => bare.push(4_000),
    smallCode: withCode(small),
    filesCode: withCode(files),
    objectsCode: withCode(objects),
  });
  const row = rowsOf("big", "ms");
  const alone = { name: "in a small repository", samples: samples.small };
  const coded = { ...alone, samples: samples.smallCode };
  const scan = samples.status.map((ms, run) => ms + samples.push[run]);
  const look = { name: "git status there + bare git push", samples: scan };
  return [
    row("save --no-code, 100,000 files", alone, samples.files, { times: 1.2 }),
    row("save --no-code, 1,000,000 objects", alone, samples.objects, { times: 1.2 }),
    row("save, 1,000,000 objects", coded, samples.objectsCode, { times: 1.2 }),
    row("save, 100,000 files", coded, samples.filesCode),
    row("save, 100,000 files", look, samples.filesCode, { plus: 250 }),
  ];
}

/** A remote whose `main` has 1,000 folders of 100 files. */
function manyFiles(lab) {
  const files = Array.from({ length: 100_000 }, (_, n) => {
    const path = `src/${Math.floor(n / 100)}/file-${n}.ts`;
    return `M 100644 inline ${path}\n${data(`export const value = ${n};\n`)}`;
  });
  return imported(lab, "files", [commit(1, files)]);
}

/** A remote with 10,000 commits of 97 new blobs and three trees each. */
function manyObjects(lab) {
  const commits = Array.from({ length: 10_000 }, (_, n) => {
    const files = Array.from({ length: 97 }, (_, i) => {
      return `M 100644 inline src/${n % 50}/file-${i}.ts\n${data(`// ${n} ${i}\n`)}`;
    });
    return commit(n, files);
  });
  return imported(lab, "objects", commits);
}

const data = (text) => `data ${text.length}\n${text}\n`;

function commit(n, files) {
  const who = `Bench <bench@example.org> ${1_700_000_000 + n} +0000`;
  return `commit refs/heads/main\nauthor ${who}\ncommitter ${who}\n${data(`Commit ${n}`)}${files.join("")}`;
}

/** A bare repository made of a fast-import stream. */
function imported(lab, name, commits) {
  const machine = lab.machine(name);
  const remote = join(lab.folder(name), "shop.git");
  machine.git(lab.dir, "init", "-q", "--bare", "-b", "main", remote);
  machine.run(remote, "git", ["fast-import", "--quiet"], {}, commits.join(""));
  machine.git(remote, "repack", "-a", "-d", "-q");
  return remote;
}
