import { err, type Result } from "../../lib/result.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { ShownTool } from "../loop/conversation.ts";
import { openDataFolder, type DataFolder } from "./data-folder.ts";

/** A tool that runs in this process and never leaves the sandbox. */
export interface LocalTool extends ShownTool {
  run(input: Readonly<Record<string, unknown>>): Result<unknown, Refusal>;
}

const text = (description: string): object => ({ type: "string", description });
const path = text("relative path, for example `notes/a.md`");

function schema(properties: Readonly<Record<string, object>>): Readonly<Record<string, unknown>> {
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
}

/** `data_list`, `data_read`, `data_write`: the agent's own notebook in `folder`. */
export function localTools(folder: string): readonly LocalTool[] {
  const data = openDataFolder(folder);
  return [
    {
      name: "data_list",
      description: "List the files that you have kept for yourself.",
      parameters: schema({}),
      run: strictly([], data, (folderNow) => folderNow.list()),
    },
    {
      name: "data_read",
      description: "Read a file that you have kept for yourself.",
      parameters: schema({ path }),
      run: strictly(["path"], data, (folderNow, input) => folderNow.read(input["path"])),
    },
    {
      name: "data_write",
      description: "Keep a text file for yourself. Nobody else can read it; it survives restarts.",
      parameters: schema({ path, content: text("the whole content of the file") }),
      run: strictly(["path", "content"], data, (folderNow, input) => folderNow.write(input["path"], input["content"])),
    },
  ];
}

function strictly(
  names: readonly string[],
  data: DataFolder,
  act: (data: DataFolder, input: Readonly<Record<string, unknown>>) => Result<unknown, Refusal>,
): LocalTool["run"] {
  return (input) => {
    const unknown = Object.keys(input).find((name) => !names.includes(name));
    if (unknown === undefined) return act(data, input);
    return err(refusal("malformed", `argument \`${unknown}\` is not known`, "remove it"));
  };
}
