import { connect } from "node:net";
import { createSocket } from "node:dgram";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock as clock } from "../../../lib/clock.ts";
import { unlabelled } from "../../../protocol/label.ts";
import { CredentialInput } from "../../../protocol/credential.ts";
import { deskFiles, ExecInput, MessageInput, type BoardPage, type MeshEvent } from "../../../protocol/desk.ts";
import {
  fakeAttempts,
  fakeAudit,
  fakeCosts,
  fakeDigest,
  fakeEvent,
  fakeSpending,
  fakeStatus,
  type Behaviour,
} from "./fake-newsroom.ts";

const TOKEN = "fakefakefakefakefakefakefakefakefakefakefak";

/** For tests only: a desk with literal data on a real Unix socket, strict about what it is sent. */
export class FakeDesk {
  readonly #behaviour: Behaviour;
  readonly #state: string;
  readonly #output: string;
  readonly #server: Server;
  readonly #shutdown: () => void;
  readonly #events: MeshEvent[] = [];
  readonly #logs = new Map<string, string[]>([["researcher", ["line one", "line two \u001b[31mred"]]]);
  readonly #rows: BoardPage["rows"][number][] = [];
  readonly #replies: { conversation: string; body: string }[] = [];
  readonly credentials = new Map<string, string>();
  #value = "";
  #knocked: Promise<unknown> = Promise.resolve();

