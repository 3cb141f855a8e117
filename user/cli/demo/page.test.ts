import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { barrierOf } from "./barriers.ts";
import { digestHtml } from "./digest-html.ts";
import { escapeHtml, html } from "./html.ts";
import { zonesFile, zonesPicture } from "./zones-picture.ts";

const hostile = fc.string({
  unit: fc.constantFrom(
    "<",
    ">",
    "&",
    '"',
    "'",
    "`",
    "script",
    "\n",
    "# ",
    "- ",
    "> ",
    "\u202e",
    "\u001b",
    "=",
    " ",
    "a",
  ),
});

test("nothing that is put into a page is markup", () => {
  fc.assert(
    fc.property(hostile, (text) => {
      const page = html`<p title="${text}">${text}</p>`.text;
      assert.equal(page.match(/[<>]/g)?.length, 4);
      assert.equal(page.match(/"/g)?.length, 2);
      assert.doesNotMatch(page, /[\u001b\u202e]/);
    }),
    { seed: 20261122, numRuns: 300 },
  );
});

test("a digest has headings, lists, quotes and paragraphs, and no other element", () => {
  fc.assert(
    fc.property(hostile, (text) => {
      for (const tag of digestHtml(text).text.match(/<[^>]*>/g) ?? [])
        assert.match(tag, /^<\/?(?:h3|h4|p|ul|li|blockquote)>$/);
    }),
    { seed: 20261122, numRuns: 300 },
  );
  assert.equal(
    digestHtml("# A\none\ntwo\n- x\n- y\n\n### B\n> q\n![i](http://x/y.png)").text.replaceAll(/>\s+</g, "><"),
    "<h3>A</h3><p>one two</p><ul><li>x</li><li>y</li></ul><h4>B</h4><blockquote>q</blockquote><p>![i](http://x/y.png)</p>",
  );
});

test("legitimate text in every script survives", () => {
  const text = "Ḥarūn שָׁלוֹם سلام می‌خواهم हिन्दी 日本語 👩‍👩‍👧 naïve";
  assert.equal(escapeHtml(text), text);
});

test("every attempt of the example's intern is known", () => {
  const folder = new URL("../../../examples/newsroom/intern/", import.meta.url);
  const ids = readdirSync(folder).flatMap((name) =>
    [...readFileSync(new URL(name, folder), "utf8").matchAll(/(?:attempt|calls|exfiltrate)\(\s*"([a-z0-9-]+)"/g)].map(
      (match) => match[1] ?? "",
    ),
  );
  assert.ok(ids.length >= 14, `${ids.length} attempts found`);
  for (const id of ids)
    assert.notEqual(barrierOf({ id, evidence: "" }).stoppedBy, "kernel: the fence of the sandbox", id);
});

test("an attempt that is not known is placed by its evidence, and by the fence at last", () => {
  const barrier = (evidence: string): string => barrierOf({ id: "something-new", evidence }).stoppedBy;
  assert.equal(barrier("403 denied"), "policy");
  assert.equal(barrier("ENETUNREACH"), "kernel: network namespace");
  assert.equal(barrier("odd"), "kernel: the fence of the sandbox");
});

test("docs/zones.svg is the picture that the program draws", () => {
  assert.equal(readFileSync(new URL("../../../docs/zones.svg", import.meta.url), "utf8"), zonesFile());
});

test("a wall that nothing ran into has no arrow", () => {
  const arrows = (text: string): number => text.match(/class="attack"/g)?.length ?? 0;
  assert.equal(arrows(zonesPicture(undefined).text), 5);
  assert.equal(arrows(zonesPicture({ kernel: 1, door: 0, policy: 2, ledger: 0, vault: 0 }).text), 2);
});
