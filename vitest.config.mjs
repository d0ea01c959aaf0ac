import { defineConfig } from "vitest/config";
import { viteNative } from "./scripts/native.mjs";
import { viteWasm } from "./scripts/wasm.mjs";

export default defineConfig({
  test: {
    // The tests mostly wait for programs they have started: one file per core keeps a small machine busy.
    maxWorkers: "100%",
    projects: [
      {
        plugins: [viteWasm()],
        test: {
          name: "unit",
          include: ["src/**/*.test.ts"],
          setupFiles: ["test/setup.ts"],
          testTimeout: 30_000,
        },
      },
      {
        // Once more, with the primitives that the program is built with.
        plugins: [viteNative()],
        test: {
          name: "native",
          include: [
            "src/crypto/{primitives,seal,testkit,vault,vectors,keyring}*.test.ts",
            "src/packing/crc32.test.ts",
          ],
          setupFiles: ["test/setup.ts"],
          testTimeout: 30_000,
          server: { deps: { inline: ["age-encryption"] } },
        },
      },
      {
        plugins: [viteWasm()],
        test: {
          name: "e2e",
          include: ["test/**/*.test.ts"],
          globalSetup: ["test/build.ts"],
          setupFiles: ["test/setup.ts"],
          // Against what hangs: one test takes two minutes on a machine that starts programs slowly.
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
