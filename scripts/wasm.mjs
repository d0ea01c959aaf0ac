// Compiles src/packing/wasm to WebAssembly, for whoever imports it as `module.wasm`.
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const root = fileURLToPath(new URL("..", import.meta.url));

let compiled;

/** @returns {Promise<Uint8Array>} */
function compile() {
  compiled ??= (async () => {
    let wasm;
    const options = ["-O3", "--runtime", "stub", "--noAssert", "--outFile", "module.wasm"];
    const { error, stderr } = await asc.main(["src/packing/wasm/index.ts", "--baseDir", root, ...options], {
      writeFile: (_name, contents) => {
        wasm = contents;
      },
    });
    if (error) throw new Error(`the WebAssembly does not compile:\n${stderr.toString()}`, { cause: error });
    return wasm;
  })();
  return compiled;
}

/** For esbuild. */
export const esbuildWasm = {
  name: "wasm",
  setup(build) {
    build.onLoad({ filter: /[/\\]packing[/\\]module\.wasm$/ }, async () => {
      return { contents: await compile(), loader: "binary" };
    });
    build.onResolve({ filter: /\/module\.wasm$/ }, ({ path, resolveDir }) => ({
      path: fileURLToPath(new URL(path, `file://${resolveDir}/`)),
    }));
  },
};

/** For Vite, which runs the tests on the sources. */
export const viteWasm = () => ({
  name: "wasm",
  enforce: "pre",
  resolveId: (id) => (id.endsWith("/module.wasm") ? "\0wasm" : null),
  async load(id) {
    if (id !== "\0wasm") return null;
    const bytes = Buffer.from(await compile()).toString("base64");
    return `export default Uint8Array.from(atob("${bytes}"), (c) => c.charCodeAt(0));`;
  },
});
