/** From the lines that came out of a container to a report. Whatever is missing, doubled or malformed is not known. */
import { parseJson } from "../../../lib/json.ts";
import type { AssaultReport, AssaultResult } from "../../../protocol/assault.ts";
import { catalogue, controls, wallOf } from "./catalogue.ts";

export interface Told {
  readonly id: string;
  readonly stopped: boolean;
  readonly by: string;
}

const LINE_DEPTH_MAX = 4;
const EVIDENCE_CHARS_MAX = 300;

/** A line of this run; null for whatever else a launcher or a container prints. */
export function readLine(line: string, nonce: string): Told | null {
  if (!line.startsWith("{")) return null;
  const parsed = parseJson(Buffer.from(line), LINE_DEPTH_MAX);
  if (!parsed.ok || typeof parsed.value !== "object" || parsed.value === null || Array.isArray(parsed.value))
    return null;
  const { cordon, id, stopped, by } = parsed.value as Readonly<Record<string, unknown>>;
  if (cordon !== nonce || typeof id !== "string" || typeof stopped !== "boolean" || typeof by !== "string") return null;
  return { id, stopped, by: by.slice(0, EVIDENCE_CHARS_MAX) };
}

/** `answered`: attempts that may get an answer, and from whom. `caught`: what the host saw arrive by itself; `trouble`: why the container may not have run. */
export function reportOf(
  subject: string,
  told: readonly Told[],
  caught: readonly string[],
  trouble: string,
  answered: Readonly<Record<string, string>> = {},
): AssaultReport {
  const byId = Map.groupBy(told, ({ id }) => id);
  const results = catalogue.map((attempt): AssaultResult => {
    const lines = byId.get(attempt.id) ?? [];
    const [line] = lines;
    if (!line) return { ...attempt, verdict: "unknown", stoppedBy: "", evidence: "it did not report" };
    // Two answers to one question: the worse one counts.
    const out = lines.find(({ stopped }) => !stopped);
    const by = answered[attempt.id];
    if (out && by !== undefined) return { ...attempt, verdict: "stopped", stoppedBy: by, evidence: out.by };
    if (out) return { ...attempt, verdict: "out", stoppedBy: "", evidence: out.by };
    return { ...attempt, verdict: "stopped", stoppedBy: wallOf(line.by), evidence: line.by };
  });
  const arrived = caught.map((what): AssaultResult => ({
    ...{ id: `arrived-${what.replaceAll(/[^a-z]+/gi, "-").toLowerCase()}`, title: `${what} arrived at the host` },
    ...{ threat: "network", grade: "escape", owasp: ["ASI05", "ASI10", "LLM02"] },
    ...{ verdict: "out", stoppedBy: "", evidence: "the host's own listener saw it" },
  }));
  const fault = faultOf(byId, results, trouble);
  return { subject, results: [...results, ...arrived], ...(fault === undefined ? {} : { fault }) };
}

function faultOf(
  byId: ReadonlyMap<string, readonly Told[]>,
  results: readonly AssaultResult[],
  trouble: string,
): string | undefined {
  const failed = controls.filter((id) => !(byId.get(id) ?? []).some(({ stopped }) => !stopped));
  const unknown = results.filter(({ verdict }) => verdict === "unknown").length;
  const said = trouble === "" ? "" : `: ${trouble}`;
  if (failed.length === controls.length) return `the hostile code did not run${said}`;
  if (unknown > 0) return `${unknown} attempts did not report${said}`;
  if (failed.length > 0) return `the proof \`${failed[0]}\` that the attempts can succeed is missing${said}`;
  return undefined;
}
