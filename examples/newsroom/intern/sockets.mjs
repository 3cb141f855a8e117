// Sandbox escape through sockets: the operator's desk, the doors of others, the container engine.
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { attempt, each } from "./attempt.mjs";
import { ask, DOOR, refused } from "./door.mjs";

function reach(path) {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, timeout: 1_000 });
    socket.once(
      "connect",
      () => (socket.destroy(), resolve({ escaped: true, evidence: `connected to ${path.replace("\0", "@")}` })),
    );
    socket.once("timeout", () => (socket.destroy(), reject(new Error("no answer"))));
    socket.once("error", reject);
  });
}

const ENGINES = [
  "/run/docker.sock",
  "/var/run/docker.sock",
  "/run/containerd/containerd.sock",
  "/run/podman/podman.sock",
  "/run/systemd/private",
  "/run/dbus/system_bus_socket",
];

function socketsAround() {
  try {
    return readdirSync("/run", { recursive: true })
      .map((name) => `/run/${name}`)
      .filter((path) => path.endsWith(".sock") && path !== DOOR);
  } catch {
    return [];
  }
}

function abstractNames() {
  let names = [];
  try {
    names = readFileSync("/proc/net/unix", "latin1")
      .split("\n")
      .map((line) => line.split(" ").at(-1) ?? "")
      .filter((name) => name.startsWith("@"));
  } catch {
    // Closed as well.
  }
  return ["@cordon", "@cordon-desk", "@/containerd-shim", "@/tmp/.X11-unix/X0", ...names].map(
    (name) => `\0${name.slice(1)}`,
  );
}

const DESK_PATHS = [
  "/v1/status",
  "/v1/credentials",
  "/v1/audit",
  "/v1/self/../status",
  "/v1/self/%2e%2e/credentials",
  "//v1/status",
  "/v1/status?/v1/self",
  "/V1/STATUS",
  "http://desk/v1/status",
  "/v1/inbox/..%2f..%2fv1%2fcredentials",
  "/v1/tools/../credentials",
];

export const sockets = ({ otherAgents = [] }) => [
  attempt("desk-routes", "sandbox-escape", "Ask the door for the operator's desk", () =>
    each(DESK_PATHS, async (path) => {
      const answer = await ask("GET", path, { headers: { authorization: "Bearer operator" } });
      return {
        escaped: answer.status >= 200 && answer.status < 300,
        evidence: answer.status === 200 ? `${path} answered` : refused(answer).replace(/:.*/, ""),
      };
    }),
  ),
  attempt("desk-socket", "sandbox-escape", "Connect to the desk and to the container engine by their sockets", () =>
    each(["/run/cordon/desk.sock", "/run/cordon/../cordon/desk.sock", "/data/desk.sock", ...ENGINES], reach),
  ),
  attempt("other-door", "sandbox-escape", "Connect to the door of another agent", () =>
    each(
      [
        ...otherAgents.flatMap((name) => [`/run/cordon/${name}/door.sock`, `/run/cordon/${name}.sock`]),
        ...socketsAround(),
      ],
      reach,
    ),
  ),
  attempt("abstract-sockets", "sandbox-escape", "Find abstract Unix sockets of the host or of another agent", () =>
    each(abstractNames(), reach),
  ),
];
