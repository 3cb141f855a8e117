import assert from "node:assert/strict";
import { test } from "node:test";
import { bodyOfKey, faultOfValue } from "./credential-value.ts";

const [BEGIN, END] = ["-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"];
const body = (text: string): string | undefined => {
  const found = bodyOfKey(Buffer.from(text));
  return found && Buffer.from(found).toString();
};

test("of a private key what stands between its lines is kept, in one line like any other value", () => {
  for (const text of [
    `${BEGIN}\nb3BlbnNz\naC1rZXkt\n${END}\n`,
    `${BEGIN}\r\nb3BlbnNz\r\naC1rZXkt\r\n${END}\r\n`,
    `${BEGIN}\nb3BlbnNzaC1rZXkt\n${END}`,
  ]) {
    assert.equal(body(text), "b3BlbnNzaC1rZXkt");
    assert.equal(faultOfValue(bodyOfKey(Buffer.from(text)) ?? Buffer.alloc(0)), undefined);
  }
});

test("what is not one such key and nothing else is no key", () => {
  for (const text of [
    ...["", "plain-value", `${BEGIN}\nb3Bl`, `b3Bl\n${END}`, `x${BEGIN}\nb3Bl\n${END}`, `${BEGIN}\nb3Bl\n${END}x`],
    ...[`${BEGIN.replace("OPENSSH", "RSA")}\nb3Bl\n${END.replace("OPENSSH", "RSA")}`, END + BEGIN],
  ])
    assert.equal(body(text), undefined, text);
});

test("nothing that could add a header hides between the lines of a key", () => {
  for (const inside of ["b3Bl\u0000", "b3Bl\u00e9", "b3Bl\tb3Bl", "b3Bl\u007f"]) {
    const found = bodyOfKey(Buffer.from(`${BEGIN}\n${inside}\n${END}`));
    assert.match(faultOfValue(found ?? Buffer.alloc(0)) ?? "", /visible ASCII|at least/, JSON.stringify(inside));
  }
});

test("a key in another form says how to make one of it", () => {
  const text = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----";
  assert.match(faultOfValue(Buffer.from(text)) ?? "", /OpenSSH's own form.*ssh-keygen -p -f FILE/);
});
