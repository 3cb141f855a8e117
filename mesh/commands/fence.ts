import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import type { Audit } from "../audit/audit.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Monitor } from "../monitor/monitor.ts";
import { type Isolation, SandboxError, type SandboxBackend } from "../sandbox/backend.ts";
import { fenceHolds, probeFence } from "../sandbox/probe.ts";

interface Parts {
  readonly clock: Clock;
  readonly id: Id;
  readonly audit: Audit;
  readonly monitor: Monitor;
}

/** No agent starts behind a fence that cannot be built, or out of which the probe found a way. */
export async function requireFence(fleet: Fleet, backend: SandboxBackend, parts: Parts): Promise<void> {
  for (const isolation of new Set(fleet.agents.map((agent) => agent.isolation))) {
    const [first, ...more] = await backend.shortfalls(isolation);
    if (first)
      throw new SandboxError(
        [first, ...more].map((shortfall) => shortfall.what).join("; "),
        [...new Set([first, ...more].map((shortfall) => shortfall.remedy))].join("; "),
      );
    await probe(isolation, backend, parts);
  }
}

async function probe(isolation: Isolation, backend: SandboxBackend, parts: Parts): Promise<void> {
  const results = await probeFence(backend, parts, isolation);
  const escaped = results.filter((result) => !result.stopped);
  await parts.audit.record({
    kind: "fence.probed",
    subject: "mesh",
    detail: {
      backend: backend.name,
      isolation,
      attempts: results.length,
      escaped: escaped.map((result) => result.attempt),
    },
  });
  parts.monitor.emit("fence.probed", null, { isolation, attempts: results.length, escaped: escaped.length });
  if (!fenceHolds(results, isolation)) {
    const holes = escaped.map((result) => `${result.attempt} (${result.by})`).join(", ") || "the probe did not finish";
    throw new SandboxError(
      `the fence does not hold: ${holes}`,
      "run `cordon doctor`, and report it as SECURITY.md says; no agent was started",
    );
  }
}
