/** What the engine keeps for sandboxes, found again by its labels, never by a name that anybody could have chosen. */
import { limits } from "../../../protocol/limits.ts";
import type { Clock } from "../../../lib/clock.ts";
import { SandboxError } from "../backend.ts";
import { Listed, read, Volumes } from "./answers.ts";
import { LABEL_INSTALLATION, LABEL_SANDBOX } from "./container.ts";
import { type DockerEngine, reasonIn } from "./engine.ts";

const PAUSE_MS = 50;

interface Kept {
  /** In the order in which they can go: a network or a volume has users until its containers are gone. */
  readonly kind: "container" | "network" | "volume";
  readonly path: string;
  readonly sandbox: string;
}

export class Resources {
  readonly #engine: DockerEngine;
  readonly #installation: string;
  readonly #clock: Clock;

  constructor(engine: DockerEngine, installation: string, clock: Clock) {
    this.#engine = engine;
    this.#installation = installation;
    this.#clock = clock;
  }

  /** Of this installation; `sandbox`: of that one only. */
  async list(sandbox?: string): Promise<readonly Kept[]> {
    const own = `${LABEL_INSTALLATION}=${this.#installation}`;
    const label = [own, ...(sandbox === undefined ? [] : [`${LABEL_SANDBOX}=${sandbox}`])];
    const filters = `filters=${encodeURIComponent(JSON.stringify({ label }))}`;
    const [containers, networks, volumes] = await Promise.all([
      this.#engine.ask("GET", `/containers/json?all=1&${filters}`).then((answer) => read(Listed, answer)),
      this.#engine.ask("GET", `/networks?${filters}`).then((answer) => read(Listed, answer)),
      this.#engine.ask("GET", `/volumes?${filters}`).then((answer) => read(Volumes, answer)),
    ]);
    type Labelled = (typeof containers)[number];
    const kept = (kind: Kept["kind"], path: string, { Labels }: Pick<Labelled, "Labels">): Kept => ({
      ...{ kind, path },
      sandbox: Labels?.[LABEL_SANDBOX] ?? "",
    });
    return [
      ...containers.map((each) => kept("container", `/containers/${each.Id}?force=1&v=1`, each)),
      ...networks.map((each) => kept("network", `/networks/${each.Id}`, each)),
      ...(volumes.Volumes ?? []).map((each) => kept("volume", `/volumes/${each.Name}`, each)),
    ].filter((each) => each.sandbox !== "");
  }

  /** Throws SandboxError naming what is left. */
  async remove(sandbox: string): Promise<void> {
    for (const { kind, path } of await this.list(sandbox)) await this.removeOne(kind, path, sandbox);
  }

  async removeOne(kind: Kept["kind"], path: string, sandbox: string): Promise<void> {
    const deadline = this.#clock.monotonicMs() + limits.sandbox.toolTimeoutMs;
    for (;;) {
      const { status, body } = await this.#engine.try("DELETE", path);
      if (status < 400 || status === 404) return;
      // 409: another removal of it is under way.
      if (status === 409 && kind === "container") return;
      // Its last user is on the way out.
      if ((status === 403 || status === 409) && this.#clock.monotonicMs() < deadline) {
        await this.#clock.sleep(PAUSE_MS);
        continue;
      }
      const what = kind === "container" ? "" : `the ${kind} of `;
      const why = reasonIn(body);
      throw new SandboxError(`docker did not remove ${what}sandbox \`${sandbox}\`: ${why}`, "restart docker");
    }
  }
}
