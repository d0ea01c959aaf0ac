import { ConvosyncError, Exit } from "../errors.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Questions to a person. Each one names the flag that answers it: without a terminal the question is an
 * error that says so, because a prompt that meets a pipe picks its first option or dies (clack does both).
 */
export interface Question {
  readonly message: string;
  /** The flag that answers it, as a person would type it. */
  readonly flag: string;
}

function needAnswer(question: Question): ConvosyncError {
  return new ConvosyncError(
    "answer-needed",
    Exit.stopped,
    `${question.message} (there is no terminal to ask on)`,
    [`answer with ${question.flag}`],
  );
}

const cancelled = (): ConvosyncError =>
  new ConvosyncError("cancelled", Exit.cancelled, "cancelled; nothing was changed");

async function ask<T>(
  terminal: Terminal,
  question: Question,
  show: (clack: typeof import("@clack/prompts"), output: NodeJS.WriteStream) => Promise<T | symbol>,
): Promise<T> {
  if (!terminal.interactive) throw needAnswer(question);
  const clack = await import("@clack/prompts");
  const output = terminal.streams.stderr as NodeJS.WriteStream;
  const answer = await show(clack, terminal.unicode ? output : inAscii(output));
  if (clack.isCancel(answer)) throw cancelled();
  return answer as T;
}

/**
 * What frames, marks and key names are drawn with, each beside what stands for it in ASCII: one column for one, as
 * clack counts them to know what to draw again. It looks for Unicode in `TERM` alone.
 */
const drawing = new Map(
  "│|┌+┐+└+┘+├+┤+╭+╮+╰+╯+─-◆?◇*●>○ ■x▲!◼x◻ ▪*✓*↑^↓v→>•-·-…~–-—-"
    .match(/../gu)!
    .map((two): [string, string] => [[...two][0]!, [...two][1]!]),
);

/** The same terminal, in which whatever is written for people is drawn in ASCII. */
function inAscii(output: NodeJS.WriteStream): NodeJS.WriteStream {
  const draw = (text: string): string => text.replace(/[^\0-\x7f]/gu, (mark) => drawing.get(mark) ?? mark);
  return new Proxy(output, {
    get(stream, name) {
      const value: unknown = Reflect.get(stream, name, stream);
      if (name !== "write") return typeof value === "function" ? value.bind(stream) : value;
      return (chunk: unknown, ...rest: never[]) =>
        stream.write(typeof chunk === "string" ? draw(chunk) : (chunk as Uint8Array), ...rest);
    },
  });
}

export function confirm(terminal: Terminal, question: Question, initialValue = false): Promise<boolean> {
  return ask<boolean>(terminal, question, (clack, output) =>
    clack.confirm({ message: question.message, initialValue, output }),
  );
}

export function text(terminal: Terminal, question: Question, initialValue: string): Promise<string> {
  return ask<string>(terminal, question, (clack, output) =>
    clack.text({ message: question.message, initialValue, output }),
  );
}

/** Asks for a secret; what is typed is not shown. */
export function secret(terminal: Terminal, question: Question): Promise<string> {
  return ask<string>(terminal, question, (clack, output) =>
    clack.password({ message: question.message, output }),
  );
}

/** One answer of several. */
export interface Option {
  readonly value: string;
  readonly label: string;
  readonly hint?: string;
}

/** Asks for one of several answers, under a frame with what a person should know first. */
export function choose(
  terminal: Terminal,
  question: Question,
  options: readonly Option[],
  frame?: { readonly title: string; readonly lines: readonly string[] },
): Promise<string> {
  return ask<string>(terminal, question, (clack, output) => {
    if (frame) clack.note(frame.lines.join("\n"), frame.title, { output, format: (line) => line });
    return clack.select({ message: question.message, options: [...options], output });
  });
}

/** Asks for one of many: what is typed narrows the list, also by words that are not shown. */
export function pick(
  terminal: Terminal,
  question: Question,
  options: readonly (Option & { readonly words: string })[],
): Promise<string> {
  return ask<string>(terminal, question, (clack, output) => {
    const words = new Map(options.map((one) => [one.value, one.words.toLowerCase()]));
    const filter = (search: string, { value }: { value: string }): boolean =>
      search
        .toLowerCase()
        .split(/\s+/)
        .every((word) => words.get(value)?.includes(word));
    const listed = options.map(({ value, label, hint }) => ({ value, label, ...(hint && { hint }) }));
    const { message } = question;
    return clack.autocomplete({
      message,
      options: listed,
      filter,
      maxItems: 8,
      placeholder: "type to filter",
      output,
    });
  });
}

/** Asks which of several things to do. */
export function several(
  terminal: Terminal,
  question: Question,
  options: readonly Option[],
  initialValues: readonly string[],
): Promise<string[]> {
  return ask<string[]>(terminal, question, (clack, output) =>
    clack.multiselect({
      message: question.message,
      options: [...options],
      initialValues: [...initialValues],
      required: false,
      output,
    }),
  );
}
