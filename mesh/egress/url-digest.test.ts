import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { urlDigests } from "./url-digest.ts";

/** Digests of one address, while `answer` changes between them. */
async function looks(...answers: readonly RequestListener[]): Promise<(string | null)[]> {
  let answer: RequestListener | undefined;
  const server = createServer((request, response) => answer?.(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { digest, close } = urlDigests(null);
  const seen: (string | null)[] = [];
  try {
    for (answer of answers) seen.push(await digest(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`));
  } finally {
    await close();
    server.close();
    server.closeAllConnections();
  }
  return seen;
}
const says =
  (text: string, status = 200): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, { date: "now" }).end(text);

test("the same page looks the same; another body or another status does not", async () => {
  const [first, same, body, status] = await looks(says("a"), says("a"), says("b"), says("a", 503));
  assert.match(first ?? "", /^[0-9a-f]{64}$/);
  assert.equal(same, first);
  assert.equal(new Set([first, body, status]).size, 3);
});

test("a redirect is not followed, a broken answer is none, and of a long one the beginning counts", async () => {
  const long = "x".repeat(limits.schedule.urlBytesMax);
  const [redirect, home, broken, one, other] = await looks(
    (_request, response) => void response.writeHead(302, { location: "/elsewhere" }).end(),
    says("elsewhere"),
    (request) => void request.socket.destroy(),
    says(`${long}1`),
    says(`${long}2`),
  );
  assert.ok(redirect !== null && redirect !== home);
  assert.equal(broken, null);
  assert.ok(one !== null && one === other);
});
