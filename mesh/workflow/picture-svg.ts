import type { Step, Workflow } from "./definition.ts";
import { describeTask, describeTurn, edgesOf } from "./picture.ts";
import { box, layOut, type Point } from "./picture-layout.ts";

/** The text of a workflow is not trusted to be markup. */
export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

/** The graph as an SVG element without scripts, styles and links; classes name what the page colours. `marked`: ids with a finding. */
export function drawSvg(workflow: Workflow, marked: ReadonlySet<string>): string {
  const layout = layOut(workflow.steps.map(edgesOf));
  const standby = new Set(workflow.steps.filter((step) => step.standby).map(({ id }) => id));
  const lines = layout.lines.map(
    ({ to, points }) =>
      `<path class="line${standby.has(to) ? " aside" : ""}" d="${curve(points)}" marker-end="url(#tip)"/>`,
  );
  const boxes = workflow.steps.map((step) =>
    drawStep(step, layout.boxes.get(step.id) ?? { x: 0, y: 0 }, marked.has(step.id)),
  );
  const size = `width="${layout.width}" height="${layout.height}" viewBox="0 0 ${layout.width} ${layout.height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="${escapeHtml(`steps of ${workflow.name}`)}">`,
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>',
    ...lines,
    ...boxes,
    "</svg>",
  ].join("\n");
}

function drawStep(step: Step, { x, y }: Point, isMarked: boolean): string {
  const left = x - box.width / 2;
  const top = y - box.height / 2;
  const classes = ["step", step.work.kind, step.standby ? "aside" : "", isMarked ? "marked" : ""]
    .filter(Boolean)
    .join(" ");
  const turn = describeTurn(step);
  const text = (name: string, dy: number, value: string): string =>
    `<text class="${name}" x="${left + 12}" y="${top + dy}">${escapeHtml(shortened(value))}</text>`;
  return [
    `<g class="${classes}"><title>${escapeHtml([step.id, describeTask(step), turn].filter(Boolean).join("\n"))}</title>`,
    `<rect x="${left}" y="${top}" width="${box.width}" height="${box.height}" rx="8"/>`,
    text("name", turn === "" ? 27 : 21, step.id),
    text("what", turn === "" ? 46 : 38, describeTask(step)),
    turn === "" ? "" : text("turn", 53, turn),
    "</g>",
  ].join("");
}

const CHARS = 31;
const shortened = (text: string): string => (text.length > CHARS ? `${text.slice(0, CHARS - 1)}…` : text);

/** Leaves and enters every point straight up and down. */
function curve(points: readonly Point[]): string {
  const [first, ...rest] = points;
  let at = first ?? { x: 0, y: 0 };
  let path = `M${at.x} ${at.y}`;
  for (const next of rest) {
    const middle = (at.y + next.y) / 2;
    path += at.x === next.x ? `L${next.x} ${next.y}` : `C${at.x} ${middle} ${next.x} ${middle} ${next.x} ${next.y}`;
    at = next;
  }
  return path;
}
