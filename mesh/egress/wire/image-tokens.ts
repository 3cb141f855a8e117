import { err, ok, type Result } from "../../../lib/result.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import { familyOf, type Provider } from "../providers.ts";
import type { ImageSize } from "./format.ts";

/** Upper bound of the tokens of one image; undefined: none is documented for the model. */
type Bound = (model: string, size: ImageSize) => number | undefined;

const patches = ({ width, height }: ImageSize, side: number): number =>
  Math.ceil(width / side) * Math.ceil(height / side);

/**
 * platform.openai.com/docs/guides/images-vision, "Calculating costs". Tiles: the image is fitted into 2048 x 2048 and
 * its shorter side brought to 768, which leaves at most 8 tiles of 512. Patches of 32: at most 2,500, times the dearest
 * factor (2.46). The dearer of the two is taken for all models; `gpt-4o-mini` has tiles of its own.
 */
const OPENAI_SEES = /^(?:gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|o1|o3|o4-mini)(?![a-z0-9])/;
const openaiBound: Bound = (model, size) => {
  if (/^gpt-4o-mini/.test(model)) return 2_833 + 5_667 * 8;
  if (!OPENAI_SEES.test(model)) return undefined;
  return Math.max(85 + 170 * 8, Math.ceil(Math.min(patches(size, 32), 2_500) * 2.46));
};

/**
 * docs.anthropic.com/en/docs/build-with-claude/vision, "Calculate image costs": width x height / 750, or patches of
 * 28 for newer models; larger images are scaled down, to 4,784 tokens where the limit is highest.
 */
const anthropicBound: Bound = (model, size) =>
  /(?:^|[.:/])claude-/.test(model)
    ? Math.min(Math.max(Math.ceil((size.width * size.height) / 750), patches(size, 28)), 4_784)
    : undefined;

/**
 * ai.google.dev/gemini-api/docs/tokens and media-resolution: 258 tokens a tile, tiles of at least 256 pixels
 * (a crop unit is shorter side / 1.5, within 256 and 768); from Gemini 3 on at most 1,120 where nothing else is asked for.
 */
const geminiBound: Bound = (model, size) => {
  if (!/^gemini-/.test(model)) return undefined;
  const unit = Math.min(768, Math.max(256, Math.floor(Math.min(size.width, size.height) / 1.5)));
  return Math.max(258 * patches(size, unit), 1_120);
};

const bounds: Readonly<Record<string, Bound>> = {
  openai: openaiBound,
  anthropic: anthropicBound,
  bedrock: anthropicBound,
  google: geminiBound,
  // The scripted model looks at nothing.
  rehearsal: () => 1,
};

/** Upper bound of the tokens of a call's images, or the refusal of images that have none. */
export function imageTokensMax(
  provider: Provider,
  model: string,
  images: readonly ImageSize[],
): Result<number, Refusal> {
  // The name of a deployment says nothing about the model behind it.
  const family = provider.hosting?.kind === "azure" ? "" : familyOf(provider);
  let tokens = 0;
  for (const size of images) {
    const bound = Object.hasOwn(bounds, family) ? bounds[family]?.(model, size) : undefined;
    if (bound === undefined)
      return err(
        refusal(
          "unsupported",
          `no bound is known for the tokens of an image to \`${provider.name}/${model}\``,
          "send text only, or use a model whose provider documents one",
        ),
      );
    tokens += bound;
  }
  return ok(tokens);
}
