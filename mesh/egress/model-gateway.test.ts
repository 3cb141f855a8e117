import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { createAudit, type OpenAudit } from "../audit/create.ts";
import { startRehearsal, type Rehearsal } from "../rehearsal/rehearsal.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { loadMasterKey } from "../vault/master-key.ts";
import { Vault } from "../vault/vault.ts";
import type { Outcome } from "./answer-relay.ts";
import { Injector } from "./credentials.ts";
import { ModelGateway } from "./model-gateway.ts";
import { builtInProviders, type Provider } from "./providers.ts";
import { anthropicFormat } from "./wire/anthropic.ts";
import type { WireFormat } from "./wire/format.ts";
import { openaiFormat } from "./wire/openai.ts";

const KEY = "k7Qz-4f9a1c77e2b8-Xw";
const folder = mkdtempSync(join(tmpdir(), "cordon-gateway-"));
const socketPath = join(folder, "r.sock");
const provider: Provider = { ...builtInProviders["rehearsal"]!, socketPath };
const gateway = new ModelGateway(systemClock);
let store: Store;
let audit: OpenAudit;
let vault: Vault;
let rehearsal: Rehearsal;

before(async () => {
  store = await openStore({ path: join(folder, "state"), mode: "inline" });
  const key = loadMasterKey(join(folder, "state"), randomBytes);
  audit = createAudit({
    store,
    clock: systemClock,
    signer: key.auditSigner,
    macKey: key.auditMac,
  });
  vault = new Vault({ store, audit, clock: systemClock, key, random: randomBytes });
  await vault.put("rehearsal", new Secret(Buffer.from(KEY)), "principal:operator");
  rehearsal = await startRehearsal({
    listen: { socketPath },
    scenarios: [],
    apiKey: new Secret(Buffer.from(KEY)),
    seed: "s",
    clock: systemClock,
  });
});
after(async () => {
  await gateway.close();
  await rehearsal.close();
  await audit.close();
  await store.close();
  rmSync(folder, { recursive: true });
});

interface Asked {
  readonly format?: WireFormat;
  readonly model?: string;
  readonly stream?: boolean;
  readonly tokens?: number;
  readonly outputTokensMax?: number;
  readonly text: string;
  readonly provider?: Provider;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  /** Of the credential, when there is a connection. */
  readonly stands?: () => boolean;
}

/** One call through the real vault, injector and gateway to the real rehearsal server. */
async function call({
  format = openaiFormat,
  model = "echo",
  stream = true,
  tokens = 200,
  text,
  signal,
  ...more
}: Asked) {
  const body = { model: `rehearsal/${model}`, max_tokens: tokens, stream, messages: [{ role: "user", content: text }] };
  const parsed = format.parse(body, 100);
  assert.ok(parsed.ok);
  const injection = new Injector(vault).prepare("rehearsal");
  assert.ok(injection);
  const heard = { status: 0, headers: {} as Readonly<Record<string, string>>, text: "" };
  const meter = format.meter();
  const outcome: Outcome = await gateway.send(
    {
      ...{
        provider: more.provider ?? provider,
        model,
        format,
        meter,
        stream,
        injection: more.stands ? { ...injection, stands: more.stands } : injection,
        signal: signal ?? new AbortController().signal,
      },
      ...(more.timeoutMs === undefined ? {} : { timeoutMs: more.timeoutMs }),
      body: parsed.value.body(model, tokens, "rehearsal"),
      outputTokensMax: more.outputTokensMax ?? tokens,
      agentHeaders: {},
    },
    {
      head: (status, headers) => Object.assign(heard, { status, headers }),
      write: (bytes) => ((heard.text += bytes.toString()), true),
      drained: () => {},
    },
  );
  return { outcome, heard, meter };
}

test("a call whose credential was revoked while it waited is not sent, costs nothing, and is refused as one that comes later", async () => {
  const { outcome, heard } = await call({ text: "ping", stands: () => false });
  assert.deepEqual([outcome.kind, outcome.billed, heard.status], ["failed", "nothing", 0]);
  assert.match(outcome.kind === "failed" ? outcome.refusal.reason : "", /^the vault holds no credential `\w+`$/);
  assert.equal((await call({ text: "ping", stands: () => true })).outcome.kind, "answered");
});

