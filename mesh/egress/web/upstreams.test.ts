import assert from "node:assert/strict";
import { test } from "node:test";
import { createSecureContext } from "node:tls";
import { systemClock } from "../../../lib/clock.ts";
import { Deadlines } from "../../http/deadlines.ts";
import { Upstreams } from "./upstreams.ts";

test("a connection is used again only for the place and the addresses for which it was made", async () => {
  const deadlines = new Deadlines(systemClock);
  const upstreams = new Upstreams(createSecureContext(), systemClock, deadlines);
  const place = { scheme: "http", host: "a.test", port: 80, addresses: ["192.0.2.1", "192.0.2.2"] } as const;
  const first = upstreams.to(place, place.addresses);
  assert.equal(upstreams.to(place, [...place.addresses]), first);
  const others = [
    { ...place, addresses: ["192.0.2.1", "192.0.2.3"] },
    { ...place, addresses: ["192.0.2.1"] },
    { ...place, addresses: ["192.0.2.2", "192.0.2.1"] },
    { ...place, host: "b.test" },
    { ...place, port: 81 },
    { ...place, scheme: "https" as const },
  ];
  // Each after the first, and each after the one before it.
  const made = others.map((other) => {
    assert.equal(upstreams.to(place, place.addresses), first);
    return upstreams.to(other, other.addresses);
  });
  assert.equal(new Set([first, ...made]).size, others.length + 1);
  assert.deepEqual(
    others.map((other) => made.indexOf(upstreams.to(other, other.addresses))),
    [...made.keys()],
  );
  await upstreams.close();
  assert.notEqual(upstreams.to(place, place.addresses), first);
  await upstreams.close();
  deadlines.close();
});
