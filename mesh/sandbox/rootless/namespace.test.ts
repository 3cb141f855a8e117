import assert from "node:assert/strict";
import { it } from "node:test";
import { placesOf } from "../places.ts";
import { aboutNamespace, namespaceOf } from "./namespace.ts";

const WHOLE = "         0          0 4294967295\n";
const mapOf = (count: number): string => `         0      54321          1\n         1     100000 ${count}\n`;

it("is nobody's own in the namespace that the machine starts with", () => {
  assert.equal(namespaceOf(WHOLE, WHOLE, false), null);
});

it("has room for as many sandboxes as both kinds of ids are there for", () => {
  const room = (users: number, groups: number) => namespaceOf(mapOf(users), mapOf(groups), true)?.idRangesMax;
  assert.equal(room(65_536, 65_536), 31);
  assert.equal(room(65_536, 4_096), 1);
  assert.equal(room(4_096, 65_536), 1);
  assert.equal(room(2_048, 65_536), 0);
  assert.equal(namespaceOf("0 54321 1\n", "0 54321 1\n", true)?.idRangesMax, 0);
});

it("has no id of the last sandbox that is not the user's own", () => {
  const namespace = namespaceOf(mapOf(65_536), mapOf(65_536), true);
  assert.ok(namespace !== null);
  const places = placesOf("abcdefgh", "/state", undefined, namespace);
  const last = places.hostIdFirst + places.hostIdRangesMax * 2_048 - 1;
  assert.ok(places.hostIdFirst > 0 && last <= 65_536);
  assert.equal(places.cgroupParent, "/cordon-user-54321/cordon-abcdefgh");
  assert.equal(
    aboutNamespace(namespace),
    "rootless: user namespace of 54321, 31 sandboxes at a time, /data by fuse2fs",
  );
});
