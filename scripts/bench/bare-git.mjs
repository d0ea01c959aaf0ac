// git alone, moving as many bytes as we do: what no time of ours can be below.
import { randomBytes } from "node:crypto";

/** A clone and its remote in which refs are pushed and fetched that are one commit with one blob. */
export class BareGit {
  /** @param {import("./lab.mjs").Lab} lab */
  constructor(lab) {
    this.machine = lab.machine("bare");
    this.remote = lab.remote();
    this.work = this.machine.clone(this.remote);
    this.refs = 0;
  }

  /** Milliseconds of the push of a ref with one new blob of so many random bytes. */
  push(bytes) {
    const ref = `refs/blob/${++this.refs}`;
    const blob = this.machine
      .run(this.work, "git", ["hash-object", "-w", "--stdin"], {}, randomBytes(bytes))
      .stdout.toString()
      .trim();
    const entry = `100644 blob ${blob}\tblob\n`;
    const tree = this.machine.run(this.work, "git", ["mktree"], {}, entry).stdout.toString().trim();
    const commit = this.machine.git(this.work, "commit-tree", "-m", "blob", tree);
    this.machine.git(this.work, "update-ref", ref, commit);
    return this.machine.run(this.work, "git", ["push", "-q", "origin", `${ref}:${ref}`]).ms;
  }

  /** Milliseconds of the fetch of the last pushed ref into a clone that does not have it. */
  fetch(clone) {
    const ref = `refs/blob/${this.refs}`;
    return this.machine.run(clone, "git", ["fetch", "-q", "--no-tags", "origin", `${ref}:${ref}`]).ms;
  }
}
