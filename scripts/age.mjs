// Has age-encryption find src/native-crypto.ts where it asks for a package of @noble.
import { fileURLToPath } from "node:url";

const native = fileURLToPath(new URL("../src/native-crypto.ts", import.meta.url));
const noble = /^@noble\//;
const age = /[/\\]age-encryption[/\\]dist[/\\]/;

/** For esbuild. */
export const esbuildAge = {
  name: "age",
  setup(build) {
    build.onResolve({ filter: noble }, ({ importer }) => (age.test(importer) ? { path: native } : undefined));
  },
};

/** For Vite, which must be told to look into that package at all (`server.deps.inline`). */
export const viteAge = () => ({
  name: "age",
  enforce: "pre",
  resolveId: (id, importer) => (noble.test(id) && age.test(importer ?? "") ? native : null),
});
