/** Two runs that speak over a topic of a real mesh, one of them over a restart of it; as a person runs them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { RunDetail } from "../../protocol/run.ts";
import { openDesk } from "../../user/cli/desk-client.ts";
import { eventually } from "../fleet/running-mesh.ts";
import { openHome } from "./cordon.ts";
import { assertDone } from "./failure.ts";

const home = openHome({
  "ear.md": "You lend your rights.",
  "cordon.yaml": `version: 1
fleet: topics
defaults:
  model: rehearsal/echo
  budget: { day: { tokens: 10k } }
  sandbox: { memory: 128MiB, cpus: 0.1, pids: 64, disk: 16MiB, isolation: container }
agents:
  ear: { instructions: ear.md, may: { topics: { publish: [news/*], subscribe: [news/*] } } }
`,
  "listen.yaml": `workflow: 1
name: listen
steps:
  heard: { wait: { topic: news/tides, from: ear }, as: ear, timeout: 10m }
result: "\${{ steps.heard.output }}"
`,
  "tell.yaml": `workflow: 1
name: tell
input: { type: object, properties: { about: { type: string } }, required: [about] }
steps:
  say: { tool: bus.publish, as: ear, with: { topic: "news/\${{ input.about }}", body: "high water" } }
result: "\${{ steps.say.output.position }}"
`,
});
const { cordon } = home;
const show = async (run: string): Promise<RunDetail> => (await openDesk(home.state)).run(run);
const over = (run: string): Promise<RunDetail> =>
  eventually(`${run} to end`, async () => {
    const found = await show(run);
    return found.finishedAtMs === null ? undefined : found;
  });

before(async () => void assertDone(await cordon(["up", "-d"])));
after(() => home.close());

test("the plan names the topic and who may use it", async () => {
  const said = assertDone(await cordon(["plan", "tell.yaml"]));
  assert.match(said, /topic\.publish news\/\*/);
  assert.match(assertDone(await cordon(["plan", "listen.yaml"])), /topic\.subscribe news\/tides/);
});

test("a run that waits over a restart is ended by what another run says", async () => {
  const listening = assertDone(await cordon(["run", "listen.yaml", "--detach"])).trim();
  assertDone(await cordon(["run", "tell.yaml", "--input", '{"about":"ferries"}']));
  assertDone(await cordon(["down"]));
  assertDone(await cordon(["up", "-d"]));
  assert.equal((await show(listening)).finishedAtMs, null, "another topic and a restart end no wait");
  assertDone(await cordon(["run", "tell.yaml", "--input", '{"about":"tides"}']));
  const { status, output } = await over(listening);
  assert.equal(status, "succeeded");
  const { topic, from, body, position } = output as Record<string, unknown>;
  assert.deepEqual([topic, from, body, position], ["news/tides", "agent:ear", "high water", 1]);
});

test("a hole that leaves what was planned and granted is refused in the run", async () => {
  const told = await cordon(["run", "tell.yaml", "--input", '{"about":"a/b"}']);
  assert.notEqual(told.code, 0);
  assert.match(told.stdout + told.stderr, /the plan does not name `topic\.publish` of `news\/a\/b`/);
});
