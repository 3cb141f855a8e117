import { factsOf, type Facts } from "./facts.ts";
import { plainText } from "./plain-text.ts";
import { proseSentences, sentencesOf, wordsOf } from "./sentences.ts";
import { stopWords } from "./stop-words.ts";

export interface Extract extends Facts {
  readonly title: string | null;
  readonly words: number;
  /** The most central sentences, word for word and in the order of the text. */
  readonly sentences: readonly string[];
  readonly keywords: readonly string[];
}

const KEYWORDS_MAX = 6;
/** The opening of a text tends to say what it is about. */
const OPENING_BONUS = 1.15;
/** Share of a candidate's score that full overlap with a chosen sentence costs. */
const REDUNDANCY = 0.7;

/**
 * Extractive summary without a model: sentences nearest to the centroid of the text's tf-idf weights
 * (Radev et al., "Centroid-based summarization of multiple documents", 2004), chosen one by one under a
 * redundancy penalty (Carbonell & Goldstein, "The use of MMR", 1998). Deterministic; linear in the text
 * for each chosen sentence.
 */
export function extract(text: string, sentencesMax: number): Extract {
  const { title, paragraphs } = plainText(text);
  const sentences = proseSentences(paragraphs);
  const terms = sentences.map(
    (sentence) =>
      new Set(
        wordsOf(sentence)
          .map(stem)
          .filter((word) => word !== ""),
      ),
  );
  const weights = weightsOf(terms);
  return {
    title,
    words: wordsOf(paragraphs.join("\n")).length,
    sentences: choose(terms, weights, sentencesMax).map((index) => sentences[index] ?? ""),
    keywords: keywordsOf(sentences, weights),
    // Bylines and list items name people and dates, too.
    ...factsOf(paragraphs.flatMap(sentencesOf)),
  };
}

/** Lower case, without a plural or possessive ending; empty for words that carry no topic. */
function stem(word: string): string {
  const lower = word.toLowerCase().replace(/['’]s$/u, "");
  if (stopWords.has(lower) || /^\p{N}/u.test(lower) || (lower.length < 3 && /^\p{Script=Latin}+$/u.test(lower)))
    return "";
  return lower.length > 4 && lower.endsWith("s") && !lower.endsWith("ss") ? lower.slice(0, -1) : lower;
}

/** How often a term is mentioned × how few sentences mention it (a term of every sentence weighs little). */
function weightsOf(terms: readonly ReadonlySet<string>[]): Map<string, number> {
  const mentions = new Map<string, number>();
  for (const set of terms) for (const term of set) mentions.set(term, (mentions.get(term) ?? 0) + 1);
  const weights = new Map<string, number>();
  for (const [term, n] of mentions) {
    // A term of one sentence alone is a detail: it tells nothing about the text as a whole.
    weights.set(term, n === 1 ? 0.2 : n * Math.log((1 + terms.length) / n));
  }
  return weights;
}

function choose(terms: readonly ReadonlySet<string>[], weights: ReadonlyMap<string, number>, max: number): number[] {
  const scores = terms.map((set, index) => {
    let sum = 0;
    for (const term of set) sum += weights.get(term) ?? 0;
    return (sum / Math.sqrt(set.size + 4)) * (index === 0 ? OPENING_BONUS : 1);
  });
  const overlap = terms.map(() => 0);
  const chosen: number[] = [];
  while (chosen.length < Math.min(max, terms.length)) {
    let best = -1;
    for (let i = 0; i < terms.length; i++) {
      if (!chosen.includes(i) && (best < 0 || value(i) > value(best))) best = i;
    }
    chosen.push(best);
    terms.forEach((set, i) => (overlap[i] = Math.max(overlap[i] ?? 0, likeness(set, terms[best] ?? set))));
  }
  return chosen.sort((a, b) => a - b);

  function value(index: number): number {
    return (scores[index] ?? 0) * (1 - REDUNDANCY * (overlap[index] ?? 0));
  }
}

/** Shared terms as a share of the smaller set. */
function likeness(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const [small, large] = a.size < b.size ? [a, b] : [b, a];
  if (small.size === 0) return 0;
  let shared = 0;
  for (const term of small) if (large.has(term)) shared++;
  return shared / small.size;
}

/** The heaviest terms, in the spelling in which the text uses them first. */
function keywordsOf(sentences: readonly string[], weights: ReadonlyMap<string, number>): string[] {
  const spelling = new Map<string, string>();
  for (const sentence of sentences) {
    for (const word of wordsOf(sentence)) if (!spelling.has(stem(word))) spelling.set(stem(word), word);
  }
  return [...weights]
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .slice(0, KEYWORDS_MAX)
    .map(([term]) => spelling.get(term) ?? term)
    .map((word) => (/^\p{Lu}\p{Lu}/u.test(word) ? word : word.toLowerCase()));
}