for (const format of [openaiFormat, anthropicFormat]) {
  for (const stream of [true, false]) {
    const what = `${format.api}, ${stream ? "streaming" : "plain"}`;

    test(`an answer passes with the injected credential, and its usage is read (${what})`, async () => {
      const { outcome, heard, meter } = await call({ format, stream, text: "ping pong" });
      assert.deepEqual([outcome.kind, outcome.billed, heard.status], ["answered", "seen", 200]);
      assert.match(heard.text, /ping/);
      assert.ok(meter.complete && meter.usage && meter.usage.inputTokens > 0 && meter.usage.outputTokens > 0);
      assert.equal(heard.headers["x-cordon-rehearsal"], "1");
    });

    test(`a server that answers with the headers of the request never gives the credential away (${what})`, async () => {
      const { outcome, heard } = await call({
        format,
        stream,
        model: "fault:reflect-headers",
        text: "x",
        tokens: 2_000,
      });
      assert.ok(outcome.kind === "cut" || outcome.kind === "failed", outcome.kind);
      for (let at = 0; at + 8 <= KEY.length; at++) assert.ok(!heard.text.includes(KEY.slice(at, at + 8)), heard.text);
    });

    test(`a server that breaks off is an outcome, never an exception (${what})`, async () => {
      for (const fault of ["cut-first", "cut-middle", "malformed"]) {
        const { outcome } = await call({
          format,
          stream,
          model: `fault:${fault}`,
          text: "one two three four five six",
        });
        assert.ok(outcome.kind === "cut" || outcome.kind === "failed", `${fault}: ${JSON.stringify(outcome)}`);
      }
    });
  }

  test(`a server that ignores its bound is cut (${format.api})`, async () => {
    const { outcome, meter } = await call({ format, model: "fault:overrun", text: "a b c d", tokens: 20 });
    assert.ok(outcome.kind === "cut" && outcome.reason === "reservation_used_up", JSON.stringify(outcome));
    assert.ok(meter.outputTokensSeen <= 40, String(meter.outputTokensSeen));
  });

  test(`an agent that goes ends the call at the provider (${format.api})`, async () => {
    const gone = new AbortController();
    const running = call({ format, model: "fault:stall-middle", text: "a b c d e f", signal: gone.signal });
    setTimeout(() => gone.abort(), 50);
    assert.equal((await running).outcome.kind, "aborted");
  });
}

test("a rejected credential is told as such, a passing error in the provider's own words", async () => {
  const rejected = await call({ model: "fault:status-401", text: "x" });
  assert.ok(
    rejected.outcome.kind === "failed" &&
      rejected.outcome.refusal.code === "upstream_rejected" &&
      rejected.outcome.refusal.remedy.includes("cordon credential add rehearsal"),
  );
  const limited = await call({ model: "fault:status-429", text: "x" });
  assert.deepEqual(
    [limited.outcome.kind, limited.heard.status, limited.heard.headers["retry-after"]],
    ["passed_error", 429, "1"],
  );
});

test("a provider that is down is named with its place, and costs nothing", async () => {
  const { outcome } = await call({
    text: "x",
    provider: { ...provider, name: "gone", socketPath: join(folder, "none.sock") },
  });
  assert.ok(
    outcome.kind === "failed" && outcome.billed === "nothing" && outcome.refusal.remedy.includes("none.sock"),
    JSON.stringify(outcome),
  );
});

test("the use of a credential is counted", async () => {
  const before = vault.list()[0]?.uses ?? 0;
  await call({ text: "x" });
  assert.equal(vault.list()[0]?.uses, before + 1);
  assert.equal(new Injector(vault).prepare("none"), undefined);
});

test("a provider that takes the call and says nothing is left when the time of the call is up", async () => {
  const silent = join(folder, "silent.sock");
  const server = createServer((socket) => socket.on("error", () => socket.destroy()).resume());
  await new Promise<void>((resolve) => server.listen(silent, resolve));
  const mute: Provider = { ...provider, name: "mute", socketPath: silent };
  const { outcome } = await call({ text: "hello", provider: mute, timeoutMs: 30 });
  server.close();
  assert.equal(outcome.kind, "failed");
  // It may have written an answer that nobody has seen.
  assert.equal(outcome.billed, "unknown");
  assert.match(outcome.kind === "failed" ? outcome.refusal.reason : "", /longer than the call may/);
});
