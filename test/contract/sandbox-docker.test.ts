/** The contract and the break-out probe with an engine of its own, under runc and under gVisor. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import { guestRuntime } from "../../protocol/sandbox-paths.ts";
import { firstProcess } from "../../mesh/fleet/first-process.ts";
import { SandboxError } from "../../mesh/sandbox/backend.ts";
import { createDockerBackend } from "../../mesh/sandbox/docker/backend.ts";
import { DockerEngine } from "../../mesh/sandbox/docker/engine.ts";
import { idOf } from "../../mesh/sandbox/docker/image.ts";
import { fenceHolds, probeFence } from "../../mesh/sandbox/probe.ts";
import { ensureGuestRootfs } from "../../mesh/sandbox/rootfs-guest.ts";
import { ensureRootfs } from "../../mesh/sandbox/rootfs.ts";
import { tarOf } from "../../mesh/sandbox/testing/archives.ts";
import { skipWithoutDocker as skip, startEngine, type TestEngine } from "./dockerd.ts";
import { sandboxContract } from "./sandbox-backend.ts";
import { buildRootfs, leftoversOf, openHost, projectDir, specOf, startWatched } from "./sandbox-fixture.ts";

let engine: TestEngine | undefined;
before(async () => void (engine = skip === false ? await startEngine() : undefined), { timeout: 90_000 });
after(() => engine?.close());

async function openDocker(installation = randomId.next("t").slice(2, 10)) {
  const stateDir = mkdtempSync(join(tmpdir(), "cordon-state-"));
  const rootfs = await buildRootfs();
  const socketPath = engine?.socketPath ?? "";
  const again = () => createDockerBackend({ installation, stateDir, rootfs, socketPath, clock, id: randomId });
  const close = async (): Promise<void> => {
    await again().sweep();
    const left = leftoversOf(installation, stateDir);
    rmSync(stateDir, { recursive: true, force: true });
    assert.deepEqual(left, []);
  };
  const leftovers = () => leftoversOf(installation, stateDir);
  return { backend: again(), again, stateDir, installation, rootfs, socketPath, leftovers, close };
}

for (const [name, isolation] of [
  ["docker with runc", "container"],
  ["docker with runsc", "gvisor"],
] as const) {
  const traits = {
    isolation,
    refused: ["microvm"],
    showsFence: isolation === "container",
    user: "of the host's range",
    tellsSignals: "none",
    endsLateExec: isolation === "container",
    skip,
  } as const;
  sandboxContract(name, traits, () => openDocker());

  describe(`${name}: the fence`, { skip, timeout: 120_000 }, () => {
    it("lets nothing out that the probe tries", async () => {
      const host = await openDocker();
      const results = await probeFence(host.backend, { clock, id: randomId }, isolation);
      await host.close();
      assert.deepEqual(
        results.filter((result) => !result.stopped),
        [],
      );
      assert.equal(fenceHolds(results, isolation), true);
    });
  });
}

describe("docker backend: host side", { skip, timeout: 120_000 }, () => {
  const containers = async (): Promise<readonly string[]> => {
    const api = new DockerEngine(engine?.socketPath ?? "", clock);
    const found = (await api.ask("GET", "/containers/json?all=1")) as { Names: string[] }[];
    return found.flatMap(({ Names }) => Names);
  };

  it("sweeps what a dead mesh of this installation left, by label, and nothing else", async () => {
    const host = await openDocker();
    const other = await openDocker();
    const api = new DockerEngine(host.socketPath, clock);
    const [mine, theirs] = [specOf("setInterval(() => {}, 1e6)"), specOf("setInterval(() => {}, 1e6)")];
    const [lost, kept] = [await host.backend.start(mine), await startWatched(other.backend, theirs)];
    lost.output.resume();
    // A stranger's container under a name like ours, without our label.
    const images = (await api.ask("GET", "/images/json")) as { Id: string }[];
    const bait = `cordon-${host.installation}-bait`;
    await api.ask("POST", `/containers/create?name=${bait}`, { Image: images[0]?.Id, Cmd: ["/bin/node"] });
    assert.deepEqual(await host.again().sweep(), [mine.id]);
    const left = await containers();
    assert.deepEqual(left.toSorted(), [`/${bait}`, `/cordon-${other.installation}-${theirs.id}`].toSorted());
    assert.deepEqual(host.leftovers(), []);
    await api.ask("DELETE", `/containers/${bait}`);
    await kept.sandbox.stop(0);
    assert.deepEqual(await containers(), []);
    await host.close();
    await other.close();
  });

  it("shows no resolver, no host name and no variable of the host inside", async () => {
    const host = await openDocker();
    const script = `import fs from "node:fs"; for (const f of ["resolv.conf", "hosts", "hostname"]) console.log(fs.readFileSync("/etc/" + f, "utf8"))`;
    const text = await (await startWatched(host.backend, specOf(script))).ended();
    await host.close();
    const words = text.split(/\s+/).filter(Boolean);
    assert.ok(words.includes("sandbox"));
    const own =
      /^(127\.0\.0\.1|::1|fe00::0|ff0[02]::[0-2]|localhost|ip6-\w+|nameserver|search|options|\.|sandbox|ndots:0)$/;
    assert.deepEqual(
      words.filter((word) => !own.test(word)),
      [],
    );
  });

  it("gives an image that it holds to any backend, by its digest", async () => {
    const dockerSocket = engine?.socketPath ?? "";
    const api = new DockerEngine(dockerSocket, clock);
    const layer = tarOf([{ path: "etc/os-release", text: "NAME=of the engine" }]);
    await api.ask("POST", "/images/create?fromSrc=-&repo=own&tag=1", Readable.from([layer]));
    const digest = idOf(await api.ask("GET", "/images/own:1/json"), "Id");
    const cacheDir = dirname(await buildRootfs());
    const base = await ensureRootfs({ cacheDir, projectDir, nodePath: process.execPath, clock });
    const request = { kind: "engine", digest } as const;
    const rootfs = await ensureGuestRootfs(request, { cacheDir, clock, base, dockerSocket });
    const host = await openHost();
    const { loader, libraries, node } = guestRuntime;
    const script = `console.log(require("fs").readFileSync("/etc/os-release", "utf8"))`;
    const command = firstProcess({
      command: [loader, "--library-path", libraries, node, "-e", script],
      rootfs: request,
    });
    const run = await startWatched(host.backend, specOf("", { command, rootfs }));
    await run.until((_, text) => /guest.exited/.test(text), 60_000);
    assert.match(run.text(), /NAME=of the engine/);
    await run.sandbox.stop(0);
    await host.close();
    const absent = { kind: "engine", digest: digest.replace(/[0-9a-f]{4}$/, "0000") } as const;
    await assert.rejects(ensureGuestRootfs(absent, { cacheDir, clock, base, dockerSocket }), /is not there/);
  });

  it("says what an engine lacks that is not there", async () => {
    const host = await openDocker();
    const options = {
      installation: host.installation,
      stateDir: host.stateDir,
      rootfs: host.rootfs,
      clock,
      id: randomId,
    };
    const absent = createDockerBackend({ ...options, socketPath: "/nonexistent/docker.sock" });
    const found = await absent.shortfalls("container");
    assert.match(found[0]?.what ?? "", /`\/nonexistent\/docker\.sock` does not answer/);
    await assert.rejects(absent.start(specOf("")), SandboxError);
    assert.deepEqual(host.leftovers(), []);
    await host.close();
  });
});
