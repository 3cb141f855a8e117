import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { ToolCall } from "./conversation.ts";

/** An answer while it streams: text and tool calls grow piece by piece, within bounds. */
export class AnswerDraft {
  readonly #text: string[] = [];
  readonly #calls = new Map<number, { id: string; name: string; readonly input: string[] }>();
  #size = 0;

  addText(piece: unknown): Refusal | undefined {
    if (typeof piece !== "string") return undefined;
    this.#text.push(piece);
    return this.#grow(piece);
  }

  /** `index` tells the calls of one answer apart; it is the provider's and need not be dense. */
  addCall(
    index: number,
    part: { readonly id?: unknown; readonly name?: unknown; readonly input?: unknown },
  ): Refusal | undefined {
    let call = this.#calls.get(index);
    if (!call) {
      if (this.#calls.size >= limits.agent.toolCallsMax) {
        return refusal(
          "too_large",
          `the model asked for more than ${limits.agent.toolCallsMax} tool calls at once`,
          "",
        );
      }
      call = { id: "", name: "", input: [] };
      this.#calls.set(index, call);
    }
    if (typeof part.id === "string" && part.id !== "") call.id = part.id;
    if (typeof part.name === "string" && part.name !== "") call.name = part.name;
    if (typeof part.input !== "string") return undefined;
    call.input.push(part.input);
    return this.#grow(part.input);
  }

  get text(): string {
    return this.#text.join("");
  }

  get calls(): readonly ToolCall[] {
    return [...this.#calls].map(([index, { id, name, input }]) => ({
      id: id === "" ? `call_${index}` : id,
      name,
      input: input.join(""),
    }));
  }

  #grow(piece: string): Refusal | undefined {
    this.#size += piece.length;
    if (this.#size <= limits.agent.answerBytesMax) return undefined;
    return refusal("too_large", `the model's answer passed ${limits.agent.answerBytesMax} bytes`, "");
  }
}
