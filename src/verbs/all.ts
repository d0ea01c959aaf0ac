import { arranging } from "./arranging.ts";
import { automatic } from "./automatic.ts";
import { everyday } from "./everyday.ts";
import { reading } from "./reading.ts";
import { upkeep } from "./upkeep.ts";
import type { Section, Verb } from "./verb.ts";

export const verbs: readonly Verb[] = [...everyday, ...reading, ...arranging, ...automatic, ...upkeep];

/** In the order of the overview. */
export const sections: readonly Section[] = ["Every day", "Read", "Arrange", "Automatic", "Set up and keep"];
