/** What the fleet file can say of webhooks: there is no way to say one that anybody may call, or call again for ever. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFleet } from "../../../mesh/config/parse.ts";

function faultsOf(entry: string): string {
  const text = `version: 1\nfleet: f\ndefaults: { model: rehearsal/echo }\nagents: { a: { command: [/a] } }\nhooks:\n  h: { ${entry} }\n`;
  const parsed = parseFleet(text, "/");
  return parsed.ok ? "" : parsed.error.map(({ line, message, fix }) => `${line}: ${message}: ${fix}`).join("\n");
}

test("hole: webhooks with optional signatures and no time window — neither can be said, and a window is bounded", () => {
  const to = "message: { to: a }";
  for (const [entry, expected] of [
    [to, /^6: .*verify/],
    [`verify: github, ${to}`, /^6: .*secret/],
    [`secret: s, ${to}`, /^6: .*verify/],
    [`verify: none, secret: s, ${to}`, /^6: .*verify/],
    [`verify: false, secret: s, ${to}`, /^6: .*verify/],
    [`verify: [github, hmac], secret: s, ${to}`, /^6: .*verify/],
    [`verify: github, secret: "", ${to}`, /^6: .*secret/],
    [`verify: github, secret: s, required: false, ${to}`, /^6: .*required/],
    [`verify: hmac, secret: s, ${to}`, /^6: `header` belongs to `verify: hmac`/],
    [`verify: stripe, secret: s, window: 0s, ${to}`, /^6: .*must be `1s` to `1h`/],
    [`verify: stripe, secret: s, window: 2h, ${to}`, /^6: .*must be `1s` to `1h`/],
    [`verify: standard, secret: s, window: 365d, ${to}`, /^6: .*must be `1s` to `1h`/],
    [`verify: github, secret: s, window: 1m, ${to}`, /^6: `github` signs no time/],
    [`verify: github, secret: s, per_minute: 0, ${to}`, /^6: .*per_minute/],
    ["verify: github, secret: s", /^6: ./],
  ] as const)
    assert.match(faultsOf(entry), expected, entry);
  for (const entry of [
    `verify: github, secret: s, ${to}`,
    `verify: standard, secret: s, window: 1m, ${to}`,
    `verify: hmac, header: x-signature, secret: s, ${to}`,
  ])
    assert.equal(faultsOf(entry), "", entry);
});
