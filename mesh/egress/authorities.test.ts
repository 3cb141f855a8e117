import assert from "node:assert/strict";
import { test } from "node:test";
import { getCACertificates } from "node:tls";
import { trusting } from "./authorities.ts";

test("who names certificates of his own trusts the system's authorities as before", () => {
  const { ca = [] } = trusting("mine");
  const systems = getCACertificates("default");
  assert.ok(systems.length > 0 && systems.every((each) => ca.includes(each)));
  assert.ok(ca.includes("mine"));
  assert.deepEqual(trusting(null), {});
});
