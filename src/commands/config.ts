import { ConvosyncError, Exit } from "../errors.ts";
import { readSettings, requireSetting, type SettingView, writeSetting } from "../sessions/config.ts";
import { variableOf } from "../sessions/settings.ts";
import { safeText } from "../ui/safe-text.ts";
import type { Terminal } from "../ui/terminal.ts";
import type { Invocation } from "../world.ts";

interface Options {
  global?: boolean;
  unset?: boolean;
}

export default async function configCommand(
  { world, terminal }: Invocation,
  args: readonly string[],
  options: Options,
): Promise<number> {
  const [name, value] = args;
  const writing = value !== undefined || options.unset === true;
  if ((options.unset && (name === undefined || value !== undefined)) || (options.global && !writing)) {
    throw new ConvosyncError("usage", Exit.usage, "this needs a setting's name, and a value or --unset", [
      "for instance: git convosync config retentionDays 60 --global",
    ]);
  }
  if (name !== undefined && writing) {
    const setting = requireSetting(name);
    const view = await writeSetting(world, setting, value ?? null, { global: options.global === true });
    terminal.step(
      value === undefined ? `Unset ${setting.name}` : `Set ${setting.name} to ${safeText(value, 120)}`,
    );
    if (view.source === "environment") terminal.warn(`${view.origin} is set and wins over it`);
    terminal.document({ setting: documentOf(view) });
    return Exit.done;
  }
  const { settings, unknown } = await readSettings(world);
  if (name !== undefined) {
    const setting = requireSetting(name);
    const view = settings.find((one) => one.setting === setting)!;
    if (terminal.json) terminal.document({ setting: documentOf(view) });
    else {
      for (const one of view.values.length > 0 ? view.values : [setting.default ?? ""])
        terminal.print(safeText(one, 4096));
      terminal.note(terminal.style("dim", `${setting.what} · ${whence(view)}`));
    }
    warn(terminal, view);
    return Exit.done;
  }
  for (const view of settings) print(terminal, view);
  for (const one of unknown) terminal.warn(`no setting is called ${safeText(one, 100)}`);
  terminal.document({ settings: settings.map(documentOf), unknown });
  return Exit.done;
}

function print(terminal: Terminal, view: SettingView): void {
  const { setting, values } = view;
  const value =
    values.length > 0 ? values.map((one) => safeText(one, 80)).join(", ") : (setting.default ?? "–");
  const shown = view.source === "default" ? value : terminal.style("bold", value);
  terminal.print(
    `${terminal.style("yellow", setting.name.padEnd(16))}${shown}  ${terminal.style("dim", whence(view))}`,
  );
  terminal.printBeside("".padEnd(16), 16, setting.what, "dim");
  warn(terminal, view);
}

const whence = (view: SettingView): string =>
  view.source === "default" ? "default" : `${view.source}: ${safeText(view.origin ?? "", 120)}`;

function warn(terminal: Terminal, { setting, problem }: SettingView): void {
  if (problem !== null)
    terminal.warn(`${setting.name} ${problem}; until it is, the default or no limit counts`);
}

function documentOf(view: SettingView): Record<string, unknown> {
  const { setting, values, source, origin, problem } = view;
  const value = setting.type === "patterns" ? values : (values[0] ?? null);
  return {
    name: setting.name,
    value,
    default: setting.default,
    source,
    origin,
    variable: setting.env ? variableOf(setting.name) : null,
    what: setting.what,
    problem,
  };
}
