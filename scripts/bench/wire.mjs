// Bytes on the wire, counted at the far end of a `file://` remote, where git starts receive-pack or upload-pack: what
// lies in the repositories afterwards says nothing, for thin packs are completed on arrival.
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * @typedef {object} Traffic
 * @property {number} sent By the client, in bytes.
 * @property {number} received By the client, in bytes.
 * @property {number} connections
 */

/** Counts all that one clone exchanges with its remote. */
export class Wire {
  /**
   * @param {import("./lab.mjs").Machine} machine
   * @param {string} work A clone, whose `origin` is a `file://` URL.
   */
  constructor(machine, work) {
    const folder = machine.lab.folder("wire");
    this.log = join(folder, "log");
    mkdirSync(this.log);
    for (const service of ["receive-pack", "upload-pack"]) {
      const script = join(folder, service);
      const text = [
        "#!/bin/sh",
        `at=$(mktemp -d "${this.log}/XXXXXXXX") || exit 1`,
        `tee "$at/sent" | git ${service} "$@" | tee "$at/received"`,
        "",
      ].join("\n");
      writeFileSync(script, text, { mode: 0o755 });
      machine.git(work, "config", `remote.origin.${service.replace("-", "")}`, `'${script}'`);
    }
  }

  /**
   * What goes over the wire while `work` is done.
   * @param {() => unknown} work
   * @returns {Traffic}
   */
  during(work) {
    rmSync(this.log, { recursive: true, force: true });
    mkdirSync(this.log);
    work();
    const connections = readdirSync(this.log);
    const sum = (name) => connections.reduce((all, one) => all + statSync(join(this.log, one, name)).size, 0);
    return { sent: sum("sent"), received: sum("received"), connections: connections.length };
  }
}
