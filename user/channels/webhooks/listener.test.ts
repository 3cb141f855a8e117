import assert from "node:assert/strict";
import { request } from "node:http";
import { after, test } from "node:test";
import { systemClock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import { WebhookListener } from "./listener.ts";

const closing: (() => Promise<void>)[] = [];
after(() => Promise.all(closing.map((close) => close())));

test("so many deliveries are handed on at once, and no more; when one has ended there is room again", async () => {
  const ends: (() => void)[] = [];
  let nowMs = 0;
  // Each request comes a minute later: no address asks too often.
  const clock = { ...systemClock, monotonicMs: () => (nowMs += 60_000) };
  const listener = new WebhookListener(() => {
    const { promise, resolve } = Promise.withResolvers<void>();
    ends.push(resolve);
    return promise.then(() => ({ status: 202, word: "accepted" }) as const);
  }, clock);
  const port = await listener.listen("127.0.0.1", 0);
  closing.push(() => listener.close());
  const post = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const outgoing = request({ host: "127.0.0.1", port, path: "/hooks/a", method: "POST", agent: false });
      outgoing.on("response", (incoming) => resolve(incoming.resume().statusCode ?? 0)).on("error", reject);
      outgoing.end("{}");
    });
  const { requestsConcurrentMax } = limits.hook;
  const held = Array.from({ length: requestsConcurrentMax }, post);
  const handedOn = async (count: number, answered: () => boolean): Promise<void> => {
    while (ends.length < count && !answered()) await new Promise((resolve) => setImmediate(resolve));
  };
  const asked = () => {
    let status = 0;
    const answer = post().then((given) => (status = given));
    return { answer, answered: () => status !== 0 };
  };
  await handedOn(requestsConcurrentMax, () => false);
  const beyond = asked();
  await handedOn(requestsConcurrentMax + 1, beyond.answered);
  assert.equal(ends.length, requestsConcurrentMax);
  assert.equal(await beyond.answer, 503);
  ends[0]?.();
  assert.equal(await Promise.race(held), 202);
  const another = asked();
  await handedOn(requestsConcurrentMax + 1, another.answered);
  for (const end of ends) end();
  assert.equal(await another.answer, 202);
  assert.deepEqual(await Promise.all(held), Array(requestsConcurrentMax).fill(202));
});
