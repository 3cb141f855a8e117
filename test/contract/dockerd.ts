/** A docker engine for tests only: data, socket and network of its own, ended by its pid. Another engine of the machine is left alone. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock as clock } from "../../lib/clock.ts";
import { skipUnlessRoot } from "./sandbox-fixture.ts";

const missing = ["dockerd", "containerd", "runsc"].filter((name) => spawnSync("which", [name]).status !== 0);
/** The reason to skip, or false. */
export const skipWithoutDocker =
  skipUnlessRoot ||
  (missing.length > 0 && `${missing.join(", ")} not installed: run \`apt-get install -y docker.io runsc\``);
if (skipWithoutDocker !== false) console.error(`SKIPPED: the contract with docker: ${skipWithoutDocker}`);

export interface TestEngine {
  readonly socketPath: string;
  close(): Promise<void>;
}

export async function startEngine(): Promise<TestEngine> {
  const folder = mkdtempSync(join(tmpdir(), "cordon-docker-"));
  const at = (name: string): string => join(folder, name);
  const socketPath = at("docker.sock");
  const runtimeArgs = ["--platform=ptrace", "--network=none", "--host-uds=open", "--oci-seccomp"];
  const settings = {
    "data-root": at("data"),
    "exec-root": at("exec"),
    pidfile: at("pid"),
    hosts: [`unix://${socketPath}`],
    iptables: false,
    ip6tables: false,
    bridge: "none",
    "storage-driver": process.env.CORDON_DOCKER_STORAGE ?? "overlay2",
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    runtimes: { runsc: { path: "/usr/bin/runsc", runtimeArgs } },
  };
  writeFileSync(at("daemon.json"), JSON.stringify(settings));
  const log = openSync(at("log"), "w");
  const daemon = spawn("dockerd", ["--config-file", at("daemon.json")], { stdio: ["ignore", log, log] });
  const ended = new Promise<void>((resolve) => daemon.once("close", () => resolve()));
  const close = async (): Promise<void> => {
    daemon.kill("SIGTERM");
    await ended;
    for (const pid of processesOf(folder)) process.kill(pid, "SIGKILL");
    const mounted = readFileSync("/proc/self/mounts", "utf8").includes(folder);
    if (mounted) throw new Error(`docker left mounts under ${folder}`);
    rmSync(folder, { recursive: true, force: true });
  };
  const deadline = clock.monotonicMs() + 60_000;
  while (!(await answers(socketPath))) {
    if (daemon.exitCode !== null || clock.monotonicMs() > deadline) {
      const tail = readFileSync(at("log"), "utf8").split("\n").slice(-15).join("\n");
      await close();
      throw new Error(`dockerd does not run here:\n${tail}`);
    }
    await clock.sleep(100);
  }
  return { socketPath, close };
}

/** A container that a failed test left keeps its shim alive after the engine has gone. */
const processesOf = (folder: string): readonly number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, "latin1").includes(`${folder}/`);
      } catch {
        return false;
      }
    })
    .map(Number);

const answers = (socketPath: string): Promise<boolean> =>
  new Promise((resolve) => {
    const ask = request({ socketPath, path: "/_ping" }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ask.once("error", () => resolve(false));
    ask.end();
  });
