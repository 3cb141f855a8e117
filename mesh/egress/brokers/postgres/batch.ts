import { limits } from "../../../../protocol/limits.ts";
import { errorFrame, frame, ProtocolFault, textAt, type Frame } from "./frames.ts";
import { judge, type Judgement } from "./statement.ts";

/** What the server is sent in the place of a refused statement: it fails there, in its turn and with all that hangs on it. */
const REFUSED = "cordon_refused";

interface Read {
  readonly raw: Buffer;
  readonly refused: Judgement["refused"];
}

interface Known {
  readonly label: string;
  readonly ends: boolean;
}
const UNKNOWN: Known = { label: "UNKNOWN", ends: true };

/**
 * The messages of a client up to the next point at which the server answers for all of them, and what is known of the
 * names in them. Where the database is `read_only`, no statement follows the end of a transaction in the same batch: only at
 * its end does the server tell that a setting has changed, by whatever function.
 */
export class Batch {
  readonly #readOnly: boolean;
  readonly #statements = new Map<string, Known>();
  readonly #portals = new Map<string, Known>();
  /** Names that have ever stood for the end of a transaction: the server may have kept what was to replace it. */
  readonly #enders = new Set<string>();
  #frames: Buffer[] = [];
  #bytes = 0;
  #classes: Record<string, number> = {};
  #ended = false;
  #open = false;
  #refused: Judgement["refused"] = null;

  constructor(readOnly: boolean) {
    this.#readOnly = readOnly;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes one message. Answers with what is refused of it; then it is harmless already. */
  add(message: Frame): Judgement["refused"] {
    const { raw, refused } = this.#read(message);
    this.#frames.push(raw);
    this.#bytes += raw.length;
    this.#open = message.type !== "S" && message.type !== "Q";
    return refused;
  }

  /** All that has gathered, to be sent on. */
  take(): { readonly bytes: Buffer; readonly classes: Readonly<Record<string, number>> } {
    const taken = { bytes: Buffer.concat(this.#frames), classes: this.#classes };
    [this.#frames, this.#bytes, this.#classes] = [[], 0, {}];
    return taken;
  }

  /** The server's error, or in its place what the client is told of the statement that was refused. */
  errorOf(error: Frame): Buffer {
    if (!this.#refused || !error.body.includes(REFUSED)) return error.raw;
    const { reason, remedy } = this.#refused;
    this.#refused = null;
    return errorFrame("ERROR", "42501", reason, remedy);
  }

  /** The server is ready for the next one. After an error nobody knows what it has kept of this one. */
  settle(failed: boolean): void {
    [this.#ended, this.#open, this.#refused] = [false, false, null];
    if (!failed) return;
    this.#statements.delete("");
    this.#portals.clear();
  }

  #read({ type, raw, body }: Frame): Read {
    const none = { raw, refused: null };
    switch (type) {
      case "Q": {
        if (this.#readOnly && this.#open) throw new ProtocolFault("a query within a batch that is not ended");
        const sql = textAt(body, 0);
        if (sql.next !== body.length) throw new ProtocolFault("text behind the end of a query");
        const judged = judge(sql.text, this.#readOnly);
        for (const each of judged.refused ? ["REFUSED"] : judged.classes) this.#count(each);
        return this.#judged(judged, raw, () => frame("Q", `${REFUSED}\0`));
      }
      case "P": {
        const name = textAt(body, 0);
        const sql = textAt(body, name.next);
        const judged = judge(sql.text, this.#readOnly);
        const label = judged.refused ? "REFUSED" : (judged.classes[0] ?? "OTHER");
        this.#learn(name.text, { label, ends: judged.ends });
        return this.#judged(judged, raw, () => frame("P", `${name.text}\0${REFUSED}\0`, body.subarray(sql.next)));
      }
      case "B": {
        const portal = textAt(body, 0);
        const statement = textAt(body, portal.next).text;
        this.#bounded(this.#portals);
        this.#portals.set(portal.text, this.#statements.get(statement) ?? UNKNOWN);
        return none;
      }
      case "E": {
        const { label, ends } = this.#portals.get(textAt(body, 0).text) ?? UNKNOWN;
        if (this.#readOnly && this.#ended)
          throw new ProtocolFault("a statement behind the end of a transaction: send Sync between them");
        this.#ended ||= ends;
        this.#count(label);
        return none;
      }
      default:
        return none;
    }
  }

  #judged(judged: Judgement, raw: Buffer, instead: () => Buffer): Read {
    if (!judged.refused) return { raw, refused: null };
    this.#refused ??= judged.refused;
    return { raw: instead(), refused: judged.refused };
  }

  #learn(name: string, known: Known): void {
    this.#bounded(this.#statements);
    if (known.ends && name !== "") this.#enders.add(name);
    this.#statements.set(name, { ...known, ends: known.ends || this.#enders.has(name) });
  }

  #bounded(names: ReadonlyMap<string, Known>): void {
    if (names.size >= limits.postgres.namesMax || this.#enders.size >= limits.postgres.namesMax)
      throw new ProtocolFault(`more than ${limits.postgres.namesMax} prepared statements or portals in one session`);
  }

  #count(label: string): void {
    this.#classes[label] = (this.#classes[label] ?? 0) + 1;
  }
}
