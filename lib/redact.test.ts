import assert from "node:assert/strict";
import { Console } from "node:console";
import { Writable } from "node:stream";
import { test } from "node:test";
import { format, inspect } from "node:util";
import { serialize } from "node:v8";
import { REDACTED, Secret } from "./redact.ts";

const CANARY = "canary-4f9a1c77e2";
const secret = (): Secret => new Secret(Buffer.from(CANARY));

/** The bytes in any spelling by which a printer shows buffers. */
function assertSilent(shown: string, way: string): void {
  const bytes = Buffer.from(CANARY);
  for (const form of [
    CANARY,
    bytes.toString("hex"),
    bytes.toString("hex").replace(/(..)(?=.)/g, "$1 "),
    bytes.toString("base64"),
    [...bytes].join(","),
    [...bytes].join(", "),
  ]) {
    assert.ok(!shown.includes(form), `${way}: ${shown}`);
  }
}

test("no way of printing shows the bytes", () => {
  const shown: Readonly<Record<string, string>> = {
    string: String(secret()),
    template: [`${secret() as unknown as string}`].join(""),
    concat: "" + secret(),
    json: JSON.stringify({ a: [secret()] }),
    inspect: inspect({ secret: secret() }, { depth: 9, showHidden: true }),
    plain: inspect(secret(), { customInspect: false, showHidden: true, getters: true }),
    format: format("%s %o %O %j", secret(), secret(), secret(), secret()),
    error: inspect(new Error("failed", { cause: secret() })),
    stack: String(new Error(`failed: ${secret() as unknown as string}`).stack),
    clone: inspect(structuredClone({ secret: secret() }), { showHidden: true }),
    serialized: Buffer.from(serialize({ secret: secret() })).toString("latin1"),
    keys: JSON.stringify([Object.entries(secret()), { ...secret() }, Reflect.ownKeys(secret())]),
    tag: Object.prototype.toString.call(secret()),
  };
  for (const [way, text] of Object.entries(shown)) assertSilent(text, way);
  for (const way of ["string", "template", "concat"]) assert.equal(shown[way], REDACTED);
  assert.equal(shown["json"], `{"a":["${REDACTED}"]}`);
  assert.equal(shown["inspect"], `{ secret: ${REDACTED} }`);
});

test("a console shows the fixed text", () => {
  let shown = "";
  const sink = new Writable({ write: (chunk, _encoding, done) => ((shown += String(chunk)), done()) });
  const printer = new Console(sink, sink);
  printer.log(secret(), { nested: secret() });
  printer.error("%s", secret());
  printer.dir(secret(), { customInspect: true });
  printer.table([{ secret: secret() }]);
  assertSilent(shown, "console");
  assert.equal(shown.split(REDACTED).length - 1, 5);
});

test("the check above would see a value that is not wrapped", () => {
  assert.throws(() => assertSilent(inspect({ secret: Buffer.from(CANARY) }), "canary"));
  assert.throws(() => assertSilent(JSON.stringify({ secret: Buffer.from(CANARY) }), "canary"));
});

test("reveal lends the bytes; erase zeroes them for good", () => {
  const bytes = Buffer.from(CANARY);
  const held = new Secret(bytes);
  assert.equal(
    held.reveal((lent) => Buffer.from(lent).toString()),
    CANARY,
  );
  held.erase();
  assert.ok(bytes.every((byte) => byte === 0));
  assert.throws(() => held.reveal(() => 1), /secret was erased/);
});
