/** Revoked while no mesh runs: what would fetch the credential anew at the next start is erased as well. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { echoFleet, openHome } from "../../commands/cordon.ts";
import { assertDone, assertFails } from "../../commands/failure.ts";

const home = openHome(echoFleet("offline"));
after(() => home.close());

const names = async (): Promise<string[]> => {
  const listed = assertDone(await home.cordon(["credential", "list", "--json"]));
  const { credentials } = JSON.parse(listed) as { readonly credentials: readonly { readonly name: string }[] };
  return credentials.map(({ name }) => name).filter((name) => name !== "rehearsal");
};
const add = async (...added: readonly string[]): Promise<void> => {
  for (const name of added)
    assertDone(await home.cordon(["credential", "add", name], { input: `sk-canary-${name}\n` }));
};

test("the refresh token goes with the access token, also when that is gone already", async () => {
  await add("person", "person-refresh", "persona", "other");
  assertDone(await home.cordon(["credential", "revoke", "person"]));
  assert.deepEqual((await names()).toSorted(), ["other", "persona"]);
  await add("person-refresh");
  assertDone(await home.cordon(["credential", "revoke", "person"]));
  assert.deepEqual((await names()).toSorted(), ["other", "persona"]);
  assertFails(await home.cordon(["credential", "revoke", "person"]), /no credential `person`/, /credential list/);
});
