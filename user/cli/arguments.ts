import { parseArgs } from "node:util";
import type { Command, Input, OptionCard } from "./command.ts";
import { usageFailure } from "./failure.ts";
import { nearest } from "../../lib/nearest.ts";

/** Options that every command has. */
const everywhere: Readonly<Record<string, OptionCard>> = { help: { short: "h", help: "show this help" } };

export const optionsOf = (command: Command): Readonly<Record<string, OptionCard>> => ({
  ...command.options,
  ...everywhere,
});

/** Reads the words after the command's name; throws a usage failure that names the nearest thing that exists. */
export function readArguments(command: Command, argv: readonly string[]): Input {
  const cards = optionsOf(command);
  const help = `run \`cordon ${command.name} --help\``;
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(
      Object.entries(cards).map(([name, card]) => [
        name,
        { type: card.value ? "string" : "boolean", ...(card.short ? { short: card.short } : {}) } as const,
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string | true>();
  const words: string[] = [];
  const trailing: string[] = [];
  let ended = false;
  for (const token of tokens) {
    if (token.kind === "option-terminator") ended = true;
    else if (token.kind === "positional") (ended && command.trailing ? trailing : words).push(token.value);
    else {
      const card = Object.hasOwn(cards, token.name) ? cards[token.name] : undefined;
      if (!card) throw unknownOption(command, token.rawName, Object.keys(cards));
      if (values.has(token.name)) throw usageFailure(`\`${token.rawName}\` is given twice`, "give it once");
      if (card.value && !token.value) throw usageFailure(`\`${token.rawName}\` needs a value: ${card.value}`, help);
      if (!card.value && token.value !== undefined) throw usageFailure(`\`${token.rawName}\` takes no value`, help);
      values.set(token.name, token.value ?? true);
    }
  }
  if (!values.has("help")) checkWords(command, words, help);
  return inputOf(values, words, trailing);
}

function unknownOption(command: Command, rawName: string, names: readonly string[]): Error {
  const near = nearest(rawName.replace(/^-+/, ""), names);
  return usageFailure(
    `\`cordon ${command.name}\` has no option \`${rawName}\``,
    near ? `did you mean \`--${near}\`` : `run \`cordon ${command.name} --help\` for those it has`,
  );
}

function checkWords(command: Command, words: readonly string[], help: string): void {
  const [min, max] = command.words;
  const usage = `usage: cordon ${command.name} ${command.usage}`.trim();
  if (words.length < min) throw usageFailure(`\`cordon ${command.name}\` needs more words`, `${usage}; ${help}`);
  if (words.length > max) {
    throw usageFailure(
      `\`cordon ${command.name}\` does not know what to do with \`${words[max]}\``,
      `${usage}; ${help}`,
    );
  }
}

function inputOf(
  values: ReadonlyMap<string, string | true>,
  words: readonly string[],
  trailing: readonly string[],
): Input {
  const text = (option: string): string | undefined => {
    const value = values.get(option);
    return typeof value === "string" ? value : undefined;
  };
  return {
    words,
    trailing,
    text,
    flag: (option) => values.has(option),
    count(option, fallback, min, max) {
      const given = text(option);
      if (given === undefined) return fallback;
      const value = /^\d{1,15}$/.test(given) ? Number(given) : NaN;
      if (value >= min && value <= max) return value;
      throw usageFailure(`\`--${option} ${given}\` is not a whole number from ${min} to ${max}`, "give such a number");
    },
  };
}
