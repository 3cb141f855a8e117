/** Forms: what is read is what the platform's own reader finds in the same bytes; anything else is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { limits } from "../../../protocol/limits.ts";
import { FORM_TYPE, readFormData, writeFormData, type FormPart } from "./form-data.ts";
import { BOUNDARY, formOf, TYPE } from "./testing/sound.ts";

type Told = readonly (readonly [name: string, isFile: boolean, content: string])[];

const told = (parts: readonly FormPart[]): Told =>
  parts.map(({ name, isFile, content }) => [name, isFile, content.toString("latin1")]);

/** Undefined: the platform's reader refuses it. */
async function oracle(type: string, body: Buffer): Promise<Told | undefined> {
  const request = new Request("http://x/", {
    method: "POST",
    headers: { "content-type": type },
    body: new Uint8Array(body),
  });
  const form = await request.formData().catch(() => undefined);
  if (!form) return undefined;
  const parts: [string, boolean, string][] = [];
  for (const [name, value] of form) {
    const isFile = typeof value !== "string";
    const content = isFile ? Buffer.from(await value.arrayBuffer()) : Buffer.from(value);
    parts.push([name, isFile, content.toString("latin1")]);
  }
  return parts;
}

const content = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom("\r\n", "--", `\r\n--${BOUNDARY.slice(0, -1)}x`, "\r\n\r\n", "a\nb").map((text) => Buffer.from(text)),
);
const form = fc
  .uniqueArray(
    fc.record({
      name: fc.stringMatching(/^[a-z_]{1,8}(?:\[\])?$/),
      fileName: fc.option(fc.constantFrom("a.wav", "../../etc/passwd", "ü.wav", "a;b=c", "%22"), { nil: undefined }),
      content,
    }),
    { maxLength: 6, selector: ({ name }) => name },
  )
  .map((parts) =>
    formOf(parts.map(({ fileName, ...part }) => (fileName === undefined ? part : { ...part, fileName }))),
  );

test("whatever form is accepted, the platform's reader finds the same parts in it", async () => {
  let accepted = 0;
  const alter = fc.oneof(
    { weight: 2, arbitrary: fc.constant((body: Buffer) => body) },
    fc.tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 4 })).map(([at, bytes]) => (body: Buffer) => {
      const place = at % (body.length + 1);
      return Buffer.concat([body.subarray(0, place), Buffer.from(bytes), body.subarray(place)]);
    }),
    fc.tuple(fc.nat(), fc.nat(6)).map(([at, count]) => (body: Buffer) => {
      const place = at % (body.length + 1);
      return Buffer.concat([body.subarray(0, place), body.subarray(place + count)]);
    }),
    fc
      .tuple(
        fc.nat(),
        fc.constantFrom(
          `--${BOUNDARY}`,
          `\r\n--${BOUNDARY}\r\n`,
          `\r\n--${BOUNDARY}--`,
          BOUNDARY,
          "\r\n\r\n",
          '; name="x"',
        ),
      )
      .map(([at, text]) => (body: Buffer) => {
        const place = at % (body.length + 1);
        return Buffer.concat([body.subarray(0, place), Buffer.from(text), body.subarray(place)]);
      }),
  );
  await fc.assert(
    fc.asyncProperty(form, alter, async (written, change) => {
      const body = change(written);
      const read = await readFormData(TYPE, body);
      if (!read.ok) return;
      accepted++;
      const found = await oracle(TYPE, body);
      const text = (parts: Told): Told =>
        // The oracle puts another character for what is no UTF-8; fields of that kind are refused one step later.
        parts.map(([name, isFile, bytes]) => [name, isFile, isFile ? bytes : utf8(Buffer.from(bytes, "latin1"))]);
      assert.deepEqual(text(told(read.value)), found);
    }),
    { seed: 6, numRuns: 700 },
  );
  assert.ok(accepted > 150, `${accepted} were accepted`);
});

/** As a field is decoded by the platform: a mark of the byte order at its beginning is left out. */
const utf8 = (bytes: Buffer): string => Buffer.from(new TextDecoder().decode(bytes)).toString("latin1");

test("what the platform's own writer makes of a form is read", async () => {
  const data = new FormData();
  data.set("model", "openai/whisper-1");
  data.set("prompt", "Zürich\r\n--x");
  data.set("file", new File([new Uint8Array([1, 0, 255])], 'sp"eech.wav', { type: "audio/wav" }));
  const request = new Request("http://x/", { method: "POST", body: data });
  const type = request.headers.get("content-type") ?? "";
  const read = await readFormData(type, Buffer.from(await request.arrayBuffer()));
  assert.ok(read.ok, read.ok ? "" : read.error);
  assert.deepEqual(
    read.value.map(({ name, isFile }) => [name, isFile]),
    [
      ["model", false],
      ["prompt", false],
      ["file", true],
    ],
  );
  assert.deepEqual(read.value[2]?.content, Buffer.from([1, 0, 255]));
});

