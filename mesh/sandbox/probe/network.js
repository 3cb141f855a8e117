import dgram from "node:dgram";
import dns from "node:dns";
import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";

const WAIT_MS = 1500;

const connect = (options) =>
  new Promise((resolve) => {
    const socket = net.connect(options);
    const end = (result) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(WAIT_MS, () => end({ stopped: true, by: "no answer" }));
    socket.on("connect", () => end({ stopped: false, by: "connected" }));
    socket.on("error", (error) => end({ stopped: true, by: error.code }));
  });

// A datagram that leaves is a hole, answered or not; the mesh says whether one arrived.
const datagram = (address, port) =>
  new Promise((resolve) => {
    const socket = dgram.createSocket(net.isIPv6(address) ? "udp6" : "udp4");
    socket.on("error", (error) => resolve({ stopped: true, by: error.code }));
    socket.send("probe", port, address, (error) => {
      socket.close();
      resolve(error ? { stopped: true, by: error.code } : { stopped: false, by: "sent" });
    });
  });

const resolves = (ask) =>
  new Promise((resolve) => {
    ask((error, answer) => resolve(error ? { stopped: true, by: error.code } : { stopped: false, by: String(answer) }));
  });

const all = async (attempts) => {
  const results = await Promise.all(attempts);
  if (results.length === 0) return { stopped: false, by: "nothing to try" };
  return results.find((r) => !r.stopped) ?? { stopped: true, by: [...new Set(results.map((r) => r.by))].join(", ") };
};

// Inside, a loopback address is the sandbox's own.
const isRemote = (address) => !address.startsWith("127.") && address !== "::1";

const doorAnswers = () =>
  new Promise((resolve) => {
    const request = http.get({ socketPath: "/run/cordon/door.sock", path: "/probe" }, (response) => {
      response.resume();
      response.on("end", () => resolve({ stopped: false, by: `status ${response.statusCode}` }));
    });
    request.on("error", (error) => resolve({ stopped: true, by: error.code }));
  });

/** `target`: { addresses: string[], tcpPort, udpPort, abstract: string[] } of listeners that the mesh holds open. */
export async function tryNetwork(report, target) {
  const { addresses, tcpPort, udpPort, abstract } = target;
  const resolver = new dns.promises.Resolver({ timeout: 300, tries: 1 });
  const attempts = {
    "tcp to the host": () => all(addresses.map((host) => connect({ host, port: tcpPort }))),
    "tcp to the host's loopback": () => all(["127.0.0.1", "::1"].map((host) => connect({ host, port: tcpPort }))),
    "tcp to the internet": () => connect({ host: "1.1.1.1", port: 443 }),
    "tcp over ipv6": () => connect({ host: "2606:4700:4700::1111", port: 443 }),
    "metadata address": () => all(["169.254.169.254", "fd00:ec2::254"].map((host) => connect({ host, port: 80 }))),
    "udp to the host": () => all(addresses.filter(isRemote).map((address) => datagram(address, udpPort))),
    "udp to the internet": () => all(["1.1.1.1", "2606:4700:4700::1111"].map((address) => datagram(address, 53))),
    "dns through the c library": () => resolves((done) => dns.lookup("example.com", done)),
    "dns by hand": () => resolves((done) => resolver.resolve4("example.com").then((a) => done(null, a), done)),
    "abstract socket of the host or a sibling": () => all(abstract.map((name) => connect({ path: `\0${name}` }))),
  };
  const work = Object.entries(attempts).map(async ([attempt, run]) => {
    const { stopped, by } = await run();
    report(attempt, stopped, by);
  });
  await Promise.all(work);
  const interfaces = readFileSync("/proc/net/dev", "utf8")
    .split("\n")
    .slice(2)
    .map((l) => l.split(":")[0].trim());
  const others = interfaces.filter((name) => name !== "" && name !== "lo");
  report("network interfaces", others.length === 0, others.join(", ") || "loopback only");
  const door = await doorAnswers();
  report("control: the door answers", door.stopped, door.by);
}
