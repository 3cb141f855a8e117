/**
 * What the gateway costs, beside a bare proxy and other gateways, in turns in one run: client and provider on one core, each
 * gateway in a process of its own on the other. CPU-seconds are those of all threads of the gateway. Read the ratios.
 *
 * Before the first round all are warmed up alike: with the same load for as long, so that what is measured is a server that
 * has run for a minute, and not the compiling of its code.
 *
 * Usage: node test/performance/gateway.ts [--rounds N] [--scale X] [--warm SECONDS] [--rows N] [--only NAME,NAME]
 * [--state FOLDER]
 * `--rounds 1 --scale 0.3 --warm 5 --rows 0` is a short look; `--only nginx,Cordon` leaves the others out; `--state` is where the
 * meshes keep their state (a disk with its own price of a flush).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loads } from "./gateway/calls.ts";
import {
  bare,
  certificateIn,
  CORES,
  cordon,
  direct,
  endAll,
  folderIn,
  nginx,
  portkey,
  started,
  type Contestant,
} from "./gateway/contestants.ts";
import { Course, type Samples } from "./gateway/course.ts";
import { withPast } from "./gateway/past.ts";
import { flushUsIn } from "./gateway/process-costs.ts";
import { printReport } from "./gateway/report.ts";
import { abortMs, boardReads, HELD_STREAMS, heldStreams } from "./gateway/single-trials.ts";

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: { rounds: text, scale: text, warm: text, rows: text, only: text, state: text },
});
const rounds = Number(values.rounds ?? 5);
const scale = Number(values.scale ?? 1);
const warmS = Number(values.warm ?? 60);
const rows = Number(values.rows ?? 1_000_000);
const only = values.only?.split(",");

/** Between two pieces of a paced answer. */
const REST_MS = 4;

const folder = mkdtempSync(join(tmpdir(), "cordon-performance-"));
const stateFolder = values.state === undefined ? folder : mkdtempSync(join(values.state, "cordon-performance-"));
const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function contestants(provider: Parameters<typeof direct>[0]): Promise<Contestant[]> {
  const wanted = (name: string): boolean => !only || only.includes(name);
  const found: Contestant[] = [direct(provider)];
  if (wanted("nginx")) {
    const server = await nginx(folder, provider);
    if (server) found.push(server);
    else say("nginx is not here, so nothing is compared with it: install it with `apt-get install -y nginx-light`");
  }
  if (wanted("bare")) found.push(await bare(folder, provider));
  if (wanted("Portkey")) {
    const server = await portkey(provider);
    if (server) found.push(server);
    else say("Portkey is not here: install it with `npm ci --ignore-scripts --prefix test/performance/peers`");
  }
  const mesh = (name: string, agents: number): Promise<Contestant> =>
    cordon(name, folderIn(stateFolder, "mesh"), provider, agents);
  found.push(await mesh("Cordon", 10));
  if (wanted("flat")) {
    found.push(await mesh("1,000 agents", 1_000));
    if (rows > 0) {
      const past = folderIn(stateFolder, "mesh");
      await withPast(past, rows);
      found.push(await cordon(`${rows} rows`, past, provider, 10));
    }
  }
  return found;
}

try {
  const made = certificateIn(folder);
  if (!made) say("openssl is not here, so nothing is measured over TLS");
  const { child: providerProcess, first: ports } = await started(
    "./provider.ts",
    made ? [made.key, made.certificate] : [],
    CORES.load,
  );
  const { child: client } = await started("./client.ts", [], CORES.load);
  const all = await contestants({
    ...(ports as { readonly port: number; readonly tlsPort: number }),
    certificate: made?.certificate ?? "",
  });
  const course = new Course(client, loads(scale));
  const samples: Samples = new Map();
  const warmRounds = Math.max(1, Math.ceil(warmS / course.roundSeconds));
  for (let round = 1; round <= warmRounds; round++) {
    await course.round(all);
    say(`warm-up ${round} of ${warmRounds}`);
  }
  for (let round = 1; round <= rounds; round++) {
    await course.round(all, samples);
    say(`round ${round} of ${rounds}`);
  }
  const trials = {
    abort: await abortMs(all, client, providerProcess),
    held: await heldStreams(all, client, Math.round(HELD_STREAMS * Math.min(1, scale))),
    board: await boardReads(all, course),
  };
  printReport({
    rounds,
    warmS: warmRounds * course.roundSeconds,
    flushUs: flushUsIn(stateFolder),
    restedFlushUs: flushUsIn(stateFolder, REST_MS),
    rows,
    samples,
    trials,
  });
} finally {
  await endAll();
  for (const each of new Set([folder, stateFolder])) rmSync(each, { recursive: true, force: true });
}
