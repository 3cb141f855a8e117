/** Runs the start-up probe's hostile code once and makes each attempt of one kind a test of its own. */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { systemClock as clock } from "../../../lib/clock.ts";
import { randomId as id } from "../../../lib/id.ts";
import { probeFence, type ProbeResult } from "../../../mesh/sandbox/probe.ts";
import { controls } from "../../../mesh/sandbox/probe-attempts.ts";
import { openHost, skipUnlessRoot } from "../../contract/sandbox-fixture.ts";

export function attackSuite(name: string, attempts: readonly string[]): void {
  describe(name, { skip: skipUnlessRoot, timeout: 60_000 }, () => {
    let results: readonly ProbeResult[] = [];
    before(async () => {
      const host = await openHost();
      results = await probeFence(host.backend, { clock, id });
      await host.close();
    });
    for (const attempt of [...controls, ...attempts]) {
      it(attempt, () => {
        const result = results.find((r) => r.attempt === attempt);
        assert.equal(result?.stopped, true, result?.by ?? "not reported");
      });
    }
    it("nothing arrived at the host", () => {
      assert.deepEqual(
        results.filter((r) => r.attempt.endsWith("arrived at the host")),
        [],
      );
    });
  });
}
