import { once } from "node:events";
import type { Isolation, SandboxBackend } from "../../../mesh/sandbox/backend.ts";
import { specOf } from "../../contract/sandbox-fixture.ts";
import { type Contender, scriptFor, timedDoor } from "./trial.ts";

const script = scriptFor("/run/cordon/door.sock");

export interface Plan {
  readonly name: string;
  readonly against: string;
  readonly backend: SandboxBackend;
  readonly isolation: Isolation;
  /** Names the volume of a round; the same for all: it stands already. */
  volume(round: number): string;
}

/** A sandbox behind the whole fence. */
export const fenced = ({ name, against, backend, isolation, volume }: Plan): Contender => ({
  name,
  against,
  async run(round) {
    const door = timedDoor();
    const from = performance.now();
    const sandbox = await backend.start(specOf(script, { door, isolation, volume: volume(round) }));
    await once(sandbox.output, "data");
    const sample = { lineMs: performance.now() - from, doorMs: (await door.asked) - from };
    sandbox.output.resume();
    await sandbox.stop(0);
    return sample;
  },
});
