import { nearest } from "../../lib/nearest.ts";
import { limits } from "../../protocol/limits.ts";
import type { ChainLink, ChainSetting, ModelRef } from "./fleet.ts";
import type { FleetForm } from "./schema.ts";
import type { Path } from "./source.ts";

interface Reading {
  readonly forms: NonNullable<FleetForm["models"]>;
  /** `provider/model` at a place of the file; faults are told by it. */
  readonly model: (at: Path, text: string) => ModelRef;
  readonly place: (at: Path) => string;
  readonly fault: (at: Path, message: string, fix: string) => void;
}

/**
 * The chains of `models`, flat: a link can be `provider/model`, a name for one, or another chain. A link that is
 * unknown, that comes twice or that leads back to its own chain is a fault.
 */
export function chainsOf(reading: Reading): ReadonlyMap<string, ChainSetting> {
  const chains = new Map<string, ChainSetting>();
  for (const [name, form] of Object.entries(reading.forms)) {
    if (typeof form === "string") continue;
    const links = linksOf(reading, name, [name]);
    if (links.length > limits.model.chainLinksMax) {
      const message = `\`${name}\` has ${links.length} models with those of the chains that it names`;
      reading.fault(["models", name, "chain"], message, `at most ${limits.model.chainLinksMax}`);
    }
    if (new Set(links.map(({ provider, model }) => `${provider}/${model}`)).size < links.length)
      reading.fault(["models", name, "chain"], `\`${name}\` names a model twice`, "name it once");
    chains.set(name, {
      links,
      firstByteMs: form.first_byte ?? limits.model.firstByteTimeoutMs,
      deadlineMs: form.deadline ?? limits.model.totalTimeoutMs,
    });
  }
  return chains;
}

function linksOf(reading: Reading, name: string, trail: readonly string[]): ChainLink[] {
  const { forms, model, place, fault } = reading;
  const form = forms[name];
  if (form === undefined || typeof form === "string") return [];
  return form.chain.flatMap((text, index): ChainLink[] => {
    const at: Path = ["models", name, "chain", index];
    if (text.includes("/")) return [{ ...model(at, text), place: place(at) }];
    const meant = Object.hasOwn(forms, text) ? forms[text] : undefined;
    if (meant === undefined) {
      const near = nearest(text, Object.keys(forms));
      fault(at, `no model \`${text}\``, near ? `did you mean \`${near}\`?` : "declare it under `models`");
      return [];
    }
    if (typeof meant === "string") return [{ ...model(["models", text], meant), place: place(at) }];
    if (!trail.includes(text)) return linksOf(reading, text, [...trail, text]);
    // Each chain of a circle would tell it once more.
    if (trail[0] === text)
      fault(at, `the chain leads back to \`${text}\`: ${[...trail, text].join(" → ")}`, "remove this link");
    return [];
  });
}
