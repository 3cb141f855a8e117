import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import * as fc from "fast-check";
import { extract } from "./extract.ts";
import { plainText } from "./plain-text.ts";
import { sentencesOf } from "./sentences.ts";

const folder = new URL("../../../examples/newsroom/texts/", import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), "utf8");

test("the texts of the example: titles, counts, names, dates, numbers", () => {
  const tides = extract(read("tides.md"), 5);
  assert.equal(tides.title, "Why the sea rises twice a day");
  assert.ok(tides.words > 480 && tides.words < 540, `${tides.words}`);
  for (const name of ["Isaac Newton", "Bay of Fundy", "Moon"]) assert.ok(tides.names.includes(name), name);
  assert.deepEqual(tides.dates, ["1687", "1775", "1867", "1872", "1960s"]);
  for (const number of ["14.8 days", "16 metres"]) assert.ok(tides.numbers.includes(number), number);
  const bridge = extract(read("tacoma-narrows.md"), 5);
  for (const date of ["1 July 1940", "7 November"]) assert.ok(bridge.dates.includes(date), date);
  for (const keyword of ["bridge", "wind", "deck"]) assert.ok(bridge.keywords.includes(keyword), keyword);
  const address = extract(read("gettysburg-address.txt"), 5);
  assert.equal(address.title, "Address at the dedication of the cemetery at Gettysburg");
  assert.ok(address.names.includes("Abraham Lincoln"), "from the byline");
  assert.ok(address.sentences.some((sentence) => sentence.startsWith("Four score and seven years ago")));
});

test("sentences are central, not merely first, and do not repeat each other", () => {
  const text = `# On mills

I once met a man who sold hats. Water mills grind corn with the power of a river. The river turns the wheel of the mill. The wheel
of the mill drives stones that grind the corn. The wheel of the mill drives the stones that grind corn. My aunt prefers tea.`;
  const found = extract(text, 3);
  assert.ok(!found.sentences.some((sentence) => /hats|tea/.test(sentence)), found.sentences.join(" / "));
  assert.equal(found.sentences.filter((sentence) => sentence.includes("drives")).length, 1);
});

test("an extract holds whole sentences of the text in their order, whatever the text", () => {
  const files = readdirSync(folder);
  assert.ok(files.length >= 6);
  for (const name of files) {
    const { paragraphs } = plainText(read(name));
    const whole = paragraphs.join("\n");
    const at = extract(read(name), 4).sentences.map((sentence) => whole.indexOf(sentence));
    assert.equal(at.length, 4);
    assert.ok(
      at.every((position, i) => position >= 0 && position > (at[i - 1] ?? -1)),
      name,
    );
  }
});

test("deterministic and total on any text (property)", () => {
  const words = fc.string({
    unit: fc.constantFrom(
      "a",
      "B",
      ".",
      " ",
      "\n",
      "#",
      "-",
      "_",
      "*",
      "[",
      "]",
      "(",
      ")",
      "1",
      "9",
      ",",
      "`",
      "é",
      "語",
      "。",
    ),
    maxLength: 400,
  });
  fc.assert(
    fc.property(fc.oneof(words, fc.string({ unit: "binary", maxLength: 200 })), (text) => {
      assert.deepEqual(extract(text, 5), extract(text, 5));
    }),
    { seed: 20_261_122, numRuns: 500 },
  );
});

test("hostile texts take no longer than their length", () => {
  const hostile = [
    "[".repeat(60_000),
    "# ".repeat(30_000),
    "A".repeat(60_000),
    "Aa ".repeat(20_000),
    "1,".repeat(30_000),
    "_".repeat(60_000),
    "Mr. ".repeat(15_000),
    "![](".repeat(15_000),
    `${" ".repeat(60_000)}x`,
  ];
  for (const text of hostile) {
    const start = performance.now();
    extract(text, 5);
    const ms = performance.now() - start;
    assert.ok(ms < 1_500, `${text.slice(0, 8)}: ${ms} ms`);
  }
});

test("texts in other scripts have sentences and words, too", () => {
  const found = extract("# 潮汐\n\n月球的引力使海水上升和下降。每天有两次高潮和两次低潮。太阳的引力也影响潮汐。", 2);
  assert.equal(found.title, "潮汐");
  assert.equal(found.sentences.length, 2);
});

test("abbreviations end no sentence", () => {
  assert.deepEqual(sentencesOf("Mr. Smith met Dr. J. Brown in St. Paul. They talked. It was e. g. late."), [
    "Mr. Smith met Dr. J. Brown in St. Paul.",
    "They talked.",
    "It was e. g. late.",
  ]);
});

test("Markdown is taken off", () => {
  const text =
    '---\ntitle: "Front"\n---\n# Heading\n\nSome *bold* `code` and a [link](https://example.com/x_y).\nsnake_case stays.\n\n```sh\nrm -rf /\n```\n\n- item one\n- item two\n\n> quoted\n';
  assert.deepEqual(plainText(text), {
    title: "Front",
    paragraphs: ["Some bold code and a link. snake_case stays.", "item one", "item two", "quoted"],
  });
  assert.equal(plainText("A first line that is a sentence.\n\nMore.").title, null);
});
