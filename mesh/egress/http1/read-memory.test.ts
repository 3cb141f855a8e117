import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadBuffer } from "./read-buffer.ts";
import { ReadMemory } from "./read-memory.ts";

/** A socket that reads `text` into what it is given. */
function socketOf(memory: ReadMemory) {
  const { buffer, callback } = memory.onread;
  let current = buffer();
  return {
    get memory() {
      return current;
    },
    read(bytes: Uint8Array): void {
      assert.ok(bytes.length <= current.length);
      current.set(bytes);
      callback(bytes.length, current);
      current = buffer();
    },
  };
}

test("what was read goes into the same memory again, unless it is lent", () => {
  const memory = new ReadMemory(false);
  const socket = socketOf(memory);
  const seen: Buffer[] = [];
  memory.take((bytes) => void seen.push(bytes));
  const first = socket.memory;
  socket.read(Buffer.from("one"));
  assert.equal(socket.memory, first);
  memory.take((bytes) => {
    seen.push(bytes);
    returned.push(memory.lend(), memory.lend());
  });
  const returned: (() => void)[] = [];
  socket.read(Buffer.from("two"));
  memory.take((bytes) => void seen.push(bytes));
  assert.notEqual(socket.memory, first);
  socket.read(Buffer.from("three"));
  assert.equal(seen[1]?.toString(), "two", "it is lent");
  // Two have borrowed it: one of them has done.
  returned[0]?.();
  returned[0]?.();
  const others = new Set<Uint8Array>();
  for (let i = 0; i < 4; i++) {
    memory.take(() => void returned.push(memory.lend()));
    socket.read(Buffer.from(`more ${i}`));
    others.add(socket.memory);
  }
  assert.ok(!others.has(first));
  assert.equal(seen[1]?.toString(), "two");
  returned[1]?.();
  memory.take(() => void returned.push(memory.lend()));
  socket.read(Buffer.from("last"));
  assert.equal(socket.memory, first, "and now the other, so it is used again");
});

test("of what was lent together, a few pieces are kept for the next reads, and not more", () => {
  const memory = new ReadMemory(false);
  const socket = socketOf(memory);
  const returned: (() => void)[] = [];
  const lent = new Set<Uint8Array>();
  memory.take(() => void returned.push(memory.lend()));
  for (let i = 0; i < 100; i++) {
    lent.add(socket.memory);
    socket.read(Buffer.from("x"));
  }
  assert.equal(lent.size, 100);
  for (const give of returned) give();
  let again = 0;
  for (let i = 0; i < 100; i++) {
    if (lent.has(socket.memory)) again++;
    socket.read(Buffer.from("x"));
  }
  assert.equal(again, 16);
});

test("long reads get more memory, but for TLS", () => {
  for (const [mayGrow, size] of [
    [true, 65_536],
    [false, 16_384],
  ] as const) {
    const memory = new ReadMemory(mayGrow);
    const socket = socketOf(memory);
    assert.equal(socket.memory.length, 16_384);
    socket.read(Buffer.alloc(16_384));
    assert.equal(socket.memory.length, size);
  }
});

test("what nobody borrowed or copied is zeros before anything else is read", () => {
  const memory = new ReadMemory(false);
  const socket = socketOf(memory);
  const seen: Buffer[] = [];
  const returned: (() => void)[] = [];
  memory.take((bytes) => {
    seen.push(bytes);
    if (seen.length === 1) returned.push(memory.lend());
  });
  for (const text of ["lent", "kept", "last"]) socket.read(Buffer.from(text));
  const zeros = "\0\0\0\0";
  assert.deepEqual(seen.map(String), ["lent", zeros, zeros]);
  returned[0]?.();
  // The spare is taken for what comes after the next borrowing.
  memory.take(() => void returned.push(memory.lend()));
  socket.read(Buffer.from("more"));
  assert.equal(String(seen[0]), zeros);

  const shared = new ReadBuffer();
  const [mine, theirs] = [shared.share(), shared.share()];
  mine.memory.take((bytes) => void seen.push(bytes));
  mine.onread.buffer.write("mine");
  mine.onread.callback(4);
  assert.equal(String(seen.at(-1)), zeros);
  theirs.onread.buffer.write("them");
  theirs.onread.callback(4);
  assert.equal(String(seen.at(-1)), zeros, "also what nobody takes");
});
