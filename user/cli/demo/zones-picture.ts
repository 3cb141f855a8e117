import { html, type Html } from "./html.ts";

/** How many attempts ended where; without it the picture is drawn without numbers. */
export interface StopCounts {
  readonly kernel: number;
  readonly door: number;
  readonly policy: number;
  readonly ledger: number;
  readonly vault: number;
}

/** The three zones as SVG; colours come from the classes in `pictureStyle`. */
export function zonesPicture(counts: StopCounts | undefined): Html {
  const label =
    "Three zones: people at the left, the mesh in the middle, sandboxed agents at the right; the hijacked agent's attempts end at the walls.";
  return html`<svg
    xmlns="http://www.w3.org/2000/svg"
    viewBox="0 0 1080 470"
    role="img"
    aria-label="${label}"
    class="zones"
  >
    ${zone(14, 196, "1", "people", "ask, watch, approve")}
    ${zone(240, 400, "2", "mesh", "trusted: decides, keeps secrets, pays, records")}
    ${zone(670, 222, "3", "agents", "untrusted: one sandbox each")}
    ${people()}${mesh()}${agents()}${outside()}${workLines()}${attackLines(counts)}
  </svg>`;
}

const zone = (x: number, width: number, number: string, name: string, what: string): Html =>
  html`<rect class="zone z${number}" x="${x}" y="12" width="${width}" height="446" rx="14" />
    <text class="title" x="${x + 18}" y="42">${name}</text><text class="faint" x="${x + 18}" y="62">${what}</text>`;

const box = (x: number, y: number, width: number, height: number, kind: string, name: string, what = ""): Html =>
  html`<rect class="box ${kind}" x="${x}" y="${y}" width="${width}" height="${height}" rx="8" />
    <text class="name" x="${x + 14}" y="${y + (what ? 21 : height / 2 + 5)}">${name}</text>
    ${what ? html`<text class="faint" x="${x + 14}" y="${y + 39}">${what}</text>` : ""}`;

const people = (): Html =>
  html`${box(32, 92, 160, 40, "calm", "command line")}${box(32, 146, 160, 40, "calm", "desk", "")}
    <path class="work" d="M192 166 H258" marker-end="url(#go)" /><text class="faint" x="34" y="206"
      >always authenticated</text
    >`;

const mesh = (): Html =>
  html`<defs
      ><marker id="go" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"
        ><path class="tip" d="M0 0 L8 4 L0 8 z" /></marker
    ></defs>
    ${box(258, 84, 250, 50, "calm", "model gateway", "the only way out; adds the key")}
    ${box(258, 146, 250, 50, "calm", "blackboard, messages", "labelled, versioned")}
    ${box(258, 226, 250, 40, "calm", "policy")}${box(258, 276, 250, 40, "calm", "ledger")}${box(258, 326, 250, 40, "calm", "vault")}
    ${box(258, 400, 250, 40, "calm", "audit")}<text class="faint" x="318" y="424">signed chain of decisions</text>
    <rect class="wall" x="566" y="84" width="40" height="356" rx="6" /><text
      class="turned"
      transform="translate(592 276) rotate(-90)"
      >door</text
    >`;

const agents = (): Html =>
  html`${box(690, 84, 182, 50, "calm", "researcher", "reads, extracts")}
    ${box(690, 146, 182, 50, "calm", "writer", "composes the digest")}
    ${box(690, 226, 182, 214, "hostile", "intern", "hijacked: attacker's code")}
    <text class="faint" x="704" y="300">full control of its</text
    ><text class="faint" x="704" y="318">own sandbox, and of</text
    ><text class="faint" x="704" y="336">nothing else</text>`;

const outside = (): Html =>
  html`${box(962, 226, 104, 214, "outer", "outside", " ")} <text class="faint" x="976" y="274">internet</text
    ><text class="faint" x="976" y="294">host</text><text class="faint" x="976" y="314">neighbours</text>`;

