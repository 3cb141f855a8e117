import type { Conversation } from "../conversation.ts";
import { BYTES_PER_TOKEN } from "../tokens.ts";
import type { ArgumentForm, CallAction, Scenario, Step } from "./scenario.ts";
import { textMatches } from "./scenario.ts";
import { asText, type FilterSurroundings } from "./filters.ts";
import { lookUp, render, type Roots } from "./template.ts";
import { turnOf, type Turn } from "./turn.ts";

/** What the model says or wants done; the wire formats and their limits come later. */
export interface Utterance {
  readonly text: string;
  readonly calls: readonly { readonly name: string; readonly arguments: string }[];
}

/** Room that an answer without a bound may take. */
const ROOM_TOKENS_DEFAULT = 16_384;
/** For the tool's name, the argument names and the JSON around a composed value. */
const ENVELOPE_BYTES = 256;
const NAME_BYTES = 64;

/** Pure: the same conversation always gives the same answer. */
export function decide(
  scenario: Scenario,
  conversation: Conversation,
  bounds: { readonly maxTokens: number | undefined; readonly callsMax: number },
): Utterance {
  const role = scenario.roles.find(({ system }) => system === null || textMatches(system, conversation.system));
  if (!role) return say(`The scenario \`${scenario.name}\` has no role for this system prompt.`);
  const turn = turnOf(conversation);
  const roomBytes = (bounds.maxTokens ?? ROOM_TOKENS_DEFAULT) * BYTES_PER_TOKEN;
  const surroundings = { roomBytes: Math.max(roomBytes - ENVELOPE_BYTES, 0) };
  for (const step of role.steps) {
    if (!applies(step, turn)) continue;
    if ("say" in step.action) return say(asText(render(step.action.say, turn.roots, surroundings)));
    const calls = callsOf(step.action, turn, surroundings);
    if (calls.length === 0) continue;
    const { tool } = step.action.call;
    if (!conversation.tools.includes(tool))
      return say(`I was not given the tool \`${tool}\`, which the step \`${step.name}\` needs.`);
    const made = fitting(calls.slice(0, Math.min(step.action.parallel, bounds.callsMax)), roomBytes);
    // A call that was cut off would be asked for again and again.
    if (made.length === 0)
      return say(`The step \`${step.name}\` needs a longer answer than I may give: raise max_tokens.`);
    return { text: "", calls: made.map((json) => ({ name: tool, arguments: json })) };
  }
  return say(`The role \`${role.name}\` has nothing left to do.`);
}

const say = (text: string): Utterance => ({ text, calls: [] });

function applies({ when }: Step, turn: Turn): boolean {
  if (when.user && !textMatches(when.user, turn.userText)) return false;
  const found = (path: readonly string[]): boolean => isSomething(lookUp(path, turn.roots));
  return when.some.every(found) && !when.none.some(found);
}

const isSomething = (value: unknown): boolean =>
  Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null && value !== "";

/** The arguments, as JSON, of every call of this step that was not made yet in this turn. */
function callsOf(action: CallAction, turn: Turn, surroundings: FilterSurroundings): string[] {
  const one = (roots: Roots): string => JSON.stringify(build(action.call.arguments, roots, surroundings));
  const wanted =
    action.each === null ? [one(turn.roots)] : itemsOf(action, turn).map((item) => one({ ...turn.roots, item }));
  return [...new Set(wanted)].filter((json) => !turn.made(action.call.tool, json));
}

function itemsOf(action: CallAction, turn: Turn): unknown[] {
  const list = lookUp(action.each ?? [], turn.roots);
  const items = Array.isArray(list) ? list : [];
  return items.filter((item) =>
    action.where.every(([field, match]) => textMatches(match, asText(lookUp([field], item)))),
  );
}

function build(form: ArgumentForm, roots: Roots, surroundings: FilterSurroundings): unknown {
  if ("constant" in form) return form.constant;
  if ("template" in form) return render(form.template, roots, surroundings) ?? "";
  if ("list" in form) return form.list.map((item) => build(item, roots, surroundings));
  return Object.fromEntries(form.fields.map(([name, item]) => [name, build(item, roots, surroundings)]));
}

/** As many calls as fit into the answer whole; the others follow in the next answer. */
function fitting(calls: readonly string[], roomBytes: number): readonly string[] {
  let room = roomBytes;
  const end = calls.findIndex((json) => (room -= Buffer.byteLength(json) + NAME_BYTES) < 0);
  return end < 0 ? calls : calls.slice(0, end);
}
