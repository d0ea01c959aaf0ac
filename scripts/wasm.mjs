// Compiles src/packing/wasm to WebAssembly, for whoever imports it as `module.wasm`; and to JavaScript that does the same,
// as text, for whoever imports it as `module.script`.
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import binaryen from "assemblyscript/binaryen";
import { transform } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

/** @returns {Promise<Uint8Array>} */
async function compile(...more) {
  let wasm;
  const options = ["-O3", "--runtime", "stub", "--noAssert", "--outFile", "module.wasm", ...more];
  const { error, stderr } = await asc.main(["src/packing/wasm/index.ts", "--baseDir", root, ...options], {
    writeFile: (_name, contents) => {
      wasm = contents;
    },
  });
  if (error) throw new Error(`the WebAssembly does not compile:\n${stderr.toString()}`, { cause: error });
  return wasm;
}

/** What JavaScript has no operators for. */
const plain = ["bulk-memory", "sign-extension", "nontrapping-f2i"].flatMap((name) => ["--disable", name]);

/** A function's body that returns what an instance of the module exports. */
async function compileToScript() {
  const module = binaryen.readBinary(await compile(...plain));
  const { code } = await transform(module.emitAsmjs(), {
    ...{ format: "iife", globalName: "exports", minify: true, legalComments: "none", charset: "ascii" },
    target: "es2022",
  });
  module.dispose();
  return `${code.trim()}return exports`;
}

const once = (make) => {
  let made;
  return () => {
    made ??= make();
    return made;
  };
};
const wasm = once(() => compile());
const script = once(compileToScript);

/** For esbuild. */
export const esbuildWasm = {
  name: "wasm",
  setup(build) {
    build.onLoad({ filter: /[/\\]packing[/\\]module\.wasm$/ }, async () => {
      return { contents: await wasm(), loader: "binary" };
    });
    build.onLoad({ filter: /[/\\]packing[/\\]module\.script$/ }, async () => {
      return { contents: await script(), loader: "text" };
    });
    build.onResolve({ filter: /\/module\.(?:wasm|script)$/ }, ({ path, resolveDir }) => ({
      path: fileURLToPath(new URL(path, `file://${resolveDir}/`)),
    }));
  },
};

/** For Vite, which runs the tests on the sources. */
export const viteWasm = () => ({
  name: "wasm",
  enforce: "pre",
  resolveId: (id) =>
    /\/module\.(?:wasm|script)$/.test(id) ? `\0${id.slice(id.lastIndexOf(".") + 1)}` : null,
  async load(id) {
    if (id === "\0script") return `export default ${JSON.stringify(await script())};`;
    if (id !== "\0wasm") return null;
    const bytes = Buffer.from(await wasm()).toString("base64");
    return `export default Uint8Array.from(atob("${bytes}"), (c) => c.charCodeAt(0));`;
  },
});
