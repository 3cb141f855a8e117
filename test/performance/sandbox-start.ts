/**
 * Start of a sandbox to its first line and its first door request, each backend beside the bare engine and beside
 * `@anthropic-ai/sandbox-runtime`: the same node binary and script, one after the other in interleaved rounds. What is
 * missing here is said and left out. Prints a table and JSON. Run as root:
 * `node test/performance/sandbox-start.ts [rounds]`
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import { createDockerBackend } from "../../mesh/sandbox/docker/backend.ts";
import { runtimeProfiles } from "../../mesh/sandbox/runtime-profile.ts";
import { findRuntime } from "../../mesh/sandbox/runtime.ts";
import { skipWithoutDocker, startEngine } from "../contract/dockerd.ts";
import { openHost } from "../contract/sandbox-fixture.ts";
import { bareDocker, bareRunc } from "./start/bare.ts";
import { fenced } from "./start/ours.ts";
import { sandboxRuntime, sandboxRuntimeLack } from "./start/sandbox-runtime.ts";
import type { Contender, Sample } from "./start/trial.ts";

const rounds = Math.max(3, Number(process.argv[2] ?? 20));
const BARE = "bare runc run";
const BARE_DOCKER = "bare docker run";
const has = (program: string): boolean => spawnSync("which", [program]).status === 0;

const contenders: Contender[] = [];
const closing: (() => unknown)[] = [];
const leftOut = (name: string, why: string): void => console.log(`left out: ${name}: ${why}`);

const host = await openHost();
closing.push(() => host.close());
const bare = bareRunc(BARE, (await findRuntime("")) ?? "runc", host.rootfs);
closing.unshift(() => bare.close());
const { backend } = host;
const oci = { against: BARE, backend, isolation: "container" } as const;
const stands = (): string => "stands";
contenders.push(bare);
contenders.push(fenced({ ...oci, name: "oci + runc, its volume stands", volume: stands }));
contenders.push(fenced({ ...oci, name: "oci + runc, a new volume", volume: (round) => `new-${round + 1}` }));
if ((await findRuntime("", runtimeProfiles.gvisor)) === null) leftOut("oci + runsc", "runsc is not installed");
else contenders.push(fenced({ ...oci, name: "oci + runsc", isolation: "gvisor", volume: () => "stands-gvisor" }));

if (skipWithoutDocker !== false) leftOut("docker", skipWithoutDocker);
else {
  const { socketPath, close } = await startEngine();
  closing.unshift(close);
  const stateDir = mkdtempSync(join(tmpdir(), "cordon-state-"));
  closing.push(() => rmSync(stateDir, { recursive: true, force: true }));
  const options = {
    installation: `${host.installation.slice(0, 7)}d`,
    stateDir,
    rootfs: host.rootfs,
    socketPath,
    clock,
    id: randomId,
  };
  const docker = createDockerBackend(options);
  const plan = { against: BARE_DOCKER, backend: docker } as const;
  const ours = fenced({ ...plan, name: "docker + runc", isolation: "container", volume: stands });
  // Imports the image that the bare ones use as well.
  await ours.run(-2);
  if (has("docker")) {
    const image = `cordon-rootfs:${basename(host.rootfs)}`;
    const bares = [
      bareDocker(BARE_DOCKER, socketPath, image, "runc"),
      bareDocker(`${BARE_DOCKER}, runsc`, socketPath, image, "runsc"),
    ];
    contenders.push(...bares);
    closing.unshift(...bares.map((each) => () => each.close()));
  } else leftOut(BARE_DOCKER, "there is no docker client on PATH");
  contenders.push(ours);
  const gvisor = { ...plan, against: `${BARE_DOCKER}, runsc`, isolation: "gvisor" } as const;
  contenders.push(fenced({ ...gvisor, name: "docker + runsc", volume: () => "stands-gvisor" }));
}

const lack = sandboxRuntimeLack();
if (lack !== null) leftOut("@anthropic-ai/sandbox-runtime", lack);
else {
  const peer = await sandboxRuntime("@anthropic-ai/sandbox-runtime", BARE);
  closing.unshift(() => peer.close());
  contenders.push(peer);
}

const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]));
try {
  for (const contender of contenders) await contender.run(-1);
  for (let round = 0; round < rounds; round++)
    for (const { name, run } of contenders) samples.get(name)?.push(await run(round));
} finally {
  for (const close of closing) await close();
}

const p = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] ?? Number.NaN;
const row = (name: string) => {
  const list = samples.get(name) ?? [];
  const [line, door] = [list.map((s) => s.lineMs), list.map((s) => s.doorMs)];
  return { lineP50: p(line, 0.5), lineP95: p(line, 0.95), doorP50: p(door, 0.5), doorP95: p(door, 0.95) };
};
console.log(`${"ms".padEnd(34)} line p50 line p95 door p50 door p95    door, against bare`);
const result = contenders.map(({ name, against }) => {
  const own = row(name);
  const cells = Object.values(own).map((ms) => ms.toFixed(1).padStart(9));
  const ratio = against === undefined ? undefined : own.doorP50 / row(against).doorP50;
  const told = ratio === undefined ? "" : `   ${ratio.toFixed(2)} × ${against}`;
  console.log(`${name.padEnd(34)}${cells.join("")}${told}`);
  return { name, against, ...own, ratio };
});
console.log(JSON.stringify({ rounds, result }));
