import { systemClock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { limits } from "../../protocol/limits.ts";
import { readRegular } from "../config/read-file.ts";
import { describeFaults, parseScenario } from "../rehearsal/scenario/parse.ts";
import type { Scenario } from "../rehearsal/scenario/scenario.ts";
import { startRehearsal } from "../rehearsal/rehearsal.ts";
import type { MeshOptions } from "../main.ts";
import { CommandError } from "./failure.ts";

/** The key of a rehearsal model that is served on its own: it guards nothing. */
const KEY = "rehearsal-key";

/** `rehearsal`: serves the rehearsal model on a loopback port until it is stopped. */
export async function rehearsal({ port, scenario }: MeshOptions): Promise<number> {
  const number = Number(port ?? "0");
  if (!/^\d{1,5}$/.test(port ?? "0") || number > 65_535)
    throw new CommandError(`\`${port}\` is not a port: use 0 to 65535`);
  const server = await startRehearsal({
    listen: { host: "127.0.0.1", port: number },
    scenarios: scenario === undefined ? [] : [loadScenario(scenario)],
    apiKey: new Secret(Buffer.from(KEY)),
    seed: "cordon",
    clock: systemClock,
  });
  const at = server.listen as { host: string; port: number };
  process.stdout.write(`${JSON.stringify({ ready: true, baseUrl: `http://${at.host}:${at.port}/v1`, apiKey: KEY })}\n`);
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  await promise;
  await server.close();
  return 0;
}

export function loadScenario(file: string): Scenario {
  const { scenarioBytesMax } = limits.rehearsal;
  const read = readRegular(file, scenarioBytesMax);
  if (!read.ok) {
    const why = read.error === "too large" ? `it is larger than ${scenarioBytesMax} bytes` : read.error;
    throw new CommandError(`cannot read the scenario file \`${file}\`: ${why}: name one that is there`);
  }
  const parsed = parseScenario(read.value.toString("utf8"));
  if (parsed.ok) return parsed.value;
  throw new CommandError(`${describeFaults(parsed.error, file)}: correct the scenario file`);
}
