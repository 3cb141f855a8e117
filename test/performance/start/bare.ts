/** The engines as they come, without any of our fence: what a start costs at least. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Contender, type Sample, scriptFor, timedDoor } from "./trial.ts";

const DOOR = "/run/cordon/door.sock";
const command = ["/bin/node", "--input-type=module", "--eval", scriptFor(DOOR)];

/** `start` gets the path of a listening door. */
async function timed(socket: string, start: () => ChildProcess, end: () => void): Promise<Sample> {
  const door = timedDoor();
  await door.listen(socket);
  const from = performance.now();
  const child = start();
  const { stdout } = child;
  if (stdout === null) throw new Error("its output is a pipe");
  await Promise.race([
    once(stdout, "data"),
    once(child, "exit").then(() => Promise.reject(new Error("a bare start has ended without a line"))),
  ]);
  const sample = { lineMs: performance.now() - from, doorMs: (await door.asked) - from };
  stdout.resume();
  end();
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  await door.close();
  rmSync(socket, { force: true });
  return sample;
}

/** The runtime's own default bundle: its namespaces, no user namespace, no filter, no volume. */
export function bareRunc(name: string, runtime: string, rootfs: string): Contender & { close(): void } {
  const folder = mkdtempSync(join(tmpdir(), "cordon-bare-"));
  const [config, root] = [join(folder, "config.json"), join(folder, "state")];
  spawnSync(runtime, ["spec", "--bundle", folder]);
  mkdirSync(join(folder, "door"));
  const spec = JSON.parse(readFileSync(config, "utf8"));
  spec.root = { path: rootfs, readonly: true };
  spec.process = { ...spec.process, terminal: false, args: command };
  const run = (round: number): Promise<Sample> => {
    const socket = join(folder, `door/${round}.sock`);
    const door = { destination: DOOR, type: "bind", source: socket, options: ["bind"] };
    writeFileSync(config, JSON.stringify({ ...spec, mounts: [...spec.mounts, door] }));
    const id = `bare-${process.pid}-${round}`;
    return timed(
      socket,
      () =>
        spawn(runtime, ["--root", root, "run", "--bundle", folder, id], {
          stdio: ["ignore", "pipe", "inherit"],
        }),
      () => spawnSync(runtime, ["--root", root, "delete", "--force", id]),
    );
  };
  return { name, run, close: () => rmSync(folder, { recursive: true, force: true }) };
}

/**
 * `docker run` with what it does by default, but for the network, which the test engine has none of. Under gVisor the
 * engine's filter is left out: by itself runsc takes none, and that of the engine keeps old ones from making threads.
 */
export function bareDocker(
  name: string,
  engine: string,
  image: string,
  runtime: string,
): Contender & { close(): void } {
  const folder = mkdtempSync(join(tmpdir(), "cordon-bare-"));
  const docker = ["--host", `unix://${engine}`];
  const run = (round: number): Promise<Sample> => {
    const socket = join(folder, `${round}.sock`);
    const container = `bare-${process.pid}-${runtime}-${round}`;
    const options = ["--rm", "--network=none", `--runtime=${runtime}`, `--name=${container}`];
    if (runtime === "runsc") options.push("--security-opt=seccomp=unconfined");
    const mount = ["--volume", `${socket}:${DOOR}`];
    return timed(
      socket,
      () =>
        spawn("docker", [...docker, "run", ...options, ...mount, image, ...command], {
          stdio: ["ignore", "pipe", "inherit"],
        }),
      () => spawnSync("docker", [...docker, "rm", "--force", container], { stdio: "ignore" }),
    );
  };
  return { name, run, close: () => rmSync(folder, { recursive: true, force: true }) };
}
