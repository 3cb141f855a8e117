import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { isMap, parseDocument, stringify, type Document } from "yaml";
import { z } from "zod";
import { parseJson } from "../../lib/json.ts";
import { limits } from "../../protocol/limits.ts";
import { Name } from "../../protocol/names.ts";
import { parseFleet } from "../config/parse.ts";
import { readRegular } from "../config/read-file.ts";
import type { Fault } from "../config/source.ts";
import type { MeshOptions } from "../main.ts";
import { CommandError } from "./failure.ts";

/** What a credential is to be bound to, as a person has said it; what it means, the fleet file's own reader decides. */
const Wish = z.strictObject({
  name: Name,
  to: z.string().max(limits.web.ruleCharsMax),
  /** `KIND` or `KIND:VALUE`; absent of a repository. */
  in: z.string().max(200).optional(),
  require: z.boolean(),
  agent: Name,
  hostKey: z.string().max(2_048).optional(),
});
type Wish = z.infer<typeof Wish>;

/**
 * `bind JSON`: what to write into a fleet file so that a credential is put in at a place. Changes nothing: the file is the
 * authority. Prints `{ stanza, fits }`; `fits`: the file that is there takes it as it is, null: there is none.
 */
export function bind({ fleet = "cordon.yaml" }: MeshOptions, [text = ""]: readonly string[]): number {
  const parsed = parseJson(Buffer.from(text), 4);
  const wish = Wish.safeParse(parsed.ok ? parsed.value : null);
  if (!wish.success) throw new CommandError("the wish is not understood: use `cordon credential bind`");
  const stanza = isRepository(wish.data.to) ? repositoryOf(wish.data) : bindingOf(wish.data);
  const { agents, ...rest } = stanza as { readonly agents: Readonly<Record<string, object>> };
  const whole = Object.entries(agents).map(([name, agent]) => [name, { ...PLAIN, ...agent }]);
  refuse(parseFleet(stringify({ version: 1, fleet: "f", ...rest, agents: Object.fromEntries(whole) as object }), "/"));
  const fits = existsSync(fleet) ? fitting(fleet, stanza, wish.data.agent) : null;
  process.stdout.write(`${JSON.stringify({ stanza: stringify(stanza), fits })}\n`);
  return 0;
}

const PLAIN = { model: "rehearsal/echo", command: ["/bin/node"] };

/** The first fault of what a person has said; its line is not one that he has written. */
function refuse(parsed: ReturnType<typeof parseFleet>): void {
  const [fault] = parsed.ok ? [] : parsed.error;
  if (fault) throw new CommandError(`${fault.message}: ${fault.fix}`);
}

const isRepository = (to: string): boolean => to.startsWith("ssh://") || /^[^/:@]+@[^/:]+:/.test(to);

function bindingOf({ name, to, in: place = "", require, agent }: Wish): object {
  const surface = surfaceOf(place);
  const binding = { to, in: surface, ...(require && { require }) };
  return { bindings: { [name]: [binding] }, agents: { [agent]: { may: { use: [name], reach: [to] } } } };
}

const ALONE = ["basic", "path", "websocket"];
const NAMED = ["header", "query", "form", "json", "aws"];

/** `header:x-api-key`, `basic`, `aws:REGION/SERVICE`. */
function surfaceOf(text: string): string | object {
  const colon = text.indexOf(":");
  const [kind, value] = colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
  if (!(colon < 0 ? ALONE : NAMED).includes(kind)) {
    const all = [...ALONE, ...NAMED.map((each) => `${each}:…`)].join(", ");
    throw new CommandError(`\`${text}\` is not a place in a request: use one of ${all}`);
  }
  if (colon < 0) return kind;
  const [region = "", service = ""] = value.split("/");
  return { [kind]: kind === "aws" ? { region, service } : value };
}

function repositoryOf({ name, to, agent, hostKey }: Wish): object {
  if (hostKey === undefined)
    throw new CommandError(
      "a repository needs the key of its server: give `--host-key` a fingerprint or a line of known_hosts",
    );
  const last =
    to
      .replace(/\.git$/, "")
      .split(/[/:]/)
      .at(-1) ?? "";
  const repository = Name.safeParse(last.toLowerCase()).success ? last.toLowerCase() : "repository";
  return {
    repositories: { [repository]: { to, host_key: hostKey, key: name } },
    agents: { [agent]: { may: { repositories: [repository] } } },
  };
}

/** Whether the file takes it; the faults are of the file with it, so that their lines say nothing. */
function fitting(file: string, stanza: object, agent: string): boolean {
  const read = readRegular(file, limits.fleet.fileBytesMax);
  if (!read.ok) throw new CommandError(`the fleet file \`${file}\` cannot be read: ${read.error}`);
  const text = read.value.toString("utf8");
  // Keys that stand twice are told as faults; to compare each key with each other one takes a large file for ever.
  const document = parseDocument(text, { uniqueKeys: false });
  const agents = document.get("agents");
  if (!isMap(agents) || !agents.has(agent))
    throw new CommandError(`the fleet file has no agent \`${agent}\`: name one of its own`);
  const before = faultsOf(text, file);
  merge(document, [], stanza);
  const added = faultsOf(document.toString(), file).find(
    (each) => !before.some(({ message }) => message === each.message),
  );
  if (added) throw new CommandError(`with it the fleet file is wrong: ${added.message}: ${added.fix}`);
  return before.length === 0;
}

function faultsOf(text: string, file: string): readonly Fault[] {
  const parsed = parseFleet(text, dirname(resolve(file)));
  return parsed.ok ? [] : parsed.error;
}

/** Adds to what is there: lists grow, and no value is replaced. */
function merge(document: Document, at: readonly string[], value: unknown): void {
  if (Array.isArray(value) && document.hasIn(at))
    for (const each of value as unknown[]) document.addIn(at, document.createNode(each));
  else if (typeof value === "object" && value !== null && !Array.isArray(value) && document.hasIn(at))
    for (const [key, inner] of Object.entries(value)) merge(document, [...at, key], inner);
  else if (!document.hasIn(at)) document.setIn(at, document.createNode(value));
}
