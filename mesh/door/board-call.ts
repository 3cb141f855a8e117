import { ok, err, type Result } from "../../lib/result.ts";
import type { ToolAnswer, ToolArguments } from "../../protocol/door.ts";
import { joinLabels } from "../../protocol/label.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { ask, decisionOf, recordAllowed } from "./ask.ts";
import { agentLabel, type Caller, type DoorServices } from "./services.ts";

type Answer = Promise<Result<ToolAnswer, Refusal>>;

/** Changes of the board since this watch last looked. What is acknowledged is on disk before the answer. */
export async function watchBoard(
  services: DoorServices,
  caller: Caller,
  { match, after, wait_ms }: ToolArguments<"board.watch">,
  signal: AbortSignal,
): Answer {
  const action = { verb: "board.watch" } as const;
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  const { watches } = services.board;
  const watch = { watcher: `agent:${caller.agent}`, match, waitMs: wait_ms ?? 0 };
  const resumed = watches.resume(watch, after);
  if (!resumed.ok) return resumed;
  const { place, writes, done } = resumed.value;
  await recordAllowed(services, caller, action, asked.value.rule, writes, { match, from: place.seq });
  done();
  // Row by row, and at the time of the look: a pattern shows only what the reader may read.
  const visible = (key: string): boolean => decisionOf(services, caller, { verb: "board.read", key }).allow;
  const { changes, next, label } = await watches.news(watch, place, visible, signal);
  return ok({ result: { changes, next }, label });
}

/** Who wrote which version of a key, newest first; values are read one by one. */
export async function boardHistory(
  services: DoorServices,
  caller: Caller,
  { key, before_version }: ToolArguments<"board.history">,
): Answer {
  const action = { verb: "board.history", key } as const;
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  await recordAllowed(services, caller, action, asked.value.rule);
  const versions = services.board.history(key, before_version);
  if (!versions) return err(refusal("not_found", `no board key \`${key}\``, "ask `board.list` for what there is"));
  const label = versions.map((version) => version.label).reduce(joinLabels, agentLabel(caller.agent));
  const rows = versions.map(({ version, writer, session, atMs, deleted }) => {
    return { version, writer, session, at_ms: atMs, deleted };
  });
  return ok({ result: { versions: rows }, label });
}
