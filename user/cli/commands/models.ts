import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { parseJson, type Json } from "../../../lib/json.ts";
import { formatUsd } from "../../../lib/units.ts";
import { limits } from "../../../protocol/limits.ts";
import type { ModelPage, PriceListReport } from "../../../protocol/money.ts";
import { jsonOption, stateOptions, type Command, type Context } from "../command.ts";
import { codeOf, Failure, usageFailure, type ExitCode } from "../failure.ts";
import { tint } from "../line.ts";
import { askDeskOr, meshJson } from "../mesh-offline.ts";
import { meshFailure, runMesh } from "../mesh-process.ts";
import { placesOf } from "../places.ts";

export const models: Command = {
  name: "models",
  summary: "list the models that have a price, or bring in a newer list of prices",
  usage: "list [--provider NAME] [--json] | update --from FILE",
  options: {
    provider: { value: "NAME", help: "only models of this provider" },
    from: { value: "FILE", help: "with `update`: a list of prices, JSON of the form cordon-prices/1" },
    ...jsonOption,
    ...stateOptions,
  },
  words: [1, 1],
  notes: [
    '{ "format": "cordon-prices/1", "version": "2026-11-22", "models": [ { "provider": "openai", "model": "gpt-4o",',
    '  "context_tokens": 128000, "input": 2.5, "output": 10, "cache_read": 1.25 } ] }',
    "Rates are US dollars for a million tokens. More of a model: cache_write, output_reasoning, input_audio, output_audio,",
    "and tiers: [{ from_tokens, input, output, ... }]. A list with a fault changes nothing; one that is taken stands in the audit.",
    "What the fleet file says of a price stands before every list.",
  ],
  async run(input, context) {
    const [verb = ""] = input.words;
    const { state } = placesOf(input, context);
    const from = input.text("from");
    if (verb === "list" && from === undefined) return list(state, input.text("provider"), input.flag("json"), context);
    if (verb === "update" && from !== undefined) return update(state, from, input.flag("json"), context);
    if (verb === "update") throw usageFailure("`models update` needs a file", "cordon models update --from FILE");
    throw usageFailure(
      `\`cordon models\` cannot \`${verb}\` that`,
      "cordon models list, or cordon models update --from FILE",
    );
  },
};

async function list(state: string, provider: string | undefined, json: boolean, context: Context): Promise<ExitCode> {
  if (provider !== undefined && !/^[a-z][a-z0-9-]{0,63}$/.test(provider))
    throw usageFailure(`\`${provider.slice(0, 64)}\` is no name of a provider`, "for example `openai`");
  const found = await askDeskOr(
    state,
    (desk) => desk.models(provider),
    () =>
      meshJson<ModelPage>(context, ["models", ...(provider === undefined ? [] : [provider]), "--state", state], [0]),
  );
  if (json) context.terminal.json(found);
  else {
    context.terminal.table(
      ["model", "context", "input", "cached", "cache write", "output", "from"],
      found.models.map((card) => [
        `${card.provider}/${card.model}`,
        card.contextTokens === null ? "-" : String(card.contextTokens),
        rateText(
          card.input,
          card.tiers.map(({ input }) => input),
        ),
        formatUsd(card.cacheRead),
        formatUsd(card.cacheWrite),
        rateText(
          card.output,
          card.tiers.map(({ output }) => output),
        ),
        card.source,
      ]),
    );
    context.terminal.print(
      tint("faint", `US dollars for a million tokens; ${found.models.length} models; ${found.source}`),
    );
  }
  return found.models.length > 0 ? 0 : 1;
}

/** The first rate, and the dearest of the tiers where that is another one. */
function rateText(rate: number, tiers: readonly number[]): string {
  const dearest = Math.max(rate, ...tiers);
  return dearest > rate ? `${formatUsd(rate)}-${formatUsd(dearest)}` : formatUsd(rate);
}

async function update(state: string, name: string, json: boolean, context: Context): Promise<ExitCode> {
  const value = readList(resolve(context.cwd, name), name);
  const text = JSON.stringify(value);
  if (Buffer.byteLength(text) > limits.ledger.priceFileBytesMax)
    throw new Failure(
      `\`${name}\` is larger than ${limits.ledger.priceFileBytesMax} bytes`,
      "leave out models that are not used",
    );
  const report = await askDeskOr(
    state,
    (desk) => desk.updatePrices(value),
    () => offline(state, text, context),
  );
  if (json) context.terminal.json(report);
  else {
    context.terminal.print(`prices of ${report.models} models, version ${report.version}, hold from now on`);
    context.terminal.print(tint("faint", `sha256 ${report.sha256}, as in the audit`));
    for (const each of report.changed.slice(0, SHOWN)) context.terminal.print(`changed: ${each}`);
    if (report.changed.length > SHOWN) context.terminal.print(`and ${report.changed.length - SHOWN} more`);
  }
  return 0;
}

const SHOWN = 20;

function readList(path: string, name: string): Json {
  let bytes: Buffer;
  try {
    if (statSync(path).size > READ_BYTES_MAX) throw new Failure(`\`${name}\` is too large`, "leave out models");
    bytes = readFileSync(path);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`cannot read \`${name}\`: ${codeOf(error)}`, "name a file that is there");
  }
  const json = parseJson(bytes, limits.door.jsonDepthMax);
  if (!json.ok) throw new Failure(`\`${name}\` is not JSON: ${json.error}`, "correct it; nothing was changed");
  return json.value;
}

/** With white space it may be larger than what is sent. */
const READ_BYTES_MAX = 4 * limits.ledger.priceFileBytesMax;

async function offline(state: string, text: string, context: Context): Promise<PriceListReport> {
  const { code, stdout, stderr } = await runMesh(context, ["prices", "--state", state], Buffer.from(text));
  const read = parseJson(Buffer.from(stdout.trim()), 8);
  if (code !== 0 || !read.ok) throw meshFailure(stderr, code);
  return read.value as unknown as PriceListReport;
}
