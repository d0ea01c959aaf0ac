// src/packing/crc32.ts with Node's own zlib, whose place it takes in the program (scripts/native.mjs): in a process
// that has just begun that loop is 8 ms of a save and 15 of a resume. Node has it since 20.15.
import * as zlib from "node:zlib";
import { crc32 as portable } from "../packing/crc32.ts";

export const crc32: typeof portable = (zlib as Partial<typeof zlib>).crc32 ?? portable;
