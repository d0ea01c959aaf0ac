// Puts the modules of src/native where the program, and age-encryption in it, would have those that run anywhere.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const path = (name) => fileURLToPath(new URL(`../src/native/${name}.ts`, import.meta.url));
const noble = path("noble");
/** Of ours, by the end of their names. */
const ours = { "/primitives.ts": path("primitives"), "/crc32.ts": path("crc32") };
const asked = /^@noble\/|^convosync:|\/(?:x25519\.js|primitives\.ts|crc32\.ts)$/;
/** Those that take for given what is there everywhere: streams, and keys of Web Crypto, which nobody hands them. */
const global = /[/\\]age-encryption[/\\]dist[/\\](?:index|io|recipients|stream)\.js$/;
const streams = "convosync:streams";
const withoutGlobals = (code) =>
  `import { ReadableStream, Response, TransformStream } from "${streams}";\nconst CryptoKey = undefined;\n${code}`;

/** What is loaded for `id`, of those that are `asked` for; undefined when it is what it says. */
function instead(id, importer) {
  if (id === streams) return path("streams");
  if (/[/\\]age-encryption[/\\]dist[/\\]/.test(importer)) return noble;
  if (/[/\\]src[/\\]native[/\\]/.test(importer)) return undefined;
  return ours[id.slice(id.lastIndexOf("/"))];
}

/** For esbuild. */
export const esbuildNative = {
  name: "native",
  setup(build) {
    build.onResolve({ filter: asked }, ({ path: id, importer }) => {
      const found = instead(id, importer);
      return found && { path: found };
    });
    build.onLoad({ filter: global }, async ({ path }) => ({
      contents: withoutGlobals(await readFile(path, "utf8")),
    }));
  },
};

/** For Vite, which must be told to look into age-encryption at all (`server.deps.inline`). */
export const viteNative = () => ({
  name: "native",
  enforce: "pre",
  resolveId: (id, importer = "") => (asked.test(id) ? (instead(id, importer) ?? null) : null),
  transform: (code, id) => (global.test(id) ? withoutGlobals(code) : null),
});