const workLines = (): Html =>
  html`<path class="work" d="M690 109 H514" marker-end="url(#go)" /><path
      class="work"
      d="M690 171 H514"
      marker-end="url(#go)"
    />`;

function attackLines(counts: StopCounts | undefined): Html {
  const stops: readonly (readonly [x: number, y: number, count: number | undefined])[] = [
    [514, 246, counts?.policy],
    [514, 296, counts?.ledger],
    [514, 346, counts?.vault],
    [612, 396, counts?.door],
  ];
  // A wall that nothing ran into is drawn without an arrow.
  const inward = stops.filter(([, , count]) => count !== 0).map(([x, y, count]) => stopped(690, x, y, count));
  return html`${inward}${counts?.kernel === 0 ? "" : stopped(872, 916, 296, counts?.kernel)}<path
      class="fence"
      d="M916 84 V440"
    /><text class="turned faint" transform="translate(934 176) rotate(-90)">kernel fence</text>`;
}

const stopped = (from: number, to: number, y: number, count: number | undefined): Html =>
  html`<path class="attack" d="M${from} ${y} H${to}" /><path
      class="cross"
      d="M${to - 6} ${y - 6} l12 12 m0 -12 l-12 12"
    />${count === undefined ? "" : html`<text class="count" x="${countAt(from, to)}" y="${y - 8}">${count}</text>`}`;

/** Where the line can be seen: between the boxes, not over the door. */
const countAt = (from: number, to: number): number => (Math.abs(from - to) > 100 ? 648 : (from + to) / 2);

/** For a page or a file of its own; dark where the reader's system is. */
export const pictureStyle = `
.zones{--ink:#1d2433;--soft:#5d6880;--line:#c4ccdb;--z1:#eef3fb;--z2:#eaf6f0;--z3:#fbf3ea;--box:#fff;--good:#17794e;--bad:#c02f3a;--hostile:#fdecec;--wall:#17794e;font-family:system-ui,sans-serif;width:100%;height:auto}
@media (prefers-color-scheme:dark){.zones{--ink:#e8ecf4;--soft:#9aa6bd;--line:#3b4558;--z1:#18202e;--z2:#14251e;--z3:#2a2119;--box:#1d2635;--good:#4fd08f;--bad:#ff7b83;--hostile:#3a1d22;--wall:#2a8a5e}}
.zones .zone{stroke:var(--line)}.zones .z1{fill:var(--z1)}.zones .z2{fill:var(--z2)}.zones .z3{fill:var(--z3)}
.zones text{fill:var(--ink);font-size:14px}.zones .title{font-size:19px;font-weight:650}.zones .faint{fill:var(--soft);font-size:12.5px}
.zones .name{font-weight:600}.zones .box{fill:var(--box);stroke:var(--line)}.zones .hostile{fill:var(--hostile);stroke:var(--bad);stroke-dasharray:5 4}
.zones .outer{fill:none;stroke:var(--line);stroke-dasharray:3 5}.zones .wall{fill:var(--wall)}.zones .turned{text-anchor:middle;fill:#fff;font-weight:650;letter-spacing:.12em}
.zones .turned.faint{fill:var(--good);font-weight:600}.zones .fence{stroke:var(--wall);stroke-width:5;fill:none}
.zones .work{stroke:var(--good);stroke-width:1.8;fill:none}.zones .tip{fill:var(--good)}.zones .attack{stroke:var(--bad);stroke-width:1.8;stroke-dasharray:6 4;fill:none}
.zones .cross{stroke:var(--bad);stroke-width:3;fill:none;stroke-linecap:round}.zones .count{fill:var(--bad);font-weight:700;text-anchor:middle}`;

/** The picture as a file: docs/zones.svg. */
export function zonesFile(): string {
  const style = `<style>${pictureStyle}\n</style>`;
  const picture = zonesPicture(undefined).text;
  const afterTag = picture.indexOf(">") + 1;
  return `${picture.slice(0, afterTag)}\n${style}${picture.slice(afterTag)}\n`;
}
