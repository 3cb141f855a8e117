import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { roomOn, spaceAt, type Space } from "./room.ts";

test("the last of the disk is kept for the mesh, of a small one a part; it is looked at now and then", () => {
  let nowMs = 0;
  let looks = 0;
  let space: Space = { free: 0, all: 0 };
  const room = roomOn(() => (looks++, space), { ...systemClock, monotonicMs: () => nowMs });
  const { freeBytesMin, freeHundredthsMin, spaceLookMs } = limits.store;
  const later = (free: number, all: number): boolean => {
    space = { free, all };
    nowMs += spaceLookMs;
    return room();
  };
  const large = 1_000 * freeBytesMin;
  assert.deepEqual([later(freeBytesMin, large), later(freeBytesMin - 1, large), later(0, large)], [true, false, false]);
  const small = freeBytesMin;
  const part = (small * freeHundredthsMin) / 100;
  assert.deepEqual([later(part, small), later(part - 1, small)], [true, false]);
  const before = looks;
  assert.deepEqual([room(), room(), looks], [false, false, before]);
  assert.ok(later(large, large));
  const { free, all } = spaceAt(tmpdir());
  assert.ok(free > 0 && free <= all);
});
