import type { Json } from "../../../../lib/json.ts";
import { joinLabels, type Label } from "../../../../protocol/label.ts";
import { failure, nothingToPrepare, type Performer } from "../job.ts";

export interface BoardEntry {
  readonly key: string;
  readonly version: number;
  readonly value: string;
  readonly label: Label;
}

export interface BoardWaitParts {
  /** Whether agent `as` may read `key`; the text says why not. */
  mayRead(as: string, key: string): string | undefined;
  /** Resolves with the entry when its key has at least `version`. */
  when(key: string, version: number, signal: AbortSignal): Promise<BoardEntry | undefined>;
}

export function boardWait({ mayRead, when }: BoardWaitParts): Performer {
  return {
    prepare: () => nothingToPrepare,
    staysInStore: () => true,
    async perform({ definition: { work }, input, label }, signal) {
      if (work.kind !== "wait" || work.until.kind !== "board") return failure("plan", "no board key is named");
      const key = (input as { readonly key?: Json } | null)?.key;
      if (typeof key !== "string") return failure("input", "the board key is not a text");
      const denied = mayRead(work.until.as, key);
      if (denied !== undefined) return failure("denied", denied);
      const entry = await when(key, work.until.version, signal);
      if (!entry) return failure("work", `no board key \`${key}\``);
      const output = { key, version: entry.version, value: entry.value };
      return { ok: true, output, label: joinLabels(label, entry.label) };
    },
  };
}
