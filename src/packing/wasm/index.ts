// What of packing is in WebAssembly, because a process that has just started runs JavaScript several times slower than
// it will once it is warm, and this is what a save and a resume mostly compute. AssemblyScript, without its runtime.
export {
  end as endBlocks,
  hashAll as hashBlocks,
  learn as learnBlocks,
  next as nextBlock,
  scan,
  setUp as setUpBlocks,
  setUpHashes,
} from "./blocks";
export { found, learnSource, parse, setUp as setUpParse } from "./parse";
export {
  codeTableAt,
  farAddress,
  farAt,
  farLength,
  replay,
  setUp as setUpReplay,
} from "./replay";
export { compress, constantsAt, inputAt, stateAt } from "./sha256";
export { setUp as setUpWindow } from "./window";
