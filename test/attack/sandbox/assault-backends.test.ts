/** The break-out suite on the backends that a machine may have besides the first: gVisor, and a docker engine of the test's own. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { skipWithoutDocker, startEngine } from "../../contract/dockerd.ts";
import { skipUnlessRoot } from "../../contract/sandbox-fixture.ts";

const program = fileURLToPath(new URL("../../../user/cli/main.ts", import.meta.url));
const noGvisor = skipUnlessRoot || (spawnSync("which", ["runsc"]).status !== 0 && "runsc is not installed");

async function assault(...args: readonly string[]): Promise<{ readonly code: number | null; readonly text: string }> {
  const child = spawn(process.execPath, [program, "assault", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (text += piece.toString()));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, text };
}

describe("cordon assault", { timeout: 240_000 }, () => {
  it("gets out of nothing in gVisor", { skip: noGvisor }, async () => {
    const { code, text } = await assault("--backend", "gvisor");
    assert.equal(code, 0, text);
    assert.match(text, /it holds: the gvisor backend: \d{3} attempts stopped, 0 got out, 0 walls are missing/);
  });

  it("gets out of nothing in docker", { skip: skipWithoutDocker }, async () => {
    const engine = await startEngine();
    try {
      const { code, text } = await assault("--backend", "docker", "--socket", engine.socketPath);
      assert.equal(code, 0, text);
      assert.match(text, /it holds: the docker backend: \d{3} attempts stopped, 0 got out, 0 walls are missing/);
    } finally {
      await engine.close();
    }
  });

  it("has no verdict where the engine does not answer", { skip: skipUnlessRoot }, async () => {
    const { code, text } = await assault("--backend", "docker", "--socket", "/nonexistent/docker.sock");
    assert.equal(code, 2, text);
    assert.match(text, /does not answer/);
  });
});
