// A vault with 1,000 sessions on three devices, and what is measured while it grows.
import { pathToFileURL } from "node:url";
import { chat, sessionId, take } from "./conversation.mjs";
import { Project } from "./fixtures.mjs";
import { Wire } from "./wire.mjs";

/**
 * @typedef {object} Adverts What somebody's push of an ordinary commit receives.
 * @property {number} sessions
 * @property {number} without From a remote without our refs.
 * @property {number} with
 *
 * @typedef {object} Many
 * @property {Project[]} devices All of one vault, each knowing all sessions.
 * @property {number} sessions
 * @property {Adverts[]} adverts
 * @property {{ sessions: number, replicas: number, joined: number, received: number }[]} listings What a fresh device
 *   fetches: to join, which brings the list, and for the list alone.
 * @property {Project} fresh A device that has joined and fetched the list, but no session.
 * @property {Wire} wire Of the fresh device.
 */

/**
 * @param {import("./lab.mjs").Lab} lab
 * @returns {Many}
 */
export const manySessions = (lab) => lab.once("many sessions", () => build(lab));

function build(lab) {
  const [few, fullReplica, some, all] = lab.options.quick ? [5, 20, 40, 99] : [5, 64, 200, 1000];
  const first = new Project(lab, "desktop").init();
  const bystander = new Bystander(lab, first.remote);
  let made = 0;
  const saveUpTo = (device, count) => {
    for (; made < count; made++) device.append(sessionId(made), lines(made, device));
    device.convosync("save", "--all-sessions", "--no-code");
  };
  const adverts = [];
  saveUpTo(first, few);
  adverts.push(bystander.push(few));
  saveUpTo(first, fullReplica);
  const listings = [join(lab, first, "tablet", fullReplica, 1)];
  saveUpTo(first, some);
  adverts.push(bystander.push(some));
  saveUpTo(first, Math.ceil(all / 3));
  const second = new Project(lab, "laptop", first).init();
  saveUpTo(second, Math.ceil((all * 2) / 3));
  const third = new Project(lab, "server", first).init();
  saveUpTo(third, all);
  const devices = [first, second, third];
  // Twice, because what may be folded depends on how many replicas a device has heard of.
  for (const device of [...devices, ...devices]) device.convosync("sync");
  adverts.push(bystander.push(all));
  const last = join(lab, first, "phone", all, 3);
  listings.push(last);
  return { devices, sessions: all, adverts, listings, fresh: last.device, wire: last.wire };
}

/** A short conversation: 12 KB. */
function lines(n, { work }) {
  return take(chat({ seed: 1000 + n, session: sessionId(n), cwd: work, branch: "main" }), 10);
}

function join(lab, first, name, sessions, replicas) {
  const device = new Project(lab, name, first);
  const wire = new Wire(device.machine, device.work);
  const { received: joined } = wire.during(() => device.init());
  // Joining brings the list: what it costs is what comes once more where it is gone.
  for (const ref of device.git("for-each-ref", "--format=%(refname)", "refs/convosync/*/head/*").split("\n"))
    device.git("update-ref", "-d", ref);
  device.git("repack", "-q", "-a", "-d");
  device.git("prune", "--expire=now");
  const { received } = wire.during(() => device.convosync("list", "--fetch"));
  return { device, wire, sessions, replicas, joined, received };
}

/** Somebody who does not use ConvoSync, with a clone of this remote and one of a remote that has none of our refs. */
class Bystander {
  constructor(lab, remote) {
    this.machine = lab.machine("bystander");
    this.plain = lab.remote();
    this.machine.git(this.plain, "fetch", "-q", pathToFileURL(remote).href, "+refs/heads/*:refs/heads/*");
    this.clones = [remote, this.plain].map((one, i) => {
      const work = this.machine.clone(one, `shop-${i}`);
      return { work, wire: new Wire(this.machine, work) };
    });
    this.pushes = 0;
  }

  push(sessions) {
    this.pushes++;
    const [ours, without] = this.clones.map(({ work, wire }) => {
      this.machine.git(work, "commit", "-q", "--allow-empty", "-m", `Commit ${this.pushes}`);
      return wire.during(() => this.machine.git(work, "push", "-q", "origin", "HEAD:bystander")).received;
    });
    return { sessions, with: ours, without };
  }
}