  constructor(state: string, output: string, behaviour: Behaviour, shutdown: () => void) {
    this.#state = state;
    this.#output = output;
    this.#behaviour = behaviour;
    this.#shutdown = shutdown;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  async listen(): Promise<void> {
    mkdirSync(this.#state, { recursive: true });
    writeFileSync(join(this.#state, deskFiles.token), `${TOKEN}\n`, { mode: 0o600 });
    await new Promise<void>((done) => this.#server.listen(join(this.#state, deskFiles.socket), done));
    this.#emit("sandbox.started", "researcher", { sandbox: "sbx_2" });
    this.#emit("sandbox.started", "intern", { sandbox: this.#behaviour.lie === "identity" ? "sbx_2" : "sbx_1" });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const piece of request) text += String(piece);
    const send = (status: number, body?: unknown): void => {
      response
        .writeHead(status, { "content-type": "application/json" })
        .end(body === undefined ? undefined : JSON.stringify(body));
    };
    if (request.headers.authorization !== `Bearer ${TOKEN}`) {
      return send(401, { error: { code: "unauthenticated", reason: "no token", remedy: "send it" } });
    }
    const url = new URL(request.url ?? "", "http://desk");
    const found = await this.#route(
      `${request.method} ${url.pathname}`,
      url.searchParams,
      text ? JSON.parse(text) : {},
    );
    if (found === "unknown")
      return send(404, {
        error: { code: "not_found", reason: `there is no \`${url.pathname}\``, remedy: "see protocol" },
      });
    send(found === undefined ? 204 : 200, found);
  }

  async #route(route: string, query: URLSearchParams, body: object): Promise<unknown> {
    const [, agent = "", verb = ""] = /\/v1\/agents\/([a-z]+)\/([a-z]+)$/.exec(route) ?? [];
    if (agent && !["researcher", "writer", "intern"].includes(agent)) return "unknown";
    if (verb === "logs") return { lines: (this.#logs.get(agent) ?? []).slice(-Number(query.get("lines"))) };
    if (verb === "messages") return this.#message(agent, MessageInput.parse(body));
    if (verb === "exec") return this.#exec(ExecInput.parse(body).command);
    if (route.startsWith("GET /v1/replies/")) return this.#reply(route, Number(query.get("after")));
    switch (route) {
      case "GET /v1/status":
        return fakeStatus(
          this.#behaviour,
          this.#events.some((event) => event.type === "budget.exhausted"),
        );
      case "GET /v1/costs":
        return fakeCosts(this.#behaviour);
      case "GET /v1/spending":
        return fakeSpending;
      case "GET /v1/events":
        await clock.sleep(Math.min(30, Number(query.get("wait_ms"))));
        return { events: this.#events.slice(Number(query.get("after"))), next: this.#events.length };
      case "GET /v1/audit":
        return this.#audit(Number(query.get("after")), Number(query.get("limit")));
      case "GET /v1/audit/verify":
        return this.#behaviour.brokenAudit
          ? { ok: false, records: 6, badSeq: 4, fault: "record was altered" }
          : { ok: true, records: 6, checkpoints: 1, head: "ab".repeat(32) };
      case "GET /v1/board":
        return { rows: this.#rows };
      case "GET /v1/credentials":
        return {
          credentials: [...this.credentials.keys()].map((name) => ({
            name,
            standing: "live",
            version: 1,
            fingerprint: "0123456789ab",
            createdAtMs: 1_795_000_000_000,
            expiresAtMs: null,
            retiring: 0,
            lastUsedAtMs: null,
            uses: 0,
          })),
        };
      case "POST /v1/credentials": {
        const input = CredentialInput.parse(body);
        this.#value = Buffer.from(input.valueBase64, "base64").toString();
        this.credentials.set(input.name, this.#value);
        return undefined;
      }
      case "POST /v1/credentials/old/revoke":
        return undefined;
      case "POST /v1/shutdown":
        if (!this.#behaviour.ignoreShutdown) void clock.sleep(this.#behaviour.hangUp ? 0 : 20).then(this.#shutdown);
        if (this.#behaviour.hangUp) await new Promise(() => undefined);
        return undefined;
      default:
        return "unknown";
    }
  }

  #audit(after: number, limit: number): unknown {
    const leaked = this.#behaviour.leakIn === "audit" ? { detail: { note: this.#value } } : {};
    const records = fakeAudit
      .filter((row) => row.seq > after)
      .slice(0, limit)
      .map((row) => ({ ...row, ...leaked }));
    return { records, next: records.at(-1)?.seq ?? after };
  }

  #exec(command: readonly string[]): unknown {
    return {
      exitCode: command[0] === "/bin/false" ? 7 : 0,
      stdout: `${command.join("|")}\n\u001b]0;owned\u0007`,
      stderr: "",
      truncated: false,
    };
  }

  #reply(route: string, after: number): unknown {
    const mine = this.#replies.filter((one) => route.endsWith(one.conversation));
    const one = mine[after];
    return one && { seq: after + 1, from: "agent:researcher", body: one.body, label: unlabelled, sentAtMs: 1 };
  }

  async #message(agent: string, input: { body: string; conversation?: string | undefined }): Promise<unknown> {
    const conversation = input.conversation ?? "con_abc";
    if (agent === "intern") await this.#attack(JSON.parse(input.body) as Attack);
    else if (input.body.startsWith("Read every text")) this.#work();
    else if (!this.#behaviour.haltedAgent) this.#replies.push({ conversation, body: `you said: ${input.body}` });
    return { id: "msg_1", conversation };
  }

  #work(): void {
    this.#writeRow("digest/notes/tides", "agent:researcher", "high water comes later each day");
    this.#emit("board.written", "researcher", { key: "digest/notes/tides", version: 1 });
    if (this.#behaviour.noDigest) return;
    const leak = this.#behaviour.leakIn === "output" ? Buffer.from(this.#value.slice(-32)).toString("base64") : "";
    writeFileSync(join(this.#output, "digest.md"), fakeDigest(this.#behaviour.hostileText === true) + leak);
    this.#emit("output.written", "writer", { path: "digest.md", bytes: 100 });
  }

  async #attack({ targets }: Attack): Promise<void> {
    const { lie, leakIn, attemptsMax, confess, hostileText } = this.#behaviour;
    const lines = fakeAttempts.slice(0, attemptsMax).map(([attempt, title, threat, evidence]) =>
      JSON.stringify({
        attempt,
        title: hostileText ? `<b onclick="x">${title}\u001b[2J\u202e` : title,
        threat,
        escaped: confess === true && attempt === "mount",
        evidence,
      }),
    );
    if (leakIn === "log") lines.push(`found ${[...this.#value.slice(-32)].reverse().join("")}`);
    if (leakIn === "board") this.#writeRow("digest/notes/x", "agent:researcher", this.#value);
    if (leakIn === "state")
      writeFileSync(
        join(this.#state, "volume.img"),
        Buffer.concat([Buffer.alloc(1_048_550), Buffer.from(this.#value)]),
      );
    const [file = ""] = targets.hostFiles;
    if (lie === "read-host-file") readFileSync(file);
    if (lie === "write-host-file") writeFileSync(file, "owned");
    if (lie === "board") this.#writeRow("digest/notes/tides", "agent:intern", "lies");
    if (lie === "message") this.#emit("message.sent", "intern", { to: "writer" });
    if (lie === "tcp") this.#knocked = knockTcp(targets.tcp[0]);
    if (lie === "udp") this.#knocked = knockUdp(targets.udp[0]);
    await this.#knocked;
    if (this.#behaviour.cutOff) {
      this.#logs.set("intern", lines.slice(0, -1));
      return this.#emit("budget.exhausted", "intern", {
        scope: "agent:intern",
        window: "day",
        unit: "tokens",
        cap: 3_000,
      });
    }
    this.#logs.set("intern", ["started", ...lines, JSON.stringify({ attempt: "done" })]);
  }

  #writeRow(key: string, writer: string, value: string): void {
    this.#rows.push({ key, version: 1, writer, label: unlabelled, value });
  }

  #emit(type: string, agent: string, detail: MeshEvent["detail"] = {}): void {
    this.#events.push(fakeEvent(this.#events.length + 1, type, agent, detail));
  }
}

interface Address {
  readonly host: string;
  readonly port: number;
}
interface Attack {
  readonly targets: {
    readonly tcp: readonly Address[];
    readonly udp: readonly Address[];
    readonly hostFiles: readonly string[];
  };
}

const knockTcp = (target: Address | undefined): Promise<unknown> =>
  new Promise((done) => {
    const socket = connect(target?.port ?? 0, target?.host ?? "", () => socket.end("hello"));
    socket.once("close", done);
  });

const knockUdp = (target: Address | undefined): Promise<unknown> =>
  new Promise((done) => {
    const socket = createSocket(target?.host.includes(":") ? "udp6" : "udp4");
    socket.send("hello", target?.port ?? 0, target?.host, () => socket.close(() => done(undefined)));
  });
