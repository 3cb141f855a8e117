import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Repositories } from "../../protocol/door.ts";
import type { Label } from "../../protocol/label.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import type { GitService, RepositorySetting } from "../egress/brokers/ssh/setting.ts";
import type { RepositoryWarden } from "../egress/brokers/ssh/warden.ts";
import type { Write } from "../store/store.ts";
import { StoreFailure } from "../store/store.ts";
import { ask, recordRefusal } from "./ask.ts";
import { budgetRefusal, endsAgent } from "./budget-refusal.ts";
import type { Caller, DoorServices } from "./services.ts";

/** In the book of the ledger, in the place of a model. */
const BOOKED_AS = "git";

/** What the sandbox is told of the repositories that it may use. */
export function repositoriesOf({ matrix, ssh }: DoorServices, { agent }: Caller): Repositories {
  const names = matrix.get(agent)?.repositories ?? [];
  const settings = names.flatMap((name) => ssh?.setting(name) ?? []);
  return {
    repositories: settings.map(({ name, user, host, port, path, push }) => {
      const at = host.includes(":") ? `[${host}]` : host;
      const place = `${user}@${at}${port === 22 ? "" : `:${port}`}`;
      return { name, url: `ssh://${place}/${path.replace(/^\//, "")}`, write: push !== null };
    }),
  };
}

const verbOf = (service: GitService): "git.push" | "git.fetch" =>
  service === "git-receive-pack" ? "git.push" : "git.fetch";

/** Decides, reserves and records for one sandbox what the broker carries. */
export function repositoryWarden(services: DoorServices, caller: Caller): RepositoryWarden {
  const record = (
    kind: string,
    { name }: RepositorySetting,
    detail: { readonly [key: string]: Json },
    writes: readonly Write[] = [],
  ): Promise<void> =>
    services.audit.record(
      { kind, subject: `agent:${caller.agent}`, detail: { sandbox: caller.sandbox, repository: name, ...detail } },
      writes,
    );
  /** What is sent is spent at once: there is nothing to give back. */
  const reserve = async (
    setting: RepositorySetting,
    service: GitService,
    requests: number,
    bytes: number,
  ): Promise<Result<readonly Write[], Refusal>> => {
    const nothing = { tokens: 0, microUsd: 0 };
    const sent = { requests, bytes, destination: setting.host };
    const held = services.ledger.reserve(services.scopes.of(caller.agent), nothing, BOOKED_AS, sent);
    if (held.ok) return ok([...held.value.writes, ...services.ledger.release(held.value).writes]);
    if (endsAgent(held.error)) services.halt(caller.agent, held.error);
    const refused = budgetRefusal(held.error);
    await recordRefusal(services, caller, { verb: verbOf(service), repository: setting.name }, refused);
    return err(refused);
  };
  const permit = (service: GitService, repository: string): Promise<Result<{ readonly rule: string }, Refusal>> =>
    ask(services, caller, { verb: verbOf(service), repository });
  return {
    agent: caller.agent,
    repositories: services.matrix.get(caller.agent)?.repositories ?? [],
    permit,
    async admit({ setting, service, addresses, writes }, rule) {
      const held = await reserve(setting, service, 1, 0);
      if (!held.ok) return held;
      const { host, port, user, path, key } = setting;
      const place = { host, port, address: addresses[0] ?? "", user, path };
      await record(verbOf(service), setting, { allow: true, rule, ...place, credential: key }, [
        ...held.value,
        ...writes,
      ]);
      services.monitor.emit(verbOf(service), caller.agent, { repository: setting.name });
      return ok(null);
    },
    async more(setting, service, bytes) {
      // Asked again each time: an agent is halted, or at work on a step, while its session stands.
      const asked = await permit(service, setting.name);
      if (!asked.ok) return asked;
      const held = await reserve(setting, service, 0, bytes);
      if (!held.ok) return held;
      await record("git.more", setting, { bytes }, held.value);
      return ok(null);
    },
    pushed: (setting, refs) => record("git.pushed", setting, { refs: [...refs] }),
    async closed(setting, service, { sent, received, code, reason }) {
      // What came back is no better than what others have pushed there.
      const label = {
        integrity: "untrusted",
        confidentiality: "internal",
        sources: [`repository:${setting.name}`],
      } satisfies Label;
      const detail = { verb: verbOf(service), sent, received, code, reason: reason.slice(0, 200) };
      await record("git.closed", setting, { ...detail, label });
      services.monitor.emit("git.closed", caller.agent, { repository: setting.name, sent, received, code });
    },
    refused: (about, refused) => recordRefusal(services, caller, about, refused),
    fault(error) {
      if (!(error instanceof StoreFailure))
        services.monitor.emit("mesh.fault", caller.agent, { error: String(error).slice(0, 400) });
    },
  };
}