test("tricks with boundaries, heads and names are refused", async () => {
  const part = { name: "a", content: "1" };
  const good = formOf([part]).toString();
  const changed = (from: string, to: string): Buffer => Buffer.from(good.replace(from, to));
  const head = 'Content-Disposition: form-data; name="a"';
  const cases: Record<string, readonly [string, Buffer]> = {
    "no boundary": ["multipart/form-data", formOf([part])],
    "another type": [TYPE.replace("form-data", "mixed"), formOf([part])],
    "two boundaries in the type": [`${TYPE}; boundary=other`, formOf([part])],
    "a character set": [`${TYPE}; charset=utf-16`, formOf([part])],
    "a long boundary": [TYPE.replace(BOUNDARY, "x".repeat(71)), formOf([part], "x".repeat(71))],
    "another boundary": [TYPE.replace("test", "text"), formOf([part])],
    "text before": [TYPE, Buffer.from(`hello\r\n${good}`)],
    "text after": [TYPE, Buffer.from(`${good}more`)],
    "a second form after": [TYPE, Buffer.from(good + good)],
    "no end": [TYPE, Buffer.from(good.replace(`--${BOUNDARY}--\r\n`, ""))],
    "bare line feeds": [TYPE, Buffer.from(good.replaceAll("\r\n", "\n"))],
    "white space after a boundary": [TYPE, changed(`${BOUNDARY}\r\n`, `${BOUNDARY} \r\n`)],
    "the boundary in a part": [TYPE, formOf([{ name: "a", content: `x${BOUNDARY}y` }])],
    "the boundary after a bare line feed": [TYPE, formOf([{ name: "a", content: `x\n--${BOUNDARY}\r\n` }])],
    "the same name twice": [TYPE, formOf([part, part])],
    "a name without quotes": [TYPE, changed('"a"', "a")],
    "two names": [TYPE, changed(head, `${head}; name="b"`)],
    "a file name in another coding": [TYPE, changed(head, `${head}; filename*=UTF-8''x.wav`)],
    "two file names": [TYPE, changed(head, `${head}; filename="x"; filename="y"`)],
    "an escaped quote": [TYPE, changed('"a"', '"a\\"b"')],
    "a folded head": [TYPE, changed("; name", ";\r\n name")],
    "a coding of the transfer": [TYPE, changed(head, `${head}\r\nContent-Transfer-Encoding: base64`)],
    "the head twice": [TYPE, changed(head, `${head}\r\n${head}`)],
    "a head in another case": [TYPE, changed("Content-Disposition", "CONTENT-DISPOSITION")],
    "a letter that is an s when cases are folded": [TYPE, changed("Disposition", "Diſposition")],
    "an end of line in a name": [TYPE, changed('"a"', '"a\r\nb"')],
    "a zero in a file name": [TYPE, changed(head, `${head}; filename="a\0.wav"`)],
    "a head that is no UTF-8": [TYPE, Buffer.from(good.replace(head, `${head}; filename="\xff"`), "latin1")],
    "a head that is too long": [TYPE, changed(head, `${head}; filename="${"x".repeat(2_000)}"`)],
    "no head": [TYPE, changed(`${head}\r\n`, "")],
    "a long field": [TYPE, formOf([{ name: "a", content: "x".repeat(limits.sound.fieldBytesMax + 1) }])],
    "many parts": [
      TYPE,
      formOf(Array.from({ length: limits.sound.partsMax + 1 }, (_, at) => ({ ...part, name: `a${at}` }))),
    ],
    nothing: [TYPE, Buffer.alloc(0)],
  };
  assert.ok((await readFormData(TYPE, formOf([part]))).ok);
  assert.ok((await readFormData(`multipart/form-data; boundary="${BOUNDARY}"`, formOf([part]))).ok);
  for (const [name, [type, body]] of Object.entries(cases))
    assert.equal((await readFormData(type, body)).ok, false, name);
});

test("a form that is written has these parts, for both readers; one that would hold its boundary is not written", async () => {
  const file = Buffer.from([0, 1, 13, 10, 45, 45, 255]);
  const fields = { model: "m\r\n--x", prompt: "ü" };
  const body = writeFormData(fields, file);
  assert.ok(body);
  const read = await readFormData(FORM_TYPE, body);
  assert.ok(read.ok);
  const wanted = [
    ...Object.entries(fields).map(([name, text]) => [name, false, Buffer.from(text).toString("latin1")]),
    ["file", true, file.toString("latin1")],
  ];
  assert.deepEqual(told(read.value), wanted);
  assert.deepEqual(await oracle(FORM_TYPE, body), wanted);
  const [, boundary = ""] = FORM_TYPE.split("=");
  assert.equal(writeFormData({ model: "m", prompt: `a ${boundary} b` }, file), undefined);
});

test("a form of a thousand beginnings of its boundary is read in one go", async () => {
  const begun = `\r\n--${BOUNDARY.slice(0, -1)}`;
  const body = formOf([{ name: "file", fileName: "x", content: begun.repeat(30_000) }]);
  const read = await readFormData(TYPE, body);
  assert.ok(read.ok && read.value[0]?.content.length === begun.length * 30_000);
});

test("a boundary is found wherever a turn of the search ends", async () => {
  for (let bytes = 32 * 1_024 - 200; bytes < 32 * 1_024 + 40; bytes++) {
    const read = await readFormData(TYPE, formOf([{ name: "file", fileName: "x", content: "-".repeat(bytes) }]));
    assert.ok(read.ok && read.value[0]?.content.length === bytes, `${bytes}`);
  }
});

test("megabytes made for a slow search leave everybody else their turns", async () => {
  const mark = `${"a".repeat(69)}b`;
  const head = `--${mark}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n`;
  const body = Buffer.from(`${head}${"a".repeat(4 * 1_024 ** 2)}\r\n--${mark}--`);
  let turns = 0;
  let over = false;
  const tick = (): void => {
    turns++;
    if (!over) setImmediate(tick);
  };
  tick();
  const read = await readFormData(`multipart/form-data; boundary=${mark}`, body);
  over = true;
  assert.ok(read.ok && read.value[0]?.content.length === 4 * 1_024 ** 2);
  assert.ok(turns >= 100, `${turns} turns`);
});
