import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { catalogue, controls } from "./catalogue.ts";
import { readLine, reportOf, type Told } from "./verdict.ts";

const NONCE = "assault0123456789";
const good: readonly Told[] = [
  ...controls.map((id) => ({ id, stopped: false, by: "1" })),
  ...catalogue.map(({ id }) => ({ id, stopped: true, by: "EPERM" })),
];
const verdicts = (told: readonly Told[], caught: readonly string[] = []): readonly string[] => [
  ...new Set(reportOf("x", told, caught, "").results.map(({ verdict }) => verdict)),
];

describe("the verdict of an assault", () => {
  it("is that it holds when every attempt was stopped and every control worked", () => {
    const report = reportOf("x", good, [], "");
    assert.equal(report.fault, undefined);
    assert.equal(report.results.length, catalogue.length);
    assert.deepEqual(verdicts(good), ["stopped"]);
  });
  it("names each attempt that got out", () => {
    for (const { id } of catalogue) {
      const told = good.map((each) => (each.id === id ? { ...each, stopped: false, by: "done" } : each));
      const out = reportOf("x", told, [], "").results.filter(({ verdict }) => verdict === "out");
      assert.deepEqual(
        out.map((each) => each.id),
        [id],
      );
    }
  });
  it("is none when any line is missing: silence is no wall", () => {
    for (const missing of good)
      assert.ok(
        reportOf(
          "x",
          good.filter((each) => each !== missing),
          [],
          "",
        ).fault,
      );
    assert.match(reportOf("x", [], [], "no such image").fault ?? "", /did not run: no such image/);
  });
  it("is none when a control failed", () => {
    for (const id of controls) {
      const told = good.map((each) => (each.id === id ? { ...each, stopped: true } : each));
      assert.match(reportOf("x", told, [], "").fault ?? "", new RegExp(id));
    }
  });
  it("takes the worse of two answers, in both orders", () => {
    const id = "host-file";
    const out = { id, stopped: false, by: "read" };
    for (const told of [
      [...good, out],
      [out, ...good],
    ]) {
      assert.equal(reportOf("x", told, [], "").results.find((each) => each.id === id)?.verdict, "out");
    }
  });
  it("believes the host's own eyes, whatever the container says", () => {
    const report = reportOf("x", good, ["a TCP connection"], "");
    assert.deepEqual(
      report.results.filter(({ verdict }) => verdict === "out").map(({ id }) => id),
      ["arrived-a-tcp-connection"],
    );
  });
});

describe("a line of a container", () => {
  const line = { cordon: NONCE, id: "host-file", stopped: true, by: "EPERM" };
  it("is read when it bears the nonce of this run", () => {
    assert.deepEqual(readLine(JSON.stringify(line), NONCE), { id: "host-file", stopped: true, by: "EPERM" });
  });
  for (const other of [
    JSON.stringify({ ...line, cordon: "another" }),
    JSON.stringify({ ...line, stopped: "true" }),
    JSON.stringify({ ...line, by: 1 }),
    JSON.stringify([line]),
    `{"cordon":"${NONCE}","cordon":"${NONCE}","id":"a","stopped":true,"by":""}`,
    "Segmentation fault",
    "",
  ]) {
    it(`is nothing when it is \`${other.slice(0, 60)}\``, () => assert.equal(readLine(other, NONCE), null));
  }
});

it("the catalogue and the hostile code name the same attempts, each with its OWASP ids", () => {
  const folder = new URL("hostile/", import.meta.url);
  const code = readdirSync(folder)
    .map((name) => readFileSync(new URL(name, folder), "utf8"))
    .join("\n");
  const named = [...code.matchAll(/"((?:network|host|kernel|root|process|identity|flood)-[a-z0-9-]+)"/g)].map(
    (match) => match[1] ?? "",
  );
  const listed = catalogue.filter(({ threat }) => threat !== "kernel").map(({ id }) => id);
  assert.deepEqual(named.toSorted(), listed.toSorted());
  assert.equal(new Set(catalogue.map(({ id }) => id)).size, catalogue.length);
  for (const { owasp } of catalogue) {
    assert.ok(owasp.some((id) => /^ASI(0[1-9]|10)$/.test(id)));
    assert.ok(owasp.every((id) => /^(ASI|LLM)(0[1-9]|10)$/.test(id)));
  }
});
