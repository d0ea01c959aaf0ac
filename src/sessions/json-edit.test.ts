import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { insert, insertInto, removeItems, takeBack } from "./json-edit.ts";

const path = ["hooks", "Stop"];
const ours = { hooks: [{ type: "command", command: "convosync/agent.sh" }] };

/** What a person's file becomes; and that it can be taken back to the byte. */
function edited(text: string): string {
  const one = insertInto(text, path, ours);
  if (!one) throw new Error("nothing could be put in");
  const now = insert(text, one);
  expect(takeBack(now, one)).toBe(text);
  return now;
}

describe("what is put into a file", () => {
  test("looks like what is there", () => {
    expect(
      edited(
        '{\n    "model": "opus",\n    "hooks": {\n        "Stop": [\n            { "a": 1 }\n        ]\n    }\n}\n',
      ),
    ).toBe(`{
    "model": "opus",
    "hooks": {
        "Stop": [
            { "a": 1 },
            {
                "hooks": [
                    {
                        "type": "command",
                        "command": "convosync/agent.sh"
                    }
                ]
            }
        ]
    }
}
`);
    expect(edited('{"hooks":{"Stop":[{"a":1}]}}')).toBe(
      `{"hooks":{"Stop":[{"a":1}, ${JSON.stringify(ours)}]}}`,
    );
    expect(edited('{"a":1}')).toBe(`{"a":1, "hooks": ${JSON.stringify({ Stop: [ours] })}}`);
    expect(edited("{}\n")).toMatch(/^\{\n {2}"hooks": \{\n {4}"Stop": \[\n[\s\S]*\n {2}\}\n\}\n$/);
    expect(edited('{\r\n\t"a": 1\r\n}')).toMatch(/^\{\r\n\t"a": 1,\r\n\t"hooks": \{\r\n\t\t"Stop": \[/);
  });

  test("leaves comments, order and trailing commas where they are", () => {
    const text =
      '// mine\n{ /* b */ "b": [1, 2,], // last\n  "a": "//no", "hooks": { "Stop": [] /* none */, }, }\n';
    const now = edited(text);
    for (const part of ['// mine\n{ /* b */ "b": [1, 2,], // last\n  "a": "//no"', "/* none */, }, }\n"])
      expect(now).toContain(part);
  });

  test("no other thing is taken for a list, nor any text for JSON", () => {
    expect(insertInto('{"hooks":[]}', path, ours)).toBeNull();
    expect(insertInto('{"hooks":{"Stop":"x"}}', path, ours)).toBeNull();
    for (const bad of ["", "{", '{"a":}', "{} x", '{"a" 1}', "[".repeat(1000), '{"a":1 "b":2}'])
      expect(() => insertInto(bad, path, ours)).toThrow(SyntaxError);
  });
});

test("for any JSON, what is put in is there, everything else is the same, and it can be taken back", () => {
  const settings = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }));
  const indents = fc.constantFrom(undefined, 1, 2, 4, "\t");
  fc.assert(
    fc.property(settings, fc.array(fc.jsonValue({ maxDepth: 1 })), indents, (rest, others, indent) => {
      const before = { ...rest, hooks: { Other: [1], Stop: others } };
      const now = edited(JSON.stringify(before, null, indent));
      expect(JSON.parse(now)).toEqual(
        JSON.parse(JSON.stringify({ ...before, hooks: { Other: [1], Stop: [...others, ours] } })),
      );
      expect(JSON.parse(removeItems(now, ["hooks"], "convosync/agent.sh"))).toEqual(
        JSON.parse(JSON.stringify(before)),
      );
    }),
  );
});
