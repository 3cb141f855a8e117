import { z } from "zod";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { BoardGlob, BoardKey, Name } from "../../protocol/names.ts";
import { Bytes, Duration } from "../config/fields.ts";
import { CronPattern } from "./cron.ts";
import { referencesOf } from "../workflow/expression.ts";
import { readEffect, workflowFields } from "./effect.ts";
import type { Job, Probe, Timing } from "./job.ts";
import { Zone } from "./zone.ts";

function isWebAddress(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
}

/** `schedule:` of the fleet file, by name. */
export const JobForm = z.strictObject({
  cron: z.string().optional(),
  every: Duration.optional(),
  at: z.string().optional(),
  time_zone: z.string().max(64).optional(),
  message: z.strictObject({ to: Name, body: z.string().min(1).max(limits.message.bodyBytesMax) }).optional(),
  ...workflowFields,
  missed: z.enum(["skip", "once", "all"]).optional(),
  overlap: z.enum(["skip", "allow"]).optional(),
  jitter: Duration.refine((ms) => ms <= limits.schedule.jitterMsMax, "must be at most `1h`").optional(),
  probe: z
    .strictObject({
      inbox: Name.optional(),
      board: BoardGlob.optional(),
      topic: BoardKey.optional(),
      disk_below: Bytes.optional(),
      url: z.string().max(512).refine(isWebAddress, "must be an http or https address without user name").optional(),
    })
    .optional(),
});
type JobForm = z.infer<typeof JobForm>;

/** Where in the entry the fault is, what it is, and how to mend it. */
export interface JobFault {
  readonly at: readonly string[];
  readonly message: string;
  readonly fix: string;
}

export interface JobContext {
  readonly timeZone: string;
  readonly agents: ReadonlySet<string>;
  /** The workflow file that the entry names, absolute. */
  readonly workflow?: string | null;
}

/** One entry; `firingsPerDay` is the most that it can cause. */
export function readJob(
  name: string,
  form: JobForm,
  { timeZone, agents, workflow = null }: JobContext,
): Result<{ readonly job: Job; readonly firingsPerDay: number }, JobFault> {
  const timing = readTiming(form, form.time_zone ?? timeZone);
  if (!timing.ok) return timing;
  const effect = readEffect(form, { agents, workflow, inputDefault: {} });
  if (!effect.ok) return effect;
  if (effect.value.kind === "workflow" && referencesOf(effect.value.input).length > 0)
    return fault(["input"], "nothing comes with a tick", "use constants");
  const inbox = form.probe?.inbox;
  if (inbox !== undefined && !agents.has(inbox))
    return fault(["probe", "inbox"], `no agent \`${inbox}\``, "declare it under `agents`, or correct the name");
  const probes = probesOf(form.probe);
  if (form.probe && probes.length !== 1)
    return fault(["probe"], `${probes.length} probes`, "give one of `inbox`, `board`, `topic`, `disk_below`, `url`");
  const { missed = "once", overlap = "skip", jitter = 0 } = form;
  const own = { name, timing: timing.value, effect: effect.value };
  const job: Job = { ...own, missed, overlap, jitterMs: jitter, probe: probes[0] ?? null };
  return ok({ job, firingsPerDay: firingsPerDay(timing.value) });
}

function readTiming(form: JobForm, zoneName: string): Result<Timing, JobFault> {
  const given = [form.cron, form.every, form.at].filter((value) => value !== undefined);
  if (given.length !== 1) return fault([], "a job has one of `cron`, `every`, `at`", "give one of them");
  let zone: Zone;
  try {
    zone = new Zone(zoneName);
  } catch {
    return fault(["time_zone"], `\`${zoneName}\` is not a time zone`, "use an IANA name such as `Europe/Berlin`");
  }
  if (form.cron !== undefined) {
    const pattern = CronPattern.parse(form.cron);
    return pattern.ok
      ? ok({ kind: "cron", pattern: pattern.value, zone })
      : fault(["cron"], pattern.error, "use five fields, for example `0 7 * * 1-5`");
  }
  if (form.every !== undefined) {
    const { intervalMsMin, horizonMs } = limits.schedule;
    if (form.every < intervalMsMin || form.every > horizonMs)
      return fault(
        ["every"],
        "an interval is refused",
        `use \`${intervalMsMin / 1000}s\` to \`${horizonMs / 86_400_000}d\``,
      );
    return ok({ kind: "every", ms: form.every });
  }
  return readInstant(form.at ?? "", zone);
}

function readInstant(text: string, zone: Zone): Result<Timing, JobFault> {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d)(Z?)$/.exec(text);
  const local = match ? Date.parse(`${match[1]}:00Z`) : NaN;
  const real = Number.isFinite(local) && new Date(local).toISOString().startsWith(match?.[1] ?? " ");
  if (!real) return fault(["at"], `\`${text.slice(0, 40)}\` is not a point in time`, "use the form `2027-01-31T09:00`");
  if (local < 0 || local > limits.schedule.atMsMax)
    return fault(["at"], `\`${text}\` is out of range`, "use a date from 1970 to 2099");
  return ok({ kind: "at", atMs: match?.[2] === "Z" ? local : zone.instant(local) });
}

function probesOf(form: JobForm["probe"]): Probe[] {
  const probes: Probe[] = [];
  if (form?.inbox !== undefined) probes.push({ kind: "inbox", agent: form.inbox });
  if (form?.board !== undefined) probes.push({ kind: "board", match: form.board });
  if (form?.topic !== undefined) probes.push({ kind: "topic", topic: form.topic });
  if (form?.disk_below !== undefined) probes.push({ kind: "disk", freeBytesBelow: form.disk_below });
  if (form?.url !== undefined) probes.push({ kind: "url", url: form.url });
  return probes;
}

function firingsPerDay(timing: Timing): number {
  if (timing.kind === "cron") return timing.pattern.firingsPerDayMax;
  return timing.kind === "every" ? Math.ceil(86_400_000 / timing.ms) : 1;
}

const fault = (at: readonly string[], message: string, fix: string): Result<never, JobFault> =>
  err({ at, message, fix });
