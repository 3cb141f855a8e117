import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import type { ModelCall } from "../egress/wire/format.ts";
import { withinLimits, type ModelLimits } from "./model-limits.ts";

const base: ModelCall = {
  ...{
    model: "p/m",
    stream: false,
    choices: 2,
    outputTokens: 500,
    inputTokensMax: 9,
    images: [],
    tools: 3,
    temperature: 0.7,
  },
  body: () => Buffer.alloc(0),
};
const judge = (ceilings: ModelLimits, more: Partial<ModelCall> = {}) =>
  withinLimits("a", ceilings, { ...base, ...more });

test("at the ceiling a call passes, above it it is refused with the line that would allow it", () => {
  assert.ok(judge({ n: 2, tools: 3, temperature: 0.7 }).ok);
  for (const [ceilings, name] of [
    [{ n: 1 }, "n"],
    [{ tools: 2 }, "tools"],
    [{ tools: 0 }, "tools"],
    [{ temperature: 0.69 }, "temperature"],
  ] as const) {
    const judged = judge(ceilings);
    assert.ok(!judged.ok && judged.error.code === "denied", name);
    assert.equal(judged.error.remedy, `raise \`agents.a.model_limits.${name}\``);
  }
  assert.ok(judge({ temperature: 0 }, { temperature: null }).ok);
});

test("a longer answer is shortened, as the budget does", () => {
  const tokens = (maxTokens: number, outputTokens: number | null): number | null | undefined => {
    const judged = judge({ maxTokens }, { outputTokens });
    return judged.ok ? judged.value : undefined;
  };
  assert.deepEqual([tokens(100, 500), tokens(1_000, 500), tokens(100, null)], [100, 500, 100]);
  assert.equal(tokens(100_000, null), limits.model.outputTokensDefault);
  assert.equal(tokens(100, 0), 0, "embeddings write nothing");
});

test("what is held whole is not shortened: its ceiling goes along, until its tokens are known", () => {
  for (const whole of [{ heard: { ms: 1 } }, { drawn: { size: "auto", quality: "auto" } }] as const) {
    const tokens = (ceilings: ModelLimits): number | null | undefined => {
      const judged = judge(ceilings, { ...whole, outputTokens: null });
      return judged.ok ? judged.value : undefined;
    };
    assert.deepEqual([tokens({}), tokens({ maxTokens: 100 })], [null, 100]);
  }
});
