/** What every contender does: from the command to the first line of the same node script, and to its first door request. */
import { createServer } from "node:http";
import type { DoorListener } from "../../../mesh/sandbox/backend.ts";

export interface Sample {
  readonly lineMs: number;
  readonly doorMs: number;
}

export interface Contender {
  readonly name: string;
  /** Name of the one that it is compared with; absent for those that others are compared with. */
  readonly against?: string;
  run(round: number): Promise<Sample>;
}

/** Where a script finds the door: the same place in every container, another one where the host's files are shown. */
export const scriptFor = (door: string): string =>
  `import http from "node:http"; console.log("up"); http.get({ socketPath: "${door}", path: "/" }, (r) => r.resume()).on("error", () => {}); setInterval(() => {}, 1e6);`;

export interface TimedDoor extends DoorListener {
  /** When the first request came. */
  readonly asked: Promise<number>;
}

export function timedDoor(): TimedDoor {
  const server = createServer((_, response) => response.end());
  const asked = new Promise<number>((resolve) => server.once("request", () => resolve(performance.now())));
  return {
    asked,
    listen: (path) => new Promise((resolve) => server.listen(path, () => resolve())),
    close: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
