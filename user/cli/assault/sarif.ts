/** A report of `cordon assault` as SARIF 2.1.0 (OASIS standard, 27 March 2020), for whatever gathers findings. */
import type { AssaultReport, AssaultResult } from "../../../protocol/assault.ts";

const OWASP_AGENTIC = "https://genai.owasp.org/resource/owasp-top-10-for-agentic-applications-for-2026/";

/** Attempts that were stopped are results of kind `pass`; one of which nothing is known is `open`. */
export function sarifOf(report: AssaultReport, version: string): object {
  return {
    $schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: { driver: { name: "cordon-assault", version, rules: report.results.map(ruleOf) } },
        invocations: [
          {
            executionSuccessful: report.fault === undefined,
            ...(report.fault === undefined
              ? {}
              : { toolExecutionNotifications: [{ level: "error", message: { text: report.fault } }] }),
          },
        ],
        results: report.results.map((result, ruleIndex) => findingOf(report.subject, result, ruleIndex)),
      },
    ],
  };
}

const ruleOf = (result: AssaultResult): object => ({
  id: result.id,
  shortDescription: { text: result.title },
  helpUri: OWASP_AGENTIC,
  defaultConfiguration: { level: levelOf(result) },
  properties: { tags: ["security", result.threat, result.grade, ...result.owasp.map((id) => `OWASP/${id}`)] },
});

const levelOf = ({ grade }: AssaultResult): string => (grade === "escape" ? "error" : "warning");

const findingOf = (subject: string, result: AssaultResult, ruleIndex: number): object => ({
  ruleId: result.id,
  ruleIndex,
  ...(result.verdict === "out"
    ? { kind: "fail", level: levelOf(result) }
    : { kind: result.verdict === "stopped" ? "pass" : "open", level: "none" }),
  message: { text: sentenceOf(result) },
  locations: [{ logicalLocations: [{ name: subject, kind: "resource" }] }],
  partialFingerprints: { "attempt/v1": result.id },
});

function sentenceOf({ title, verdict, stoppedBy, evidence }: AssaultResult): string {
  if (verdict === "stopped") return `${title}: stopped by ${stoppedBy} (${evidence})`;
  return verdict === "out" ? `${title}: not stopped (${evidence})` : `${title}: not known (${evidence})`;
}
