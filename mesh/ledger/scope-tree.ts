import { assert } from "../../lib/assert.ts";
import { isRunScope } from "./amount.ts";
import type { Caps, Scope } from "./ledger.ts";

/** What is spent by an agent counts in all of these. */
export interface ScopeSettings {
  readonly budget: Caps;
  readonly teams: readonly { readonly name: string; readonly members: readonly string[]; readonly budget: Caps }[];
  readonly tenants?: ScopeSettings["teams"];
  readonly agents: readonly { readonly name: string; readonly budget: Caps }[];
}

const NO_CAPS: Caps = { day: {}, month: {} };

/**
 * Which scopes an agent spends in: the fleet, its teams, its tenant, itself, and the run and step that it works for.
 * What was spent stays where it was spent: an agent that leaves a team or a tenant frees nothing there, one that joins
 * brings nothing.
 */
export class ScopeTree {
  readonly #caps: ReadonlyMap<Scope, Caps>;
  readonly #own: ReadonlyMap<string, readonly Scope[]>;
  readonly #work = new Map<string, readonly Scope[]>();

  constructor({ budget, teams, tenants = [], agents }: ScopeSettings) {
    const groups = [
      ...teams.map((team) => ({ ...team, scope: `team:${team.name}` as const })),
      ...tenants.map((tenant) => ({ ...tenant, scope: `tenant:${tenant.name}` as const })),
    ];
    this.#caps = new Map<Scope, Caps>([
      ["fleet", budget],
      ...groups.map((group) => [group.scope, group.budget] as const),
      ...agents.map((agent) => [`agent:${agent.name}`, agent.budget] as const),
    ]);
    this.#own = new Map<string, readonly Scope[]>(
      agents.map(({ name }) => {
        const mine = groups.filter(({ members }) => members.includes(name));
        return [name, Object.freeze(["fleet", ...mine.map(({ scope }) => scope), `agent:${name}`])];
      }),
    );
  }

  /** All that have budgets of the fleet file, the widest first. */
  get all(): readonly Scope[] {
    return [...this.#caps.keys()];
  }

  caps(scope: Scope): Caps {
    return this.#caps.get(scope) ?? NO_CAPS;
  }

  /** The widest first; a refusal names the widest scope that is used up. */
  of(agent: string): readonly Scope[] {
    const own = this.#own.get(agent);
    assert(own, "only agents of the fleet spend");
    const work = this.#work.get(agent);
    return work ? [...own, ...work] : own;
  }

  /**
   * From now on what the agent spends counts for these runs and steps, too; they must be open in the ledger. The
   * returned function ends it. An agent does one piece of work at a time.
   */
  work(agent: string, scopes: readonly Scope[]): () => void {
    assert(scopes.every(isRunScope), "work is done for runs and steps");
    this.#work.set(agent, scopes);
    return () => {
      if (this.#work.get(agent) === scopes) this.#work.delete(agent);
    };
  }
}
