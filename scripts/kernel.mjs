// Compiles src/packing/kernel to WebAssembly, for whoever imports it as `kernel.wasm`.
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const root = fileURLToPath(new URL("..", import.meta.url));

let compiled;

/** @returns {Promise<Uint8Array>} */
function compile() {
  compiled ??= (async () => {
    let wasm;
    const options = ["-O3", "--runtime", "stub", "--noAssert", "--outFile", "kernel.wasm"];
    const { error, stderr } = await asc.main(["src/packing/kernel/index.ts", "--baseDir", root, ...options], {
      writeFile: (_name, contents) => {
        wasm = contents;
      },
    });
    if (error) throw new Error(`the kernel does not compile:\n${stderr.toString()}`, { cause: error });
    return wasm;
  })();
  return compiled;
}

/** For esbuild. */
export const esbuildKernel = {
  name: "kernel",
  setup(build) {
    build.onLoad({ filter: /[/\\]packing[/\\]kernel\.wasm$/ }, async () => {
      return { contents: await compile(), loader: "binary" };
    });
    build.onResolve({ filter: /\/kernel\.wasm$/ }, ({ path, resolveDir }) => ({
      path: fileURLToPath(new URL(path, `file://${resolveDir}/`)),
    }));
  },
};

/** For Vite, which runs the tests on the sources. */
export const viteKernel = () => ({
  name: "kernel",
  enforce: "pre",
  resolveId: (id) => (id.endsWith("/kernel.wasm") ? "\0kernel" : null),
  async load(id) {
    if (id !== "\0kernel") return null;
    const bytes = Buffer.from(await compile()).toString("base64");
    return `export default Uint8Array.from(atob("${bytes}"), (c) => c.charCodeAt(0));`;
  },
});
