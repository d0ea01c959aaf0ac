import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { ModelServer, type Turn } from "../fixtures/model-server.ts";
import { untilIdle } from "./automatic.ts";
import { done, type Machine, pair } from "./harness.ts";

/** An agent that is installed, and how it is run without a terminal against a model at `url`. */
export interface RealAgent {
  readonly name: string;
  readonly title: string;
  /** Names the program, where it is not the one on the PATH. */
  readonly variable: string;
  run(prompt: string, machine: Machine, url: string): { args: readonly string[]; env: NodeJS.ProcessEnv };
  /** Options by which the session goes on. */
  resume(session: string): readonly string[];
  /** Of a joined conversation it goes on with all of it, or with the branch that was active last. */
  readonly joins?: "all" | "last";
  /** A copy is not merged into what it was copied from. */
  readonly copiesApart?: true;
  /** A call of its own tool that notes "Mend the fence" as to be done, and the file in which it keeps that. */
  readonly notes?: {
    readonly call: NonNullable<Turn["tool"]>;
    readonly path: (machine: Machine, session: string) => string;
  };
  /** A call of its own tool that writes `src/new.ts`. */
  writes(machine: Machine): NonNullable<Turn["tool"]>;
}

/** Which of these words a request lacks; whole requests are too long to be shown. */
export const missing = (request: string, words: readonly string[]): string[] =>
  words.filter((one) => !request.includes(one));

