import { globMatches } from "../../../../lib/glob.ts";
import type { PushRule } from "./setting.ts";

const CHARS_MAX = 512;

/** Stricter than git-check-ref-format(1): no name that another reader could take for another one. */
export const isRefName = (name: string): boolean =>
  name.length <= CHARS_MAX &&
  name.startsWith("refs/") &&
  // Control characters, spaces, and what git itself gives a meaning.
  !/[\p{C}\p{Z}~^:?*[\\]|\.\.|@\{/u.test(name) &&
  name.split("/").every((part) => part !== "" && !/^[.-]|\.$|\.lock$/.test(part));

/** A glob of the fleet file: a name in which segments may hold `*`, or be `**`. */
export const isRefGlob = (glob: string): boolean => isRefName(glob.replaceAll("*", "x"));

export const isPushable = (name: string, { refs }: PushRule): boolean => refs.some((glob) => globMatches(glob, name));

/** What `write: true` alone opens: branches and tags, and no ref with a meaning of the server's own. */
export const REFS_OF_WRITE = ["refs/heads/**", "refs/tags/**"];
