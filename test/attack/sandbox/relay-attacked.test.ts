/** A door that goes through a relay: attacked from inside its sandbox, from the relay's own network, and by the relay's end. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { SandboxEvent, SandboxSpec } from "../../../mesh/sandbox/backend.ts";
import { startTimeOf } from "../../../mesh/sandbox/proc.ts";
import type { RelayOrders } from "../../../protocol/door-relay.ts";
import { limits } from "../../../protocol/limits.ts";
import { openRelayed } from "../../contract/docker-relay-fixture.ts";
import { skipWithoutDocker as skip, startEngine, type TestEngine } from "../../contract/dockerd.ts";
import { specOf, startWatched, type TestDoor, type Watched } from "../../contract/sandbox-fixture.ts";

const PATIENCE_MS = 60_000;
const FOREVER = "setInterval(() => {}, 1e6)";
const DOOR = "/run/cordon/door.sock";

describe("a door that goes through a relay", { skip, timeout: 240_000 }, () => {
  let engine: TestEngine;
  let host: Awaited<ReturnType<typeof openRelayed>>;
  let [spec, neighbourSpec]: SandboxSpec[] = [];
  let [run, neighbour]: Watched[] = [];
  before(
    async () => {
      engine = await startEngine();
      host = await openRelayed(engine.socketPath);
      [spec, neighbourSpec] = [specOf(FOREVER), specOf(FOREVER)];
      run = await startWatched(host.backend, spec);
      neighbour = await startWatched(host.backend, neighbourSpec);
    },
    { timeout: 120_000 },
  );
  after(async () => {
    try {
      await run?.sandbox.stop(0);
      await neighbour?.sandbox.stop(0);
      await host?.close();
    } finally {
      await engine?.close();
    }
  });

  const given = <T>(value: T | undefined): T => {
    assert.ok(value);
    return value;
  };
  const exec = async (watched: Watched | undefined, script: string): Promise<string> => {
    const bounds = { outputBytesMax: 4_194_304, timeoutMs: 30_000 };
    const done = await given(watched).sandbox.exec(["/bin/node", "--input-type=module", "--eval", script], bounds);
    return done.stdout + done.stderr + (done.exitCode === 0 ? "" : ` exit code ${done.exitCode}`);
  };
  const askDoor = (watched: Watched | undefined, path: string): Promise<string> =>
    exec(
      watched,
      `import http from "node:http"; http.get({ socketPath: "${DOOR}", path: "${path}" }, (r) => r.pipe(process.stdout))`,
    );
  const ofType = <T extends SandboxEvent["type"]>(watched: Watched | undefined, type: T) =>
    given(watched).events.filter((event): event is Extract<SandboxEvent, { type: T }> => event.type === type);
  const requestsOf = (of: SandboxSpec | undefined) => (given(of).door as TestDoor).requests;

  it("is the same door, and only its own sandbox's", async () => {
    assert.equal(await askDoor(run, "/mine"), "open");
    assert.equal(await askDoor(neighbour, "/theirs"), "open");
    assert.deepEqual([requestsOf(spec), requestsOf(neighbourSpec)], [["/mine"], ["/theirs"]]);
  });

  it("shows the sandbox no network, no port, no key, and nothing to write to where the door stands", async () => {
    const { host: address, port } = await host.portOf(given(spec).id);
    const script = `import fs from "node:fs"; import net from "node:net"; import path from "node:path";
      const tried = (f) => { try { f(); return "done" } catch (e) { return e.code } };
      const dial = (host, port) => new Promise((done) => net.connect({ host, port }, () => done("connected")).on("error", (e) => done(e.code)));
      let seen = "";
      const walk = (folder, depth) => { for (const name of (() => { try { return fs.readdirSync(folder) } catch { return [] } })()) {
        const at = path.join(folder, name);
        try { const s = fs.lstatSync(at); if (s.isDirectory() && depth < 3) walk(at, depth + 1);
          else if (s.isFile() && s.size < 65536) seen += fs.readFileSync(at, "latin1") } catch {} } };
      for (const folder of ["/run", "/data", "/tmp", "/etc"]) walk(folder, 0);
      for (const name of ["environ", "cmdline", "mountinfo", "net/unix", "net/tcp", "maps"]) for (const pid of ["self", "1"])
        try { seen += fs.readFileSync("/proc/" + pid + "/" + name, "latin1") } catch {}
      console.log(JSON.stringify({ nets: [...fs.readFileSync("/proc/self/net/dev", "latin1").matchAll(/^ *(\\w+):/gm)].map(([, name]) => name), list: fs.readdirSync("/run/cordon"),
        write: tried(() => fs.writeFileSync("/run/cordon/x", "")), remove: tried(() => fs.unlinkSync("${DOOR}")),
        chmod: tried(() => fs.chmodSync("${DOOR}", 0o777)), gateway: await dial("${address}", ${port}), desktop: await dial("192.168.65.254", ${port}),
        owner: fs.statSync("${DOOR}").uid === process.getuid(), mode: (fs.statSync("${DOOR}").mode & 0o777).toString(8), seen }))`;
    const found = JSON.parse(await exec(run, script));
    assert.deepEqual([found.nets, found.gateway, found.desktop], [["lo"], "ENETUNREACH", "ENETUNREACH"]);
    assert.deepEqual([found.list, found.owner, found.mode], [["door.sock"], false, "660"]);
    for (const done of [found.write, found.remove, found.chmod]) assert.match(String(done), /^(EROFS|EACCES|EPERM)$/);
    assert.ok(found.seen.length > 1_000);
    for (const { identity, key } of host.keys())
      for (const part of [identity, key]) assert.ok(!found.seen.includes(part));
  });

  it("gives its relay a fence, and nobody its key: not the engine, not the relay's environment or words", async () => {
    const { Id } = await host.relayOf(given(spec).id);
    const shown = JSON.stringify(await host.api.ask("GET", `/containers/${Id}/json`));
    const { Pid: pid } = JSON.parse(shown).State as { Pid: number };
    const proc = (name: string): string => readFileSync(`/proc/${pid}/${name}`, "latin1");
    for (const { key } of host.keys()) {
      for (const text of [shown, proc("environ"), proc("cmdline")]) assert.ok(!text.includes(key));
    }
    const status = proc("status");
    for (const line of [/^CapEff:\s*0+$/m, /^CapBnd:\s*0+$/m, /^NoNewPrivs:\s*1$/m, /^Seccomp:\s*2$/m])
      assert.match(status, line);
    const [uid, own] = [/^Uid:\s*(\d+)/m.exec(status)?.[1], given(run).sandbox];
    assert.ok(Number(uid) > limits.sandbox.hostIdFirst && Number(uid) % limits.sandbox.hostIdsPerSandbox === 1001);
    const sandboxPid = ofType(run, "started")[0]?.pid ?? 0;
    assert.notEqual(/^Uid:\s*(\d+)/m.exec(readFileSync(`/proc/${sandboxPid}/status`, "latin1"))?.[1], uid, own.id);
    assert.match(proc("mounts"), /^\S+ \/ \S+ ro,/m);
  });

  it("takes from a relay's network neither no key, nor another's, nor one that is used up, and tells of each", async () => {
    const orders = { ...(await host.portOf(given(spec).id)), ...given(host.keys()[0]) };
    const foreign = given(host.keys()[1]);
    const attempts: Readonly<Record<string, Partial<RelayOrders>>> = {
      ...{ replayed: {}, stranger: { identity: "relay_x", key: "x".repeat(56) }, guessed: { key: "x".repeat(56) } },
      ...{ neighbours: foreign, mixed: { key: foreign.key }, none: { key: "" } },
    };
    const all = Object.entries(attempts).map(([name, change]) => ({ name, ...orders, ...change }));
    const script = `import tls from "node:tls"; import http2 from "node:http2";
      for (const { name, host, port, identity, key } of ${JSON.stringify(all)}) {
        const psk = key === "" ? {} : { pskCallback: () => ({ identity, psk: Buffer.from(key, "latin1") }) };
        const socket = tls.connect({ host, port, minVersion: "TLSv1.3", ciphers: "TLS_AES_128_GCM_SHA256", rejectUnauthorized: false, checkServerIdentity: () => undefined, ...psk });
        const said = await new Promise((done) => { socket.on("error", (e) => done("refused"));
          socket.on("close", () => done("refused"));
          socket.on("secureConnect", () => { const s = http2.connect("http://door", { createConnection: () => socket }); s.on("error", () => done("refused"));
            s.request({ ":path": "/stolen" }).on("error", () => done("refused")).on("response", () => done("let in")); }); });
        console.log(name, said); }
      process.exit(0);`;
    const printed = await host.inNetworkOf(given(spec).id, script);
    assert.deepEqual(
      printed.trim().split("\n"),
      all.map(({ name }) => `${name} refused`),
    );
    await given(run).until((events) => {
      const told = events.flatMap((event) => (event.type === "relay_refused" ? [event.reason] : []));
      return told.includes("used key") && told.includes("foreign key") && told.includes("no key");
    }, PATIENCE_MS);
    assert.deepEqual(ofType(neighbour, "relay_refused"), []);
    assert.equal(await askDoor(run, "/after"), "open");
    assert.ok(![...requestsOf(spec), ...requestsOf(neighbourSpec)].includes("/stolen"));
  });

  it("stays open, as do all others, while a crowd without a key stands at its port", async () => {
    const { host: address, port } = await host.portOf(given(spec).id);
    const script = `import net from "node:net"; let closed = 0; const open = () => net.connect({ host: "${address}", port: ${port} })
      .on("error", () => {}).on("close", () => { closed++; if (closed < 1500) open(); else process.exit(0); });
      for (let n = 0; n < 200; n++) open();`;
    const flood = host.inNetworkOf(given(spec).id, script);
    await given(run).until(
      (events) => events.some((e) => e.type === "relay_refused" && e.reason === "crowd"),
      PATIENCE_MS,
    );
    for (const [n, watched] of [run, neighbour, run, neighbour].entries()) {
      assert.equal(await askDoor(watched, `/during/${n}`), "open");
    }
    await flood;
    const refused = ofType(run, "relay_refused");
    assert.ok(refused.length < 20, `${refused.length} events`);
    assert.deepEqual(ofType(neighbour, "relay_refused"), []);
  });

  it("is lost with its relay, and with nothing else, and stands again by another one under another key", async () => {
    const { id } = given(spec);
    const before = await host.relayOf(id);
    await host.api.ask("POST", `/containers/${before.Id}/kill`);
    await given(run).until((events) => events.some(({ type }) => type === "door_mended"), PATIENCE_MS);
    assert.equal(ofType(run, "door_lost").length, 1);
    assert.equal(await askDoor(run, "/again"), "open");
    assert.notEqual((await host.relayOf(id)).Id, before.Id);
    assert.equal(new Set(host.keys().map(({ key }) => key)).size, 3);
    for (const type of ["door_lost", "exited"] as const) assert.deepEqual(ofType(neighbour, type), []);
  });

  it("is not mended for ever: a sandbox that keeps losing it is ended, and nobody else", async () => {
    const { id } = given(spec);
    const pid = ofType(run, "started")[0]?.pid ?? 0;
    // One more is allowed for each share of a minute that this takes.
    while (!given(run).events.some(({ type }) => type === "exited")) {
      const known = given(run).events.length;
      await host.api.ask("POST", `/containers/${(await host.relayOf(id)).Id}/kill`);
      await given(run).until(
        (events) => events.slice(known).some(({ type }) => type === "door_mended" || type === "exited"),
        PATIENCE_MS,
      );
    }
    assert.ok(ofType(run, "door_lost").length > limits.docker.relayRestartsPerMinuteMax);
    assert.equal(startTimeOf(pid), null);
    assert.ok((await host.kept()).every((name) => name.includes(given(neighbourSpec).id)));
    assert.equal(await askDoor(neighbour, "/alone"), "open");
  });

  it("ends with its sandbox, and is not mourned", async () => {
    const brief = await startWatched(host.backend, specOf("0"));
    await brief.ended(PATIENCE_MS);
    assert.deepEqual(
      brief.events.map(({ type }) => type),
      ["started", "exited"],
    );
  });

  it("leaves no container, network or volume behind when its mesh was killed", async () => {
    assert.ok((await host.kept()).length >= 4);
    assert.deepEqual(await host.again().sweep(), [given(neighbourSpec).id]);
    assert.deepEqual(await host.kept(), []);
    assert.deepEqual(host.leftovers(), []);
  });
});
