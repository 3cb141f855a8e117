import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { test } from "node:test";
import { awsKeyOf, signAws, type AwsRequest } from "./signing.ts";

const key = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  sessionToken: undefined,
};
const suite = (method: string, url: string): AwsRequest => ({
  ...{ method, url: new URL(url), headers: {}, body: Buffer.alloc(0), region: "us-east-1", service: "service" },
  atMs: Date.UTC(2015, 7, 30, 12, 36),
});

/** The published test suite of Signature Version 4: name, request, signature. */
const vectors = [
  ["get-vanilla", "GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"],
  ["post-vanilla", "POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"],
  [
    "get-vanilla-query-order-key-case",
    "GET",
    "/?Param2=value2&Param1=value1",
    "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
  ],
] as const;

for (const [name, method, path, signature] of vectors) {
  test(`AWS test suite: ${name}`, () => {
    const signed = signAws(suite(method, `https://example.amazonaws.com${path}`), key);
    assert.deepEqual(signed, {
      "x-amz-date": "20150830T123600Z",
      authorization:
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " +
        `SignedHeaders=host;x-amz-date, Signature=${signature}`,
    });
  });
}

test("whatever is sent is signed: another body, header, path, query, host, day, region or key signs differently", () => {
  const base: AwsRequest = { ...suite("POST", "https://h.test/model/a%3A0/invoke?x=1"), headers: { accept: "a" } };
  const changes: readonly Partial<AwsRequest>[] = [
    { body: Buffer.from("x") },
    { headers: { accept: "b" } },
    { headers: { accept: "a", extra: "1" } },
    ...[
      "https://h.test/model/a:0/invoke?x=1",
      "https://h.test/model/a%3A0/invoke?x=2",
      "https://i.test/model/a%3A0/invoke?x=1",
    ].map((url) => ({ url: new URL(url) })),
    ...[{ method: "PUT" }, { region: "eu-west-1" }, { service: "s3" }, { atMs: base.atMs + 86_400_000 }],
  ];
  const signatures = [base, ...changes.map((change) => ({ ...base, ...change }))].map(
    (request) => signAws(request, key)["authorization"]?.split("Signature=")[1],
  );
  signatures.push(
    signAws(base, { ...key, secretAccessKey: `${key.secretAccessKey}x` })["authorization"]?.split("Signature=")[1],
  );
  assert.equal(new Set(signatures).size, signatures.length);
});

test("a path is escaped once more than it is sent", () => {
  const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
  const hmac = (by: string | Buffer, text: string): Buffer => createHmac("sha256", by).update(text).digest();
  const canonical = `GET\n/model/a-v1%253A0/invoke\n\nhost:h.test\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n${sha256("")}`;
  const scope = "20150830/us-east-1/service/aws4_request";
  const day = hmac(`AWS4${key.secretAccessKey}`, "20150830");
  const signing = hmac(hmac(hmac(day, "us-east-1"), "service"), "aws4_request");
  const wanted = hmac(signing, `AWS4-HMAC-SHA256\n20150830T123600Z\n${scope}\n${sha256(canonical)}`).toString("hex");
  const signed = signAws(suite("GET", "https://h.test/model/a-v1%3A0/invoke"), key);
  assert.ok(signed["authorization"]?.endsWith(`Signature=${wanted}`));
});

test("a token that expires is sent, and signed", () => {
  const signed = signAws(suite("GET", "https://h.test/"), { ...key, sessionToken: "token" });
  assert.equal(signed["x-amz-security-token"], "token");
  assert.match(signed["authorization"] ?? "", /SignedHeaders=host;x-amz-date;x-amz-security-token,/);
});

test("an AWS key is two or three parts of their own alphabets, and nothing else", () => {
  const id = "AKIAIOSFODNN7EXAMPLE";
  const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  assert.deepEqual(awsKeyOf(`${id}:${secret}`), { accessKeyId: id, secretAccessKey: secret, sessionToken: undefined });
  assert.equal(awsKeyOf(`${id}:${secret}:${"t".repeat(40)}`)?.sessionToken, "t".repeat(40));
  for (const text of [
    "",
    id,
    `${id}:`,
    `${id}:short`,
    `${id.toLowerCase()}:${secret}`,
    `${id}:${secret}\r\nx: y`,
    "sk-live-1",
  ])
    assert.equal(awsKeyOf(text), undefined, text);
});
