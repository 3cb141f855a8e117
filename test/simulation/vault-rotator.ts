/** Rotates the master key of a state again and again, one letter a rotation, until it is killed. */
import { randomBytes } from "node:crypto";
import { systemClock as clock } from "../../lib/clock.ts";
import { openKey, rotateMasterKey } from "../../mesh/commands/state-key.ts";
import { openStore } from "../../mesh/store/open.ts";
import { Vault } from "../../mesh/vault/vault.ts";

const state = process.argv[2] ?? "";
const store = await openStore({ path: state });
let key = await openKey(store, state);
const vault = new Vault({
  ...{ store, clock, key, random: randomBytes },
  audit: { record: (_event, writes = []) => store.commit(writes) },
});
for (;;) {
  key = await rotateMasterKey(state, vault, key, "principal:operator");
  process.stdout.write(".");
}
