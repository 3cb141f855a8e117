import { formatDuration } from "../../lib/units.ts";
import type { Step, Task, Workflow } from "./definition.ts";
import { levelsOf, type Node } from "./graph.ts";

/** For pictures: a standby step hangs below its owner. */
export const edgesOf = ({ id, needs, standby }: Step): Node => ({ id, needs: standby ? [standby.owner] : needs });

/** What a step does, in a few words. */
export function describeTask({ work }: Task): string {
  switch (work.kind) {
    case "agent":
      return `agent ${work.agent}`;
    case "tool":
      return `${work.tool} as ${work.as}`;
    case "approve":
      return `approval by ${work.roles.join(" or ")}`;
    case "map": {
      const join = work.join.kind === "n" ? `${work.join.n} of` : work.join.kind;
      return `${join} up to ${work.itemsMax} × ${describeTask(work.each)}`;
    }
    case "workflow":
      return `workflow ${work.workflow.name}`;
    case "wait":
      if (work.until.kind === "duration") return `wait ${formatDuration(work.until.ms)}`;
      return work.until.kind === "time" ? "wait until a time" : `wait for a board key as ${work.until.as}`;
  }
}

/** The conditions under which it runs, in a few words; empty = in its turn. */
export function describeTurn({ when, join, standby, needs }: Step): string {
  if (standby) return standby.as === "fallback" ? `if ${standby.owner} fails` : `undoes ${standby.owner}`;
  const parts = when ? [`when ${when.source}`] : [];
  if (join.kind !== "all" && needs.length > 1)
    parts.unshift(
      join.kind === "n"
        ? `after ${join.n} of ${needs.length}`
        : join.kind === "any"
          ? "after any"
          : "after all, done or not",
    );
  return parts.join(", ");
}

const WIDTH_MAX = 100;
const BOX_CHARS_MAX = 40;

/** The graph as lines of text: one row of boxes a level, earlier levels above; each box says what it comes after. */
export function drawText(workflow: Workflow): readonly string[] {
  const levels = levelsOf(workflow.steps.map(edgesOf));
  const rows: Step[][] = [];
  for (const step of workflow.steps) (rows[levels.get(step.id) ?? 0] ??= []).push(step);
  return rows.flatMap((row, level) => [...(level === 0 ? [] : ["    │", "    ▼"]), ...drawRow(row)]);
}

function drawRow(row: readonly Step[]): string[] {
  const lines: string[] = [];
  let line: string[][] = [];
  for (const step of row) {
    const box = drawBox(step);
    const width = [...line, box].reduce((sum, each) => sum + (each[0]?.length ?? 0) + 2, 0);
    if (line.length > 0 && width > WIDTH_MAX) {
      lines.push(...beside(line));
      line = [];
    }
    line.push(box);
  }
  return [...lines, ...beside(line)];
}

const BOX_LINES = 5;

function drawBox(step: Step): string[] {
  const { needs } = edgesOf(step);
  const texts = [
    step.id,
    describeTask(step),
    [needs.length > 0 ? `after ${needs.join(", ")}` : "at once", describeTurn(step)].filter(Boolean).join("; "),
  ];
  const cut = texts.map((text) => (text.length > BOX_CHARS_MAX ? `${text.slice(0, BOX_CHARS_MAX - 1)}…` : text));
  const width = Math.max(...cut.map((text) => text.length));
  return [
    `┌${"─".repeat(width + 2)}┐`,
    ...cut.map((text) => `│ ${text.padEnd(width)} │`),
    `└${"─".repeat(width + 2)}┘`,
  ];
}

const beside = (boxes: readonly string[][]): string[] =>
  boxes.length === 0 ? [] : Array.from({ length: BOX_LINES }, (_, y) => boxes.map((box) => box[y] ?? "").join("  "));
