import type { ToolName } from "../../protocol/door.ts";
import type { JsonSchema } from "./definition.ts";
import { objectOf } from "./schema-type.ts";

const text: JsonSchema = { type: "string" };
const whole: JsonSchema = { type: "integer" };
const listOf = (fields: readonly (readonly [string, JsonSchema])[]): JsonSchema => ({
  type: "array",
  items: objectOf(fields),
});
const keyAndVersion = [
  ["key", text],
  ["version", whole],
] as const;

/** `ToolResults` of the border as schemas; a tool that is not here gives something that is only known in the run. */
export const toolResults: Partial<Readonly<Record<ToolName, JsonSchema>>> = {
  "files.list": objectOf([
    [
      "files",
      listOf([
        ["path", text],
        ["bytes", whole],
      ]),
    ],
  ]),
  "files.read": objectOf([
    ["path", text],
    ["content", text],
  ]),
  "output.write": objectOf([
    ["path", text],
    ["bytes", whole],
  ]),
  "board.list": objectOf([["keys", listOf(keyAndVersion)]]),
  "board.read": objectOf([...keyAndVersion, ["value", text], ["writer", text]]),
  "board.write": objectOf(keyAndVersion),
  "board.delete": objectOf(keyAndVersion),
  "bus.publish": objectOf([
    ["id", text],
    ["position", whole],
    ["duplicate", { type: "boolean" }],
  ]),
  "message.send": objectOf([["id", text]]),
};
