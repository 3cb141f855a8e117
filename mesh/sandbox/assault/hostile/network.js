import dgram from "node:dgram";
import dns from "node:dns";
import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { everyAsync, hole, wall } from "./report.js";

const WAIT_MS = 1_500;
const ENGINES = [
  "/var/run/docker.sock",
  "/run/docker.sock",
  "/run/containerd/containerd.sock",
  "/run/crio/crio.sock",
  "/run/podman/podman.sock",
  "/run/dbus/system_bus_socket",
  "/run/systemd/private",
];
const RESOLVERS = ["1.1.1.1", "8.8.8.8", "9.9.9.9"];

/** Says the nonce when it is through, so that the host knows who was there. */
const connect = (options, nonce) =>
  new Promise((resolve) => {
    const socket = net.connect(options);
    const end = (result) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(WAIT_MS, () => end(wall("no answer")));
    socket.on("connect", () => {
      const where = options.path ?? `${options.host}:${options.port}`;
      socket.end(nonce, () => end(hole(`connected to ${where.replaceAll("\0", "@")}`)));
    });
    socket.on("error", (error) => end(wall(error.code)));
  });

/** A datagram that leaves is a hole, answered or not. */
const datagram = (address, port, nonce) =>
  new Promise((resolve) => {
    const socket = dgram.createSocket(net.isIPv6(address) ? "udp6" : "udp4");
    const end = (result) => {
      socket.close();
      resolve(result);
    };
    socket.on("error", (error) => end(wall(error.code)));
    socket.send(nonce, port, address, (error) => end(error ? wall(error.code) : hole(`sent to ${address}:${port}`)));
  });

const resolves = (ask) =>
  new Promise((resolve) => ask((error, answer) => resolve(error ? wall(error.code) : hole(String(answer)))));

const engineAnswers = (socketPath) =>
  new Promise((resolve) => {
    const request = http.get({ socketPath, path: "/version", timeout: WAIT_MS }, (response) => {
      response.resume();
      response.on("end", () => resolve(hole(`${socketPath} answered ${response.statusCode}`)));
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    // Something listens that speaks another protocol: reached all the same.
    request.on("error", (error) =>
      resolve(
        /^HPE_|ECONNRESET/.test(error.code ?? "")
          ? hole(`${socketPath} was reached`)
          : wall(error.code ?? error.message),
      ),
    );
  });

/** Default gateways of proc_net_route: hexadecimal, in host byte order. */
const gateways = () =>
  readFileSync("/proc/net/route", "utf8")
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const hex = line.split("\t")[2] ?? "";
      if (!/^[0-9A-F]{8}$/.test(hex) || hex === "00000000") return [];
      return [Buffer.from(hex, "hex").reverse().join(".")];
    });

const interfaces = () =>
  readFileSync("/proc/net/dev", "utf8")
    .split("\n")
    .slice(2)
    .map((line) => line.split(":")[0].trim())
    .filter((name) => name !== "");

// Inside a namespace of its own, a loopback address is the sandbox's own.
const isRemote = (address) => !address.startsWith("127.") && address !== "::1";

export async function tryNetwork(report, target, seen) {
  const { nonce, addresses, tcpPort, udpPort, hostPorts, abstract, sibling, door } = target;
  const to = (host, port) => connect({ host, port }, nonce);
  const resolver = new dns.promises.Resolver({ timeout: 500, tries: 1 });
  const attempts = {
    "network-host": () => everyAsync(addresses.filter(isRemote), (host) => to(host, tcpPort)),
    "network-host-loopback": () => everyAsync(["127.0.0.1", "::1"], (host) => to(host, tcpPort)),
    "network-gateway": () =>
      everyAsync(gateways(), (host) => everyAsync([tcpPort, 22, 80, 443], (port) => connect({ host, port }, ""))),
    "network-host-ports": () =>
      everyAsync(["127.0.0.1", ...addresses.filter(isRemote).slice(0, 2)], (host) =>
        everyAsync(hostPorts, (port) => connect({ host, port }, "")),
      ),
    "network-internet": () => everyAsync(["1.1.1.1", "8.8.8.8"], (host) => to(host, 443)),
    "network-ipv6": () => to("2606:4700:4700::1111", 443),
    "network-metadata": () => everyAsync(["169.254.169.254", "169.254.170.2", "fd00:ec2::254"], (host) => to(host, 80)),
    "network-udp-host": () => everyAsync(addresses.filter(isRemote), (host) => datagram(host, udpPort, nonce)),
    "network-udp-internet": () => everyAsync(["1.1.1.1", "2606:4700:4700::1111"], (host) => datagram(host, 443, nonce)),
    "network-dns-library": () => resolves((done) => dns.lookup("example.com", done)),
    "network-dns-packet": () => everyAsync(RESOLVERS, (host) => datagram(host, 53, nonce)),
    "network-dns-resolver": () => resolves((done) => resolver.resolve4("example.com").then((a) => done(null, a), done)),
    "network-dns-https": () => everyAsync(RESOLVERS, (host) => to(host, 443)),
    "network-dns-tls": () => everyAsync(RESOLVERS, (host) => to(host, 853)),
    "network-abstract-host": () => connect({ path: `\0${abstract}` }, nonce),
    "network-abstract-sibling": () => connect({ path: `\0${sibling.abstract}` }, nonce),
    "network-sibling": () => everyAsync(["127.0.0.1", ...addresses.filter(isRemote)], (host) => to(host, sibling.port)),
    "network-engine": () => {
      const sockets = seen.sockets.filter((path) => path !== door);
      return everyAsync([...new Set([...ENGINES, ...sockets])].slice(0, 32), engineAnswers);
    },
  };
  await Promise.all(Object.entries(attempts).map(([id, run]) => report(id, run)));
  report("network-interfaces", () => {
    const others = interfaces().filter((name) => name !== "lo");
    return others.length > 0 ? hole(others.join(", ")) : wall("loopback only");
  });
}
