import { createHash } from "node:crypto";
import { assert } from "../../../lib/assert.ts";
import type { RunSummary, RunTrace, TraceSpan } from "../../../protocol/run.ts";

/**
 * A run as one request of OTLP/HTTP with JSON bodies (opentelemetry-proto 1.x: ids in hex, times as strings of
 * nanoseconds, enumerations as numbers), as a collector takes it at `/v1/traces`. Attributes follow the semantic
 * conventions for GenAI (v1.41) where they have a name, and begin with `cordon.` where they have none. Ids are made from
 * those of the run, so that the same run exported twice is the same trace.
 */
export function otlpOf({ run, spans }: RunTrace, nowMs: number): OtlpRequest {
  const traceId = idOf(run.id, 16);
  const rootId = idOf(`${run.id}/root`, 8);
  const parents: string[] = [];
  const made = spans.map((span, index): OtlpSpan => {
    parents.length = Math.min(parents.length, span.depth);
    const spanId = idOf(`${run.id}/${index}/${span.run}/${span.task}/${span.attempt}/${span.kind}/${span.name}`, 8);
    const parentSpanId = parents[span.depth - 1] ?? rootId;
    parents[span.depth] = spanId;
    const endMs = span.endMs === null ? null : run.createdAtMs + span.endMs;
    return {
      ...{ traceId, spanId, parentSpanId, name: nameOf(span), kind: span.kind === "model" ? CLIENT : INTERNAL },
      startTimeUnixNano: nanos(run.createdAtMs + span.startMs),
      endTimeUnixNano: nanos(endMs ?? nowMs),
      attributes: attributesOf(span, endMs === null),
      status: statusOf(span.end),
    };
  });
  const resource = { attributes: [text("service.name", "cordon")] };
  const all = [rootOf(run, traceId, rootId, nowMs), ...made];
  return { resourceSpans: [{ resource, scopeSpans: [{ scope: { name: "cordon" }, spans: all }] }] };
}

export interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly scope: { readonly name: string }; readonly spans: readonly OtlpSpan[] }[];
  }[];
}

interface OtlpSpan {
  /** 32 and 16 characters of hex. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly Attribute[];
  readonly status: { readonly code: number; readonly message?: string };
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue: string } | { readonly intValue: string } | { readonly boolValue: boolean };
}

const INTERNAL = 1;
const CLIENT = 3;
const [UNSET, OK, ERROR] = [0, 1, 2] as const;

const text = (key: string, value: string): Attribute => ({ key, value: { stringValue: value } });
const whole = (key: string, value: number): Attribute => ({ key, value: { intValue: String(value) } });

/** Exact: milliseconds since 1970 in nanoseconds are more than a number holds. */
function nanos(atMs: number): string {
  assert(Number.isSafeInteger(atMs) && atMs >= 0, "a time is a whole number of milliseconds");
  return `${BigInt(atMs) * 1_000_000n}`;
}

function idOf(name: string, bytes: number): string {
  return createHash("sha256")
    .update(name)
    .digest("hex")
    .slice(0, 2 * bytes);
}

function rootOf(run: RunSummary, traceId: string, spanId: string, nowMs: number): OtlpSpan {
  return {
    ...{ traceId, spanId, name: `invoke_workflow ${run.workflow}`, kind: INTERNAL },
    startTimeUnixNano: nanos(run.createdAtMs),
    endTimeUnixNano: nanos(Math.max(run.createdAtMs, run.finishedAtMs ?? nowMs)),
    attributes: [
      text("gen_ai.operation.name", "invoke_workflow"),
      text("gen_ai.workflow.name", run.workflow),
      text("cordon.run.id", run.id),
      text("cordon.run.starter", run.starter),
      text("cordon.run.status", run.status),
      text("cordon.plan.digest", run.plan),
    ],
    status:
      run.status === "succeeded"
        ? { code: OK }
        : run.status === "failed"
          ? { code: ERROR, message: run.reason }
          : { code: UNSET },
  };
}

const nameOf = ({ kind, name }: TraceSpan): string =>
  kind === "model" ? `chat ${modelOf(name).model}` : kind === "tool" ? `execute_tool ${name}` : name;

/** `provider/model`; a model's own name can have a `/`, too. */
function modelOf(name: string): { readonly provider: string; readonly model: string } {
  const slash = name.indexOf("/");
  return slash < 0 ? { provider: name, model: name } : { provider: name.slice(0, slash), model: name.slice(slash + 1) };
}

function attributesOf(span: TraceSpan, open: boolean): Attribute[] {
  const own = [
    text("cordon.run.id", span.run),
    text("cordon.task", span.task),
    whole("cordon.attempt", span.attempt),
    text("cordon.end", span.end),
    ...(open ? [{ key: "cordon.open", value: { boolValue: true } } as const] : []),
    ...(failed(span.end) ? [text("error.type", errorType(span.end))] : []),
  ];
  if (span.kind === "tool")
    return [text("gen_ai.operation.name", "execute_tool"), text("gen_ai.tool.name", span.name), ...own];
  if (span.kind === "step") return own;
  const { provider, model } = modelOf(span.name);
  // The ledger keeps one sum: the conventions have only input and output, and it would be a lie to call it either.
  return [
    ...[text("gen_ai.operation.name", "chat"), text("gen_ai.provider.name", provider)],
    ...[text("gen_ai.request.model", model), ...own],
    ...[whole("cordon.usage.tokens", span.tokens), whole("cordon.usage.micro_usd", span.microUsd)],
  ];
}

const GOOD: ReadonlySet<string> = new Set(["succeeded", "approved", "done", "answered", "running", "cancelled"]);
const failed = (end: string): boolean => !GOOD.has(end) && !end.startsWith("skipped: ");

/** A word of few: what follows the colon is different each time. */
const errorType = (end: string): string => end.split(":")[0]?.slice(0, 64) ?? end;

function statusOf(end: string): OtlpSpan["status"] {
  if (failed(end)) return { code: ERROR, message: end };
  return { code: end === "running" || end === "cancelled" || end.startsWith("skipped: ") ? UNSET : OK };
}
