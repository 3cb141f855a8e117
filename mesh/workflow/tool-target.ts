import type { ToolName } from "../../protocol/door.ts";
import type { Expression, Narrowing } from "./definition.ts";

/** What a tool step may touch, read from its arguments; a hole in a key stands for one segment or a part of one. */
export function boardTargets(tool: string, given: Expression): Partial<Narrowing> {
  const text = (name: string): readonly string[] => {
    const pattern = patternOf(argumentOf(given, name));
    return pattern === undefined ? [] : [pattern];
  };
  const none: readonly string[] = [];
  if (tool === "board.read" || tool === "board.history") return { blackboard: { read: text("key"), write: none } };
  if (tool === "board.list" || tool === "board.watch") return { blackboard: { read: text("match"), write: none } };
  if (tool === "board.write" || tool === "board.delete") return { blackboard: { read: none, write: text("key") } };
  if (tool === "message.send") return { message: text("to").filter((name) => !name.includes("*")) };
  if (tool === "bus.publish") return { topics: { publish: text("topic"), subscribe: none } };
  return { tools: [tool as ToolName] };
}

/** The member of an object that is written out; undefined when it is not there or not known before the run. */
export function argumentOf(given: Expression, name: string): Expression | undefined {
  if (given.kind === "object") return given.fields.find(([field]) => field === name)?.[1];
  if (given.kind !== "constant" || given.value === null || typeof given.value !== "object") return undefined;
  const value = Object.hasOwn(given.value, name) ? (given.value as Readonly<Record<string, never>>)[name] : undefined;
  return value === undefined ? undefined : { kind: "constant", value };
}

/** A text with `*` for its holes; undefined when the whole of it is open. */
export function patternOf(expression: Expression | undefined): string | undefined {
  if (expression?.kind === "constant") return typeof expression.value === "string" ? expression.value : undefined;
  if (expression?.kind !== "text") return undefined;
  return expression.parts.map((part) => (typeof part === "string" ? part : "*")).join("");
}
