/**
 * The command line of somebody else's container launcher. It is cut into words here and run without a shell: what
 * stands in for a placeholder is always one word, or the words of the command, whatever it holds.
 */
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";

export interface Launch {
  /** A root file system with Node at /bin/node; a copy that the launcher may spoil. */
  readonly rootfs: string;
  /** What must stand, readable, at /code inside. */
  readonly code: string;
  /** What must be run inside, one word an item. */
  readonly command: readonly string[];
}

export type Template = readonly string[];

const PLACEHOLDER = /\{([a-z]+)\}/g;
const KNOWN = ["rootfs", "code", "command"];

/** Words are parted by blanks; quotes of both kinds keep blanks, a backslash keeps one character. */
export function parseTemplate(text: string): Result<Template, string> {
  if (text.length > limits.assault.templateCharsMax || text.includes("\0"))
    return err(`the launcher's command is too long: keep it under ${limits.assault.templateCharsMax} characters`);
  const words = split(text);
  if (words === null) return err("the launcher's command ends within quotes: close them");
  if (words.length === 0) return err("the launcher's command is empty: write for example `podman run … {command}`");
  const used = words.flatMap((word) => [...word.matchAll(PLACEHOLDER)].map((match) => match[1] ?? ""));
  const unknown = used.find((name) => !KNOWN.includes(name));
  if (unknown !== undefined) return err(`the launcher's command has no \`{${unknown}}\`: use ${names(KNOWN)}`);
  const missing = ["code", "command"].filter((name) => !used.includes(name));
  if (missing.length > 0)
    return err(
      `the launcher's command does not say where ${names(missing)} goes: it must run our code to test anything`,
    );
  if (words.some((word) => word.includes("{command}") && word !== "{command}"))
    return err("`{command}` stands for several words: let it stand alone");
  return ok(words);
}

export const fill = (template: Template, launch: Launch): readonly string[] =>
  template.flatMap((word) =>
    word === "{command}"
      ? launch.command
      : [word.replaceAll("{rootfs}", () => launch.rootfs).replaceAll("{code}", () => launch.code)],
  );

const names = (list: readonly string[]): string => list.map((name) => `\`{${name}}\``).join(", ");

function split(text: string): string[] | null {
  const words: string[] = [];
  let word = "";
  let open = false;
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (quote !== "" ? character === quote : character === '"' || character === "'") {
      quote = quote === "" ? character : "";
      open = true;
    } else if (character === "\\" && quote !== "'") {
      word += text[++at] ?? "";
      open = true;
    } else if (quote === "" && /\s/.test(character)) {
      if (open) words.push(word);
      word = "";
      open = false;
    } else {
      word += character;
      open = true;
    }
  }
  if (open) words.push(word);
  return quote === "" ? words : null;
}
