import { Exit } from "../errors.ts";
import { withRepository } from "../sessions/repository.ts";
import { verify } from "../sessions/verify.ts";
import { safeText } from "../ui/safe-text.ts";
import { plural } from "../ui/time.ts";
import type { Invocation } from "../world.ts";

export default async function verifyCommand(
  { world, terminal }: Invocation,
  _args: readonly string[],
  options: { local?: boolean },
): Promise<number> {
  const result = await withRepository(world, (context) =>
    verify(context, { local: options.local === true }, () => undefined),
  );
  const ok = result.problems.length === 0;
  for (const { code, where, message } of result.problems)
    terminal.print(`${terminal.style("red", code)}  ${safeText(where)}: ${safeText(message)}`);
  const scope = result.remote ? `here and on ${result.remote}` : "here";
  if (ok)
    terminal.step(
      `${plural(result.sessions, "session")}, ${plural(result.objects, "object")}: all signatures and hashes hold, ${scope}`,
    );
  if (result.problems.some(({ code }) => code === "missing-object"))
    terminal.detail("what is lost here may be on the remote: git convosync doctor --fix");
  terminal.document({ ok, problems: result.problems });
  return ok ? Exit.done : Exit.integrity;
}
