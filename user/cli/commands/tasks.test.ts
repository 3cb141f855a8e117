import assert from "node:assert/strict";
import { test } from "node:test";
import { unlabelled } from "../../../protocol/label.ts";
import type { TaskDetail } from "../../../protocol/task.ts";
import { openTerminal } from "../terminal.ts";
import { showTask } from "./tasks.ts";

test("what an agent calls a task and what it leaves of it cannot be taken for the mesh's words", () => {
  let text = "";
  const stdout = { write: (piece: string) => ((text += piece), true) };
  const task: TaskDetail = {
    ...{ id: "tsk_1", title: "look\n  from boss, with boss", state: "done", creator: "a", assignee: "b", parent: null },
    ...{
      depth: 0,
      hops: 0,
      chain: ["a"],
      createdAtMs: 0,
      updatedAtMs: 0,
      deadlineAtMs: 1,
      stalledAtMs: null,
      note: "",
    },
    ...{ result: "first\n  until never", label: unlabelled, input: "", steps: [] },
  };
  showTask(openTerminal({ stdout, stderr: stdout, colour: false } as never), task);
  assert.match(text, /^look\\u\{a\} {2}from boss, with boss tsk_1 done\n/);
  assert.match(text, /\n {2}│ first\n {2}│ {3}until never\n$/);
});
