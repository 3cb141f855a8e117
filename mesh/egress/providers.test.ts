import assert from "node:assert/strict";
import { test } from "node:test";
import { Name } from "../../protocol/names.ts";
import { builtInProviders } from "./providers.ts";

test("every provider is a public https server, named once, with a credential of its own", () => {
  const all = Object.entries(builtInProviders);
  assert.ok(all.length >= 8);
  for (const [name, provider] of all) {
    assert.equal(provider.name, name);
    assert.ok(Name.safeParse(name).success);
    assert.equal(provider.credential, name);
    assert.equal(provider.socketPath, undefined);
    const url = new URL(provider.baseUrl);
    assert.equal(`${url.origin}${url.pathname}`, provider.baseUrl, "no query, user, fragment or default port");
    assert.ok(!provider.baseUrl.endsWith("/"));
    if (name === "rehearsal") assert.equal(provider.priceList, null);
    else assert.ok(url.protocol === "https:" && url.hostname.includes(".") && provider.priceList);
  }
  assert.equal(new Set(all.map(([, provider]) => provider.baseUrl)).size, all.length);
});
