import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { limits } from "../../../protocol/limits.ts";
import { builtInProviders, type Provider } from "../providers.ts";
import { imageTokensMax } from "./image-tokens.ts";
import { encodedImagesOf, imagesOf } from "./images.ts";

function png(width: number, height: number): Buffer {
  const head = Buffer.from("89504e470d0a1a0a0000000d49484452", "hex");
  const size = Buffer.alloc(8);
  size.writeUInt32BE(width, 0);
  size.writeUInt32BE(height, 4);
  return Buffer.concat([head, size, Buffer.alloc(8)]);
}
function jpeg(width: number, height: number, frame = 0xc2): Buffer {
  const size = Buffer.from([0xff, frame, 0, 11, 8, height >> 8, height & 255, width >> 8, width & 255, 1, 1, 17, 0]);
  const exif = Buffer.from([0xff, 0xe1, 0, 6, 0xff, 0xc0, 1, 2]);
  return Buffer.concat([Buffer.from([0xff, 0xd8]), exif, Buffer.from([0xff, 0xff]), size.subarray(1), Buffer.alloc(8)]);
}
const url = (file: Buffer, type = "image/png"): string => `data:${type};base64,${file.toString("base64")}`;
const sizes = (...urls: string[]) => {
  const read = imagesOf(urls);
  return read.ok ? read.value.sizes : read.error.code;
};

test("sizes come from the file's own header", () => {
  assert.deepEqual(sizes(url(png(640, 480)), url(jpeg(800, 600), "image/jpeg")), [
    { width: 640, height: 480 },
    { width: 800, height: 600 },
  ]);
  const data = png(1, 1).toString("base64");
  assert.deepEqual(encodedImagesOf([{ type: "image/png", data }]), {
    ok: true,
    value: { sizes: [{ width: 1, height: 1 }], bytes: data.length },
  });
});

test("what would be fetched, is no image, or is too large is refused", () => {
  const { imageSidePixelsMax: side, imagesMax } = limits.model;
  for (const bad of [
    ...["https://x/y.png", "http://169.254.169.254/", "file:///etc/passwd", "", "data:image/png;base64,", "data:,x"],
    ...[url(png(0, 5)), url(png(side + 1, 5)), url(png(5, 5), "image/gif"), url(png(5, 5), "image/jpeg")],
    ...[url(jpeg(5, 5)), url(jpeg(5, 5, 0xc4), "image/jpeg"), url(jpeg(5, 5, 0xda), "image/jpeg")],
    ...[url(png(5, 5).subarray(0, 20)), `${url(png(5, 5))}!`, url(png(5, 5)).replace("base64,", "base64, ")],
  ])
    assert.equal(sizes(bad), "unsupported", bad.slice(0, 60));
  assert.equal(sizes(...Array.from({ length: imagesMax + 1 }, () => url(png(1, 1)))), "unsupported");
});

test("any bytes are read or refused, never thrown at", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom("image/png", "image/jpeg"), (bytes, type) => {
      const start = type === "image/png" ? png(1, 1).subarray(0, 16) : Buffer.from([0xff, 0xd8]);
      imagesOf([url(Buffer.concat([start, bytes]), type)]);
    }),
    { seed: 62, numRuns: 2_000 },
  );
});

const tokens = (provider: string, model: string, width: number, height: number, more: Partial<Provider> = {}) => {
  const found = builtInProviders[provider] ?? { ...(builtInProviders["openai"] as Provider), name: provider };
  const bound = imageTokensMax({ ...found, ...more }, model, [{ width, height }]);
  return bound.ok ? bound.value : bound.error.code;
};

test("the bound covers what providers document", () => {
  // Worked examples of the providers' own pages.
  for (const [provider, model, width, height, documented] of [
    ["openai", "gpt-4o", 1_024, 1_024, 765],
    ["openai", "gpt-4o", 2_048, 4_096, 1_105],
    ["openai", "gpt-4o-mini", 1_024, 1_024, 25_501],
    ["openai", "gpt-5-nano", 1_024, 1_024, 2_520],
    ["openai", "gpt-4.1-mini", 1_800, 2_400, 2_353],
    ["anthropic", "claude-sonnet-4-5", 1_000, 1_000, 1_334],
    ["anthropic", "claude-sonnet-4-5", 1_092, 1_092, 1_590],
    ["google", "gemini-2.5-flash", 384, 384, 258],
    ["google", "gemini-2.5-flash", 960, 540, 6 * 258],
  ] as const) {
    const bound = tokens(provider, model, width, height);
    assert.ok(typeof bound === "number" && bound >= documented && bound < 60_000, `${model}: ${bound}`);
  }
  assert.equal(imageTokensMax(builtInProviders["openai"] as Provider, "gpt-x", []).ok, true, "no image, no question");
});

test("no documented bound, no image", () => {
  for (const [provider, model] of [
    ["groq", "llama"],
    ["own", "gpt-4o"],
    ["openai", "gpt-9"],
    ["anthropic", "other"],
    ["google", "learnlm"],
    ["constructor", "gpt-4o"],
  ] as const)
    assert.equal(tokens(provider, model, 10, 10), "unsupported", `${provider}/${model}`);
  assert.equal(tokens("openai", "gpt-4o", 9, 9, { hosting: { kind: "azure", apiVersion: "x" } }), "unsupported");
  assert.ok(Number(tokens("own", "us.anthropic.claude-x", 9, 9, { hosting: { kind: "bedrock", region: "x" } })) > 0);
});
