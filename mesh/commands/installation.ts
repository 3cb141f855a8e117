import { readFileSync } from "node:fs";
import type { Id } from "../../lib/id.ts";
import type { Store } from "../store/store.ts";
import { CommandError } from "./failure.ts";

/** Version of this Cordon, from its own package. */
export const version = (
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }
).version;

/** The id of this state folder: sandboxes are found again by it alone. One state serves one fleet for ever. */
export async function installationOf(store: Store, fleet: string, ids: Id): Promise<string> {
  const known = store.query.meta.get("fleet");
  if (known !== undefined && known !== fleet) {
    throw new CommandError(
      `this state belongs to the fleet \`${known}\`, not \`${fleet}\`: name another folder with \`--state\`, or rename the fleet back`,
    );
  }
  const installation = store.query.meta.get("installation") ?? ids.next("i").slice(2, 10);
  await store.commit([
    ["meta.set", "fleet", fleet],
    ["meta.set", "installation", installation],
    ["meta.set", "version", version],
  ]);
  return installation;
}
