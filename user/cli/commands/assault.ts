import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseJson } from "../../../lib/json.ts";
import type { AssaultLine, AssaultReport, AssaultResult } from "../../../protocol/assault.ts";
import { sarifOf } from "../assault/sarif.ts";
import type { Command, Context, Input } from "../command.ts";
import { codeOf, Failure, type ExitCode } from "../failure.ts";
import { tint, type Line } from "../line.ts";
import { followMesh, meshFailure } from "../mesh-process.ts";

const LINE_DEPTH_MAX = 8;

export const assault: Command = {
  name: "assault",
  summary: "try to break out of a sandbox of this machine, or of any container launcher",
  usage:
    "[--backend NAME | --runtime-cmd 'LAUNCHER … {rootfs} … {code} … {command}'] [--all] [--json FILE] [--sarif FILE]",
  options: {
    backend: { value: "NAME", help: "oci (default), gvisor or docker" },
    socket: { value: "PATH", help: "socket of the docker engine (default: /var/run/docker.sock)" },
    "runtime-cmd": { value: "COMMAND", help: "test somebody else's container launcher instead" },
    all: { help: "list what was stopped as well" },
    json: { value: "FILE", help: "write the report as JSON" },
    sarif: { value: "FILE", help: "write the report as SARIF 2.1.0" },
  },
  words: [0, 0],
  notes: [
    "exit code 0: everything was stopped; 1: something got out; 2: it could not run, so nothing is known",
    "`{code}` must stand, readable, at /code inside; `{rootfs}` is a root file system with Node at /bin/node",
    "the command is cut into words and run without a shell; see examples/weak-sandboxes",
  ],
  async run(input, context) {
    const report = await reportFrom(input, context);
    context.terminal.settle();
    const ran = report.results.some(({ verdict }) => verdict !== "unknown");
    const rows = report.results.filter(({ verdict }) => ran && (input.flag("all") || verdict !== "stopped"));
    if (rows.length > 0) context.terminal.table(["", "attempt", "stopped by", "evidence", "OWASP"], rows.map(rowOf));
    write(context, input.text("json"), report);
    write(context, input.text("sarif"), sarifOf(report, versionOf(context)));
    return conclude(context, report);
  },
};

async function reportFrom(input: Input, context: Context): Promise<AssaultReport> {
  const args = ["backend", "socket", "runtime-cmd"].flatMap((name) => {
    const value = input.text(name);
    return value === undefined ? [] : [`--${name}=${value}`];
  });
  let report: AssaultReport | undefined;
  let tried = 0;
  const onLine = (text: string): void => {
    const parsed = parseJson(Buffer.from(text), LINE_DEPTH_MAX);
    if (!parsed.ok) return;
    const line = parsed.value as unknown as AssaultLine;
    if (line.kind === "report") report = line.report;
    else context.terminal.live(`${++tried} of ${line.of}  ${line.id}`);
  };
  const { code, stderr } = await followMesh(context, ["assault", ...args], onLine, context.interruption());
  if (report) return report;
  const { message, fix } = meshFailure(stderr, code);
  // Not 1: that would say that something got out.
  throw new Failure(message, fix, 2);
}

function rowOf({ title, verdict, grade, stoppedBy, evidence, owasp }: AssaultResult): Line[] {
  const mark = { stopped: tint("good", "ok"), unknown: tint("warn", "??"), out: tint("bad", "out") }[verdict];
  const weak = verdict === "out" && grade === "surface" ? tint("warn", "open") : mark;
  return [weak, title, stoppedBy || "nothing", evidence, owasp.join(" ")];
}

function conclude({ terminal }: Context, { subject, results, fault }: AssaultReport): ExitCode {
  const count = (verdict: string, grade: string): number =>
    results.filter((each) => each.verdict === verdict && each.grade === grade).length;
  const [out, open] = [count("out", "escape"), count("out", "surface")];
  const stopped = results.filter(({ verdict }) => verdict === "stopped").length;
  if (fault !== undefined) terminal.note([tint("warn", "no verdict: "), fault]);
  const verdict = out + open > 0 ? tint("bad", "it does not hold: ") : tint("good", "it holds: ");
  if (fault === undefined || out + open > 0) {
    terminal.print([verdict, `${subject}: ${stopped} attempts stopped, ${out} got out, ${open} walls are missing`]);
  }
  if (out + open > 0) return 1;
  return fault === undefined ? 0 : 2;
}

function write({ cwd }: Context, file: string | undefined, value: unknown): void {
  if (file === undefined) return;
  try {
    writeFileSync(resolve(cwd, file), `${JSON.stringify(value, null, 2)}\n`);
  } catch (error) {
    throw new Failure(`\`${file}\` cannot be written: ${codeOf(error)}`, "choose another file", 2, { cause: error });
  }
}

const versionOf = ({ projectFolder }: Context): string =>
  (JSON.parse(readFileSync(join(projectFolder, "package.json"), "utf8")) as { readonly version: string }).version;
