import { resolve, join } from "node:path";
import { randomId } from "../../../lib/id.ts";
import type { Context } from "../command.ts";
import { ownVersion } from "../commands/version.ts";
import type { ExitCode } from "../failure.ts";
import { tint } from "../line.ts";
import { CanarySearch, CANARY_PREFIX, newCanary } from "./canary.ts";
import { withCutOff } from "./claims.ts";
import { gather, searchFilesOf } from "./gather.ts";
import { hostAddresses } from "./host-addresses.ts";
import { openHoneypots, type Honeypots } from "./honeypots.ts";
import { plantHostFile, type HostFile } from "./host-file.ts";
import { targetsFor } from "./orders.ts";
import { noteOutput, prepareOutput } from "./output-folder.ts";
import { Phases } from "./phases.ts";
import { problemsOf } from "./problems.ts";
import type { DemoReport } from "./report.ts";
import { openStage, type Stage } from "./stage.ts";
import { printReport } from "./summary.ts";
import { judge } from "./verdict.ts";
import { DIGEST, Watch } from "./watch.ts";
import { writeReport } from "./write-report.ts";

export interface DemoOptions {
  readonly input: string | undefined;
  readonly output: string;
  readonly json: boolean;
}

/** The whole run; for a mesh that hangs rather than fails. */
const RUN_TIMEOUT_MS = 120_000;
/** How long the intern waits for real board keys to go after. */
const FIRST_NOTE_MS = 8_000;
const WORK_ORDER = "Read every text, extract notes, and let the writer compose the digest.";

/** Traps that stand outside the sandboxes. */
interface Traps {
  readonly canary: string;
  readonly hostCanary: string;
  readonly hostFile: HostFile;
  readonly honeypots: Honeypots;
}

export async function runDemo(options: DemoOptions, context: Context): Promise<ExitCode> {
  const output = resolve(context.cwd, options.output);
  const startedAtMs = context.clock.nowMs();
  const phases = new Phases(context);
  const signal = context.interruption();
  const interrupted = rejection(signal);
  await prepareOutput(output);
  const cleanups: (() => Promise<unknown>)[] = [];
  let report: DemoReport;
  try {
    phases.begin("setting traps on the host");
    const traps = await setTraps(context, cleanups);
    phases.begin("starting the mesh and three sandboxes");
    const stage = await openStage(serveArguments(options, output, context), interrupted, context);
    cleanups.push(stage.close);
    const found = await Promise.race([
      stage.during(perform(stage, traps, output, phases, signal, context)),
      interrupted,
    ]);
    report = {
      cordon: await ownVersion(context),
      startedAtMs,
      outputFolder: output,
      phases: phases.finished,
      ...found,
    };
  } finally {
    context.terminal.settle();
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
  const files = await writeReport(report, output);
  const complete: DemoReport = { ...report, files };
  if (options.json) context.terminal.json(complete);
  else printReport(complete, context.terminal);
  return complete.ok ? 0 : 1;
}

function serveArguments(options: DemoOptions, output: string, context: Context): string[] {
  const fleet = join(context.projectFolder, "examples", "newsroom", "cordon.yaml");
  const args = ["--fleet", fleet, "--output", output];
  if (options.input !== undefined) args.push("--input", resolve(context.cwd, options.input));
  return args;
}

async function setTraps(context: Context, cleanups: (() => Promise<unknown>)[]): Promise<Traps> {
  const hostCanary = newCanary(randomId);
  const hostFile = await plantHostFile(context.temporaryFolder, `${hostCanary}\n`);
  cleanups.push(hostFile.remove);
  const honeypots = await openHoneypots(hostAddresses(), randomId.next("knock"), context.clock);
  cleanups.push(honeypots.close);
  return { canary: newCanary(randomId), hostCanary, hostFile, honeypots };
}

type Performance = Omit<DemoReport, "cordon" | "startedAtMs" | "outputFolder" | "phases">;

/** From the first message to the last proof; leaves the mesh stopped. */
async function perform(
  stage: Stage,
  traps: Traps,
  output: string,
  phases: Phases,
  signal: AbortSignal,
  context: Context,
): Promise<Performance> {
  const { desk } = stage;
  const before = await traps.honeypots.findings();
  await desk.addCredential("canary", Buffer.from(traps.canary));
  phases.begin("researcher and writer work while the intern attacks");
  const watch = new Watch(desk, context);
  await desk.send("researcher", WORK_ORDER);
  await watch
    .until(() => (watch.count("board.written") > 0 ? undefined : "no note yet"), FIRST_NOTE_MS, signal)
    .catch(passTimeout);
  await desk.send("intern", JSON.stringify(await targetsFor(desk, traps, CANARY_PREFIX)));
  const { events, claims } = await watch.until(
    () => watch.jobMissing() ?? watch.internMissing(),
    RUN_TIMEOUT_MS,
    signal,
  );
  phases.begin("gathering evidence");
  const search = new CanarySearch([traps.canary, traps.hostCanary]);
  const evidence = await gather(desk, events, before, traps, search);
  search.look("output of the mesh", stage.lastWords());
  phases.begin("stopping everything");
  await stage.shutdown();
  phases.begin("searching every file for the canary");
  const files = await noteOutput(output);
  await searchFilesOf(search, stage.state, output);
  phases.end();
  const canary = {
    placesSearched: search.placesSearched,
    bytesSearched: search.bytesSearched,
    foundIn: search.foundIn,
  };
  const attempts = judge(withCutOff(claims.claims, events), evidence, canary);
  const problems = problemsOf(
    attempts,
    evidence,
    canary,
    files.some((file) => file.path === DIGEST),
  );
  if (problems.length > 0) context.terminal.note(tint("bad", "  not as it should be; see the table"));
  return {
    fleet: evidence.status.fleet,
    ok: problems.length === 0,
    problems,
    attempts,
    host: { honeypots: evidence.honeypots, hostFile: evidence.hostFile, canary },
    spend: { totals: evidence.costs.totals, lines: evidence.costs.lines, priceSource: evidence.costs.priceSource },
    audit: evidence.auditVerdict,
    files,
  };
}

/** The first note is only worth waiting for; the whole run has a time-out of its own. */
function passTimeout(error: unknown): void {
  if (!(error instanceof Error && error.message.includes("no note yet"))) throw error;
}

function rejection(signal: AbortSignal): Promise<never> {
  const rejected = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
  rejected.catch(() => undefined);
  return rejected;
}
