import { limits } from "../../../protocol/limits.ts";

const CHARS_MIN = 8;
const CHARS_MAX = 700;
const WORDS_MIN = 4;

/** A period after one of these, or after a single capital, ends no sentence. */
const ABBREVIATIONS = new Set(
  "mr mrs ms dr st prof no nos vs cf vol fig ch sec gen col capt lt rev hon jr sr inc ltd co approx ca".split(" "),
);

const sentenceSegmenter = new Intl.Segmenter("en", { granularity: "sentence" });
const wordSegmenter = new Intl.Segmenter("en", { granularity: "word" });

/** Sentences of a paragraph by the Unicode rules (UAX #29), joined again after abbreviations. */
export function sentencesOf(paragraph: string): string[] {
  const sentences: string[] = [];
  let open = "";
  for (const { segment } of sentenceSegmenter.segment(paragraph)) {
    open += segment;
    if (endsInAbbreviation(open.trimEnd())) continue;
    sentences.push(open.trim());
    open = "";
  }
  if (open.trim() !== "") sentences.push(open.trim());
  return sentences;
}

/**
 * The sentences worth weighing: neither fragments nor lists run together, and unless the text has no others,
 * only those that end like a sentence. At most `extractSentencesMax`.
 */
export function proseSentences(paragraphs: readonly string[]): string[] {
  const found = longEnough(paragraphs);
  const ended = found.filter((sentence) => /[.!?…。！？]["'”’)\]]{0,3}$/u.test(sentence));
  return ended.length > 0 ? ended : found;
}

function longEnough(paragraphs: readonly string[]): string[] {
  const found: string[] = [];
  for (const paragraph of paragraphs) {
    for (const sentence of sentencesOf(paragraph)) {
      if (sentence.length < CHARS_MIN || sentence.length > CHARS_MAX) continue;
      if (wordsOf(sentence).length < WORDS_MIN) continue;
      found.push(sentence);
      if (found.length === limits.rehearsal.extractSentencesMax) return found;
    }
  }
  return found;
}

/** Words by the Unicode rules, so that scripts without spaces have words, too. */
export function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (const { segment, isWordLike } of wordSegmenter.segment(text)) if (isWordLike) words.push(segment);
  return words;
}

function endsInAbbreviation(text: string): boolean {
  const match = /(?:^|[\s(])(\p{L}{1,6})\.$/u.exec(text.slice(-10));
  const word = match?.[1];
  if (word === undefined) return false;
  return /^\p{Lu}$/u.test(word) ? word !== "I" : ABBREVIATIONS.has(word.toLowerCase());
}
