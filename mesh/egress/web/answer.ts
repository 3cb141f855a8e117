import type { Duplex, Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import type { Dispatcher } from "undici";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import { Exchange } from "../http1/connection.ts";
import { isClean, Scrubber, type Automaton } from "../scrubber.ts";
import { OWN, type Front, type Lender, type Told } from "./front.ts";
import type { Field } from "./head.ts";
import { scrubText } from "./keyring.ts";
import type { Arrival } from "./warden.ts";

type Headers = Record<string, string | string[] | undefined>;
/** How it ended. */
export type Ending = Arrival & { sent: number };

/** Whose answer it is. */
export interface Answered {
  readonly front: Front;
  readonly host: string;
  /** What has come to stand against its going on (`Pass.objection`). */
  objection(): Refusal | undefined;
  /** Whether the credential in the request may still be sent. */
  stands(): boolean;
  /** From now on the relay of frames says how it ends. */
  upgraded(socket: Duplex, fields: readonly Field[]): Promise<Ending>;
  /** Once; with a refusal, nothing has been told to the client yet. */
  ended(ending: Ending, refused: Refusal | undefined): void;
}

/** The head of an answer as it was passed on, for those after it that are the same. */
export interface Passed {
  readonly headers: Headers;
  readonly scrubs: boolean;
  /** It was looked through for these, and there was nothing. */
  readonly automata: readonly Automaton[];
  readonly told: Told;
}

/** Of one place: the last head that came from there. */
export interface KnownPassed {
  passed?: Passed;
  /** The last head holds a credential: nothing of it is kept. */
  forget(): void;
}

/** RFC 9110 §7.6.1; `alt-svc` would lead the client to a way that is not there. */
const NOT_PASSED = new Set([
  ...["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authentication-info", "te"],
  ...["trailer", "transfer-encoding", "upgrade", "alt-svc"],
]);

const NOBODY: readonly string[] = [];

/** Fields that are for the next hop only (RFC 9110 §7.6.1). */
function nominatedBy(connection: string | string[] | undefined): readonly string[] {
  if (connection === undefined || connection === "keep-alive") return NOBODY;
  return String(connection)
    .toLowerCase()
    .split(/[\t ,]+/);
}

const WRITABLE = /^[\t\x20-\x7e\x80-\xff]*$/;

const NOTHING = Buffer.alloc(0);
const NONE: readonly Scrubber[] = [];

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** Of the codings of a transfer only the one that is taken off before this. */
const isPlainlyFramed = (headers: Headers): boolean =>
  headers["transfer-encoding"] === undefined ||
  headers["transfer-encoding"] === "chunked" ||
  /^[\t ]*(?:chunked[\t ]*)?$/i.test(String(headers["transfer-encoding"] ?? ""));

/** Carries one answer to the client as it comes, and keeps credentials out of it. */
export class WebAnswer implements Dispatcher.DispatchHandler {
  readonly #owner: Answered;
  readonly #front: Front;
  readonly #automata: readonly Automaton[];
  /** Of the place that it comes from. */
  known: KnownPassed | undefined;
  readonly #scrubbers: readonly Scrubber[];
  #decoder: Transform | null = null;
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #bytes = 0;
  #hits = 0;
  #ended = false;
  /** Until more is taken. */
  #waits = false;

  /** `automata` find what is kept out of it. */
  constructor(owner: Answered, automata: readonly Automaton[], known?: KnownPassed) {
    this.#owner = owner;
    this.#front = owner.front;
    this.#automata = automata;
    this.known = known;
    this.#scrubbers = automata.length === 0 ? NONE : automata.map((automaton) => new Scrubber(automaton));
  }

  get over(): boolean {
    return this.#ended;
  }

  /** From outside: the client has gone, or may not go on. */
  stop(outcome: "aborted" | "cut" | "failed", reason: string, refused?: Refusal): void {
    if (!this.#ended) this.#end(outcome, reason, refused);
  }

  /** There is a connection, and nothing is sent yet: for that, and for the disk, it may have waited long. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(new Error("ended before it began"));
    else if (!this.#owner.stands()) this.#fail("was not asked (CREDENTIAL_REVOKED)");
  }

  onRequestUpgrade(_controller: Dispatcher.DispatchController, status: number, headers: Headers, socket: Duplex): void {
    if (this.#ended) return void socket.destroy();
    this.#ended = true;
    this.#status = status;
    const owner = this.#owner;
    owner.upgraded(socket, this.#passed(headers, false)).then(
      (ending) => owner.ended(ending, undefined),
      (error: unknown) => {
        socket.destroy();
        const reason = String(error).slice(0, 200);
        owner.ended({ outcome: "cut", status, sent: 0, received: 0, scrubbed: 0, reason }, undefined);
      },
    );
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    // What comes before the answer (RFC 9110 §15.2) is of no use to the client.
    if (this.#ended || status < 200) return;
    const objection = this.#owner.objection();
    if (objection) return this.#end("cut", objection.reason, objection);
    this.#status = status;
    const bodiless = this.#front.head.method === "HEAD" || status === 204 || status === 304;
    const scrubs = this.#automata.length > 0 && !bodiless;
    const known = this.#knownOf(headers, scrubs);
    const unfit = !known && scrubs ? this.#readable(headers) : undefined;
    if (unfit !== undefined) return this.#fail(unfit);
    try {
      this.#front.answer(status, known ?? this.#told(headers, scrubs));
    } catch {
      // Each version of HTTP has statuses and fields that another has not, or has once only.
      if (this.#front.started()) this.#end("cut", "the answer cannot be said on");
      else this.#fail("answered with a head that cannot be said on");
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended) return;
    const objection = this.#owner.objection();
    if (objection) return this.#end("cut", objection.reason, objection);
    this.#bytes += chunk.length;
    const lender = controller instanceof Exchange ? controller : OWN;
    const decoder = this.#decoder;
    // A decoder takes what it is given later.
    const goesOn = decoder ? decoder.write(Buffer.from(chunk)) : this.#pass(chunk, lender);
    // More may come of what was read before the pause.
    if (goesOn || this.#waits) return;
    this.#waits = true;
    controller.pause();
    const on = (): void => {
      this.#waits = false;
      controller.resume();
    };
    if (decoder) decoder.once("drain", on);
    else this.#front.onDrain(on);
  }

  onResponseEnd(): void {
    if (this.#ended) return;
    if (this.#decoder) this.#decoder.end();
    else this.#complete();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#ended) return;
    const code = (error as NodeJS.ErrnoException).code ?? error.name;
    if (this.#status > 0) return this.#end("cut", `upstream broke off (${code})`);
    this.#fail(`did not answer (${code})`);
  }

  /** Decodes its body, where that is to be looked through; or what stands against that. */
  #readable(headers: Headers): string | undefined {
    // A coding of the transfer (RFC 9112 §7) is asked for by nobody here, and would hide a body as well.
    if (!isPlainlyFramed(headers)) return "answered in a coding of the transfer, unasked";
    const encoding = headers["content-encoding"];
    const coding = encoding === undefined ? "identity" : String(encoding).trim().toLowerCase();
    if (coding === "identity") return undefined;
    const make = Object.hasOwn(decoders, coding) ? decoders[coding] : undefined;
    if (make) return this.#decodeWith(make());
    // What is told of it in a refusal is read by the agent and the log.
    const { text } = scrubText(this.#automata, String(encoding));
    return `answered in the encoding \`${text.slice(0, 40)}\`, in which nothing can be kept out`;
  }

  #decodeWith(decoder: Transform): undefined {
    this.#decoder = decoder;
    decoder.on("data", (piece: Buffer) => {
      if (this.#ended || this.#pass(piece, OWN)) return;
      decoder.pause();
      this.#front.onDrain(() => decoder.resume());
    });
    decoder.once("end", () => this.#complete());
    decoder.once("error", () => this.stop("cut", "upstream sent a body that does not decompress"));
  }

  /** What was told of the one before, which had the same head (the same object: `AnswerReader`) and no coding. */
  #knownOf(headers: Headers, scrubs: boolean): Told | undefined {
    const known = this.known?.passed;
    const same = known?.headers === headers && known.scrubs === scrubs && isSame(known.automata, this.#automata);
    return same ? known.told : undefined;
  }

  /** What is to be told of its fields. */
  #told(headers: Headers, scrubs: boolean): Told {
    const automata = this.#automata;
    const told: Told = { fields: this.#passed(headers, scrubs) };
    if (this.#hits > 0) this.known?.forget();
    else if (this.known && !this.#decoder) this.known.passed = { headers, scrubs, automata, told };
    return told;
  }

  #passed(headers: Headers, scrubs: boolean): readonly Field[] {
    const nominated = nominatedBy(headers["connection"]);
    const fields: Field[] = [];
    // Looked through as one text first: what is in none of them together is in no single one.
    let all = "";
    for (const key in headers) {
      const name = key.toLowerCase();
      if (NOT_PASSED.has(name) || nominated.includes(name)) continue;
      if (scrubs && (name === "content-length" || (this.#decoder && name === "content-encoding"))) continue;
      const said = headers[key];
      if (typeof said === "string") {
        fields.push([name, said]);
        all += `${name}\t${said}\t`;
      } else
        for (const value of said ?? []) {
          fields.push([name, value]);
          all += `${name}\t${value}\t`;
        }
    }
    const suspect = this.#automata.some((automaton) => !isClean(automaton, all));
    const clean = suspect ? fields.flatMap((field) => this.#cleaned(field)) : fields;
    return WRITABLE.test(all) ? clean : clean.filter(([, value]) => WRITABLE.test(value));
  }

  #cleaned([name, value]: Field): readonly Field[] {
    const inName = scrubText(this.#automata, name);
    const inValue = scrubText(this.#automata, value);
    this.#hits += inName.hits + inValue.hits;
    return inName.hits > 0 ? [] : [[name, inValue.text]];
  }

  /** False: the client is to take more before the next. */
  #pass(chunk: Buffer, lender: Lender): boolean {
    const first = this.#scrubbers[0];
    if (!first) return this.#front.write(chunk, lender);
    let pieces: readonly Buffer[] = first.pieces(chunk);
    // Joined to one they would be memory of their own, as much as the whole body.
    for (let at = 1; at < this.#scrubbers.length; at++) pieces = scrubbedBy(this.#scrubbers[at], pieces);
    let goesOn = true;
    for (const piece of pieces) goesOn = this.#front.write(piece, lender);
    return goesOn;
  }

  #complete(): void {
    if (this.#ended) return;
    let rest: Buffer = NOTHING;
    for (const scrubber of this.#scrubbers) {
      const pushed = rest.length > 0 ? scrubber.push(rest) : NOTHING;
      const end = scrubber.end();
      rest = pushed.length > 0 ? Buffer.concat([pushed, end]) : end;
    }
    this.#front.end(rest.length > 0 ? rest : undefined);
    this.#end("answered", "complete");
  }

  #fail(what: string): void {
    const refused = refusal(
      "upstream_failed",
      `\`${this.#owner.host}\` ${what}`,
      "check that it is up, and speaks what the rule says",
    );
    this.#end("failed", what, refused);
  }

  #end(outcome: Arrival["outcome"], reason: string, refused?: Refusal): void {
    this.#ended = true;
    let scrubbed = this.#hits;
    for (const { hits } of this.#scrubbers) scrubbed += hits;
    if (outcome === "cut" && refused && this.#front.started()) this.#front.destroy();
    if (outcome !== "answered") this.#controller?.abort(new Error(reason));
    if (outcome === "cut" || outcome === "aborted") this.#decoder?.destroy();
    if (outcome === "cut" && !refused) this.#front.destroy();
    this.#owner.ended({ outcome, status: this.#status, sent: 0, received: this.#bytes, scrubbed, reason }, refused);
  }
}

function scrubbedBy(scrubber: Scrubber | undefined, pieces: readonly Buffer[]): readonly Buffer[] {
  return pieces.flatMap((piece) => scrubber?.pieces(piece) ?? []);
}

const isSame = (a: readonly Automaton[], b: readonly Automaton[]): boolean =>
  a === b || (a.length === b.length && a.every((automaton, at) => automaton === b[at]));
