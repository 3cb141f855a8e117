import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import type { SandboxEvent } from "./backend.ts";
import { deniedCallsUnseen, watchDenials } from "./denials.ts";
import { SandboxDenials } from "./sandbox-denials.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-denials-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A runtime that answers `features` with this text and nothing else with anything. */
function runtime(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n[ "$1" = features ] || exit 1\ncat <<'END'\n${text}\nEND\n`, { mode: 0o755 });
  return file;
}
const features = (actions: readonly string[], enabled = true): string =>
  JSON.stringify({ linux: { seccomp: { enabled, actions } } });

const skip = process.platform === "linux" ? false : "filters of system calls are Linux's";

describe("whether refused calls can be told of", { skip, timeout: 120_000 }, () => {
  for (const [name, text] of [
    ["older", features(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"])],
    ["without", features(["SCMP_ACT_NOTIFY"], false)],
    ["other", `{"linux": {"seccomp": {"enabled": true, "actions": "SCMP_ACT_NOTIFY"}}}`],
    ["nothing", "null"],
    ["nonsense", "runc version 1.1.5"],
  ] as const)
    it(`is not taken for granted: ${name}`, async () => {
      assert.equal(await deniedCallsUnseen(runtime(name, text), clock), `\`${name}\` does not hand over its filters`);
    });

  it("is not where there is no such command", async () => {
    assert.match((await deniedCallsUnseen("/bin/false", clock)) ?? "", /does not hand over/);
    assert.match((await deniedCallsUnseen("/nonexistent/runc", clock)) ?? "", /does not hand over/);
  });

  it("is where runtime and kernel can", async () => {
    assert.equal(await deniedCallsUnseen(runtime("runc", features(["SCMP_ACT_NOTIFY"])), clock), null);
  });

  it("is refused where no socket can be made", async () => {
    await assert.rejects(
      watchDenials(join(folder, "absent/denials"), new SandboxDenials(), clock),
      /the socket for refused calls could not be made/,
    );
  });
});

describe("refused calls of one sandbox", () => {
  const mount = { call: "mount", pid: 1, count: 1 };

  it("wait until its start has been told and somebody can listen", async () => {
    const events: SandboxEvent[] = [];
    const denials = new SandboxDenials();
    denials.denied(mount);
    denials.tellAs({ emit: (event) => void events.push(event) });
    await Promise.resolve();
    assert.deepEqual(events, []);
    denials.unwatched();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(events, [{ type: "syscall_denied", ...mount }, { type: "syscalls_unwatched" }]);
    denials.denied(mount);
    assert.equal(events.length, 3);
  });
});
