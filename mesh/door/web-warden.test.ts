import assert from "node:assert/strict";
import { test } from "node:test";
import type { Decision, Matrix } from "../policy/decide.ts";
import type { ReachRule, RequestAction } from "../policy/reach.ts";
import type { DoorServices } from "./services.ts";
import { webWarden } from "./web-warden.ts";

const rule: ReachRule = {
  ...{ text: "https://a.test/ok", scheme: "https", host: "a.test", port: 443, methods: null, paths: ["/ok"] },
  ...{ address: null, tls: "intercept" },
};
const matrix = (): Matrix =>
  new Map([["a", { message: [], blackboard: { read: [], write: [] }, tools: [], models: [], reach: [rule] }]]);
const to = (path: string): RequestAction => ({
  ...{ verb: "web.request", scheme: "https", host: "a.test", port: 443, method: "GET", path },
});

function wardenOf(more: { decide?: () => Decision | undefined } = {}) {
  const services = {
    ...{ matrix: matrix(), halted: () => undefined, monitor: { emit: () => {} } },
    denials: () => ({ record: () => Promise.resolve() }),
    ...more,
  };
  return { services, warden: webWarden(services as unknown as DoorServices, { agent: "a", sandbox: "s" }) };
}

test("a permit is given again for the very action and matrix that it was given for, and for nothing else", async () => {
  const { services, warden } = wardenOf();
  const action = to("/ok");
  const first = await warden.permit(action);
  assert.ok(first.ok);
  const again = await warden.permit(action, first.value);
  assert.ok(again.ok && again.value === first.value);
  assert.equal((await warden.permit(to("/no"), first.value)).ok, false);
  services.matrix = matrix();
  const anew = await warden.permit(action, first.value);
  assert.ok(anew.ok && anew.value !== first.value);
  services.matrix = new Map();
  assert.equal((await warden.permit(action, anew.value)).ok, false);
});

test("a permit that a step has given is not given again when the step is over", async () => {
  let narrowed: Decision | undefined = { allow: true, rule: "the step's" };
  const { warden } = wardenOf({ decide: () => narrowed });
  const action = to("/ok");
  const inStep = await warden.permit(action);
  assert.ok(inStep.ok);
  assert.equal(inStep.value.name, "the step's");
  narrowed = undefined;
  const after = await warden.permit(action, inStep.value);
  assert.equal(after.ok && after.value.name, "agents.a.may.reach: https://a.test/ok");
});