/** What every agent that is supported has to do with its own conversations. */
export function itself(agent: RealAgent): void {
  const program = process.env[agent.variable] ?? agent.name;
  const installed = spawnSync(program, ["--version"]).status === 0;

  /** Gives the longest request that the model was sent. */
  async function ask(
    machine: Machine,
    prompt: string,
    turns: readonly Turn[],
    ...resume: string[]
  ): Promise<string> {
    const model = await ModelServer.start(turns);
    try {
      const { args, env } = agent.run(prompt, machine, model.url);
      const at = args.indexOf("RESUME");
      const words = args.toSpliced(at, 1, ...resume);
      const asked = promisify(execFile)(program, words, {
        cwd: machine.path,
        env: { ...machine.env, ...env },
      });
      asked.child.stdin?.end();
      await asked;
      return [...model.requests].sort((a, b) => b.length - a.length)[0] ?? "";
    } finally {
      await model.stop();
    }
  }

  describe.skipIf(!installed)(
    `${agent.title} itself (skipped where \`${agent.name}\` is not installed; ${agent.variable} names it)`,
    () => {
      test("continues on the laptop what it began on the desktop, and the other way round", async () => {
        const { desktop, laptop } = await pair();
        await ask(desktop, "Write the file.", [{ tool: agent.writes(desktop) }, { text: "It is written." }]);
        expect(desktop.read("src/new.ts")).toBe("export const answer = 42;\n");
        done(await desktop.run("save", "Wrote the answer"));

        const { document } = await laptop.json("resume");
        const id = document["session"] as string;
        const resume = agent.resume(id);
        expect(document["resumeCommand"]).toEqual([agent.name, ...resume]);
        const there = await ask(laptop, "What did we write?", [{ text: "The answer." }], ...resume);
        expect(missing(there, ["Write the file.", "It is written.", laptop.path])).toEqual([]);
        expect(missing(there, [desktop.home])).toEqual([desktop.home]);
        done(await laptop.run("save"));

        done(await desktop.run("resume"));
        const back = await ask(desktop, "And what did I ask there?", [{ text: "That." }], ...resume);
        expect(missing(back, ["What did we write?", "The answer.", desktop.path])).toEqual([]);
        expect(missing(back, [laptop.home])).toEqual([laptop.home]);

        const { document: forked } = await desktop.json("fork", id);
        const fork = agent.resume(forked["session"] as string);
        const other = await ask(desktop, "Another way?", [{ text: "Yes." }], ...fork);
        expect(missing(other, ["Write the file.", "What did we write?"])).toEqual([]);
        for (const machine of [desktop, laptop]) done(await machine.run("verify"));
      });

      test("goes on where its project was moved to, from what nobody had saved", async () => {
        const { desktop } = await pair();
        await ask(desktop, "Write the file.", [{ tool: agent.writes(desktop) }, { text: "It is written." }]);
        done(await desktop.run("save"));
        const id = (await desktop.json("status")).document["current"].session as string;
        const resume = agent.resume(id);
        await ask(desktop, "And now?", [{ text: "Not saved." }], ...resume);
        const there = desktop.movedTo("work/shop");
        const { document } = await there.json("resume");
        expect(document).toMatchObject({ session: id, workingDirectory: there.path });
        const asked = await ask(there, "What was it?", [{ text: "That." }], ...resume);
        expect(missing(asked, ["It is written.", "And now?", "Not saved.", there.path])).toEqual([]);
        expect(missing(asked, [desktop.path])).toEqual([desktop.path]);
        expect((await there.json("save")).document).toMatchObject({ session: id });
      });

      test.runIf(agent.notes !== undefined)(
        "has what is to be done on the other device, too, in its own place",
        async () => {
          const { call, path } = agent.notes!;
          const { desktop, laptop } = await pair();
          await ask(desktop, "Note it.", [{ tool: call }, { text: "Noted." }]);
          done(await desktop.run("save"));
          const id = (await laptop.json("resume")).document["session"] as string;
          expect(readFileSync(path(laptop, id), "latin1")).toContain("Mend the fence");
          await ask(laptop, "What is to be done?", [{ text: "That." }], ...agent.resume(id));
          expect(readFileSync(path(laptop, id), "latin1")).toContain("Mend the fence");
        },
      );

      test.runIf(agent.joins !== undefined)(
        "goes on with a joined conversation, from where it was last active",
        async () => {
          const { desktop, laptop } = await pair();
          await ask(desktop, "First.", [{ text: "Begun." }]);
          done(await desktop.run("save"));
          const { document } = await laptop.json("resume");
          const id = document["session"] as string;
          const resume = agent.resume(id);
          await ask(desktop, "On the desktop.", [{ text: "Here." }], ...resume);
          done(await desktop.run("save"));
          await ask(laptop, "On the laptop.", [{ text: "There." }], ...resume);
          done(await laptop.run("resume", "--merge"));
          done(await laptop.run("save"));
          done(await desktop.run("resume"));
          for (const machine of [laptop, desktop]) {
            const asked = await ask(machine, "And now?", [{ text: "On." }], ...resume);
            expect(missing(asked, ["Begun.", "On the laptop.", "There.", "And now?"])).toEqual([]);
            expect(asked.includes("On the desktop.")).toBe(agent.joins === "all");
          }
          if (agent.copiesApart) return;
          const copy = (await desktop.json("fork", id)).document["session"] as string;
          await ask(desktop, "In the copy.", [{ text: "Copied." }], ...agent.resume(copy));
          done(await desktop.run("save", "--session", copy));
          done(await desktop.run("merge", id, copy));
          const asked = await ask(desktop, "And in the end?", [{ text: "Done." }], ...resume);
          expect(missing(asked, ["Begun.", "There.", "In the copy.", "Copied.", "And in the end?"])).toEqual(
            [],
          );
        },
      );

      test("tells of its turns once its hooks are there, and they are saved", async () => {
        const { desktop } = await pair();
        done(await desktop.run("hooks", "install", "--agent", agent.name));
        await ask(desktop, "Say hello.", [{ text: "Hello." }]);
        const saved = async () => (await desktop.json("list")).document["sessions"] as unknown[];
        for (let tries = 0; tries < 100 && (await saved()).length === 0; tries++) await sleep(100);
        await untilIdle(desktop);
        expect(await saved()).toMatchObject([
          { agent: agent.name, title: expect.stringContaining("Say hello.") },
        ]);
      });
    },
  );
}
