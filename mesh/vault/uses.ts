import { defaultTenant } from "../store/statements.ts";
import type { LateRow, Row } from "../store/store.ts";

/** The uses of one version of a credential since the last transaction. */
export class VersionUses implements LateRow {
  readonly #name: string;
  readonly #version: number;
  #times = 0;
  #lastMs = 0;

  constructor(name: string, version: number) {
    this.#name = name;
    this.#version = version;
  }

  add(atMs: number): this {
    this.#times++;
    this.#lastMs = atMs;
    return this;
  }

  lateRow(): Row {
    const times = this.#times;
    this.#times = 0;
    return ["credentials.use", times, this.#lastMs, defaultTenant, this.#name, this.#version];
  }
}

/** The uses of a credential by one agent at one destination since the last transaction, and the hours of all. */
export class PairUses implements LateRow {
  /** One bit for each hour of the day (UTC). */
  hours: number;
  refusals = 0;
  readonly #name: string;
  readonly #agent: string;
  readonly #destination: string;
  #times = 0;
  #firstMs = 0;
  #lastMs = 0;

  constructor(name: string, agent: string, destination: string, hours = 0) {
    this.#name = name;
    this.#agent = agent;
    this.#destination = destination;
    this.hours = hours;
  }

  add(hour: number, atMs: number): this {
    if (this.#times++ === 0) this.#firstMs = atMs;
    this.#lastMs = atMs;
    this.hours |= hour;
    return this;
  }

  lateRow(): Row {
    const times = this.#times;
    this.#times = 0;
    return [
      ...(["credentialUses.add", defaultTenant, this.#name, this.#agent, this.#destination] as const),
      ...[times, this.hours, this.#firstMs, this.#lastMs],
    ];
  }
}
