import type { AuditVerdict } from "../../../protocol/desk.ts";
import { jsonOption, stateOptions, type Command, type Context, type Input } from "../command.ts";
import { openDesk } from "../desk-client.ts";
import { usageFailure, type ExitCode } from "../failure.ts";
import { tint } from "../line.ts";
import { askDeskOr, meshJson } from "../mesh-offline.ts";
import { passphraseOption, unlocking } from "../passphrase.ts";
import { placesOf } from "../places.ts";
import { nearest } from "../../../lib/nearest.ts";

export const audit: Command = {
  name: "audit",
  summary: "verify the chain of evidence (also when nothing is running), or read it",
  usage: "verify | show [--after N] [-n N]",
  options: {
    after: { value: "N", help: "show: records after this number (default: 0)" },
    count: { value: "N", short: "n", help: "show: how many at most (default: 100)" },
    ...passphraseOption,
    ...jsonOption,
    ...stateOptions,
  },
  words: [1, 1],
  async run(input, context) {
    const verb = input.words[0] ?? "";
    if (verb === "verify") return verify(input, context);
    if (verb === "show") return show(input, context);
    const near = nearest(verb, ["verify", "show"]);
    throw usageFailure(
      `\`cordon audit\` cannot \`${verb}\``,
      near ? `did you mean \`cordon audit ${near}\`` : "say verify or show",
    );
  },
};

async function verify(input: Input, context: Context): Promise<ExitCode> {
  const { state } = placesOf(input, context);
  const verdict = await askDeskOr(
    state,
    (desk) => desk.verifyAudit(),
    async () => meshJson<AuditVerdict>(context, ["verify", "--state", state], [0, 1], await unlocking(input, context)),
  );
  if (input.flag("json")) context.terminal.json(verdict);
  else if (verdict.ok) {
    context.terminal.print([
      tint("good", "intact: "),
      `${verdict.records} records, ${verdict.checkpoints} signed checkpoints, head ${verdict.head}`,
    ]);
  } else {
    context.terminal.print([
      tint("bad", "broken: "),
      `record ${verdict.badSeq} of ${verdict.records}: ${verdict.fault}`,
    ]);
    context.terminal.note([tint("strong", "fix: "), "keep this state as it is and compare it with your last backup"]);
  }
  return verdict.ok ? 0 : 1;
}

async function show(input: Input, context: Context): Promise<ExitCode> {
  const after = input.count("after", 0, 0, Number.MAX_SAFE_INTEGER);
  const count = input.count("count", 100, 1, 1_000);
  const desk = await openDesk(placesOf(input, context).state);
  const page = await desk.audit(after, count);
  if (input.flag("json")) {
    context.terminal.json(page);
    return 0;
  }
  context.terminal.table(
    ["record", "time", "kind", "subject", "detail"],
    page.records.map((row) => [String(row.seq), isoTime(row.atMs), row.kind, row.subject, JSON.stringify(row.detail)]),
  );
  if (page.records.length >= count)
    context.terminal.note(tint("faint", `more: cordon audit show --after ${page.next}`));
  return 0;
}

/** UTC to the second; what is no time is shown as it is. */
export function isoTime(atMs: number): string {
  const fits = Number.isFinite(atMs) && Math.abs(atMs) < 8.64e15;
  return fits ? new Date(atMs).toISOString().slice(0, 19).replace("T", " ") : String(atMs);
}
