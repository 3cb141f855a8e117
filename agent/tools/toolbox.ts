import { err, type Result } from "../../lib/result.ts";
import type { ToolCard } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { ShownTool, ToolCall, ToolOutcome } from "../loop/conversation.ts";
import type { DoorClient } from "../loop/door-client.ts";
import { fieldsOf, tryJson } from "../loop/read-refusal.ts";
import type { LocalTool } from "./local-tools.ts";

export interface Toolbox {
  readonly shown: readonly ShownTool[];
  /** Never throws; what went wrong is in the outcome, for the model to read. */
  run(call: ToolCall, conversation: string): Promise<ToolOutcome>;
}

/** The mesh's tools and the agent's own, by the name under which a model sees them. The mesh's win. */
export function createToolbox(door: DoorClient, cards: readonly ToolCard[], local: readonly LocalTool[]): Toolbox {
  const meshTools = new Map(cards.map((card) => [shownName(card.name), card]));
  const own = new Map(local.filter((tool) => !meshTools.has(tool.name)).map((tool) => [tool.name, tool]));

  async function result(call: ToolCall, conversation: string): Promise<Result<unknown, Refusal>> {
    const input = fieldsOf(tryJson(call.input.trim() === "" ? "{}" : call.input));
    if (!input)
      return err(
        refusal("malformed", "the arguments are not a complete JSON object", "call the tool again with shorter ones"),
      );
    const card = meshTools.get(call.name);
    if (card) {
      const answer = await door.tool(card.name, withConversation(card.name, input, conversation));
      return answer.ok ? { ok: true, value: answer.value.result } : answer;
    }
    const tool = own.get(call.name);
    return tool
      ? tool.run(input)
      : err(refusal("not_found", `there is no tool \`${call.name}\``, "use one of the tools listed"));
  }

  return {
    shown: [
      ...[...meshTools].map(([name, { description, parameters }]) => ({ name, description, parameters })),
      ...[...own.values()].map(({ name, description, parameters }) => ({ name, description, parameters })),
    ],
    async run(call, conversation) {
      const outcome = await result(call, conversation);
      const fits = outcome.ok ? bounded(outcome.value) : outcome;
      const content = fits.ok ? fits.value : JSON.stringify({ error: fits.error });
      return { id: call.id, name: call.name, content, failed: !fits.ok };
    },
  };
}

/** Providers allow letters, digits, `_` and `-` in a name. */
const shownName = (name: string): string => name.replaceAll(".", "_");

/** A message sent while working on a conversation belongs to it, so that its answer finds the context. */
function withConversation(tool: string, input: Readonly<Record<string, unknown>>, conversation: string): object {
  return tool === "message.send" && input["conversation"] === undefined ? { ...input, conversation } : input;
}

function bounded(value: unknown): Result<string, Refusal> {
  const content = JSON.stringify(value ?? null);
  if (content.length <= limits.agent.toolContentBytesMax) return { ok: true, value: content };
  return err(
    refusal("too_large", `the result is longer than ${limits.agent.toolContentBytesMax} bytes`, "ask for less"),
  );
}
