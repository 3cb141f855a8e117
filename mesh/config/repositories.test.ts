import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFleet } from "./parse.ts";

const PIN = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";
const ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
const WHOLE = `to: git@git.example.org:team/site.git, host_key: "${PIN}", key: deploy`;

const fleetWith = (repository: string, may = "[site]", more = ""): string => `version: 1
fleet: f
repositories:
  site: { ${repository} }
${more}
agents:
  a: { model: rehearsal/echo, command: [/bin/node], may: { repositories: ${may} } }
`;

const faultsOf = (text: string): string[] => {
  const parsed = parseFleet(text, "/nowhere");
  return parsed.ok ? [] : parsed.error.map(({ message, fix }) => `${message} | ${fix}`);
};

const parsed = (repository: string) => {
  const fleet = parseFleet(fleetWith(repository), "/nowhere");
  assert.ok(fleet.ok, JSON.stringify(fleet));
  assert.deepEqual(fleet.value.agents[0]?.may.repositories, ["site"]);
  return fleet.value.repositories?.[0];
};

test("a repository is read only unless the file says otherwise", () => {
  assert.deepEqual(parsed(WHOLE), {
    ...{ name: "site", host: "git.example.org", port: 22, user: "git", path: "team/site.git", address: null },
    ...{ hostKeys: [{ sha256: PIN.slice("SHA256:".length), type: null }], key: "deploy", passphrase: null, push: null },
  });
});

test("writing opens branches and tags, forward only", () => {
  assert.deepEqual(parsed(`${WHOLE}, write: true`)?.push, {
    ...{ refs: ["refs/heads/**", "refs/tags/**"], mayDelete: false, mayForce: false },
  });
  const narrow = 'write: true, push: { refs: ["refs/heads/agent/**"], delete: true, force: true }';
  assert.deepEqual(parsed(`${WHOLE}, ${narrow}`)?.push, {
    ...{ refs: ["refs/heads/agent/**"], mayDelete: true, mayForce: true },
  });
});

test("an address of git's own spellings says the path that git says", () => {
  const at = (to: string) => parsed(WHOLE.replace("git@git.example.org:team/site.git", `"${to}"`));
  for (const [to, port, path] of [
    ["ssh://git@git.example.org/team/site.git", 22, "/team/site.git"],
    ["ssh://git@git.example.org:7999/team/site.git", 7999, "/team/site.git"],
    ["ssh://git@git.example.org/~/site.git", 22, "~/site.git"],
  ] as const)
    assert.deepEqual([at(to)?.host, at(to)?.port, at(to)?.path], ["git.example.org", port, path]);
  assert.equal(at("git@[2001:db8::1]:x.git")?.address, "2001:db8::1");
});

test("a line of known_hosts is a pin, with the kind of the key", () => {
  for (const line of [ED25519, `git.example.org ${ED25519}`, `other,git.example.org ${ED25519} a comment`])
    assert.deepEqual(parsed(WHOLE.replace(PIN, line))?.hostKeys, [
      { sha256: PIN.slice("SHA256:".length), type: "ssh-ed25519" },
    ]);
});

const wrong: readonly (readonly [repository: string, told: RegExp])[] = [
  [WHOLE.replace(`, host_key: "${PIN}"`, ""), /`repositories.site.host_key` is missing/],
  [WHOLE.replace(", key: deploy", ""), /`repositories.site.key` is missing/],
  [WHOLE.replace(PIN, "MD5:16:27:ac:a5"), /neither a fingerprint nor a line of known_hosts \| .*ssh-keyscan/],
  [WHOLE.replace(PIN, PIN.slice(0, -1)), /neither a fingerprint/],
  [WHOLE.replace(PIN, `elsewhere.test ${ED25519}`), /the line of another host: `elsewhere.test`/],
  [WHOLE.replace(PIN, `@cert-authority git.example.org ${ED25519}`), /neither a fingerprint nor/],
  [WHOLE.replace(PIN, ED25519.replace("ssh-ed25519", "ssh-rsa")), /its key is not of the kind that it says/],
  [WHOLE.replace(PIN, ED25519.replace("ssh-ed25519", "ssh-dss")), /`ssh-dss` is not a kind of key that is taken/],
  [WHOLE.replace("git@git.example.org", "git.example.org"), /is not a repository \| write `git@HOST:PATH`/],
  [WHOLE.replace("team/site.git", "../site.git"), /is not a repository/],
  [WHOLE.replace("team/site.git", "team/$(id)"), /is not a repository/],
  [WHOLE.replace("git@git.example.org:team", "https://git.example.org"), /is not a repository/],
  [`${WHOLE}, push: { force: true }`, /`push` is set and nothing may be written \| add `write: true`/],
  [`${WHOLE}, write: true, push: { refs: [main] }`, /`main` is not a pattern of refs/],
  [`${WHOLE}, write: true, push: { refs: ["**"] }`, /is not a pattern of refs/],
  [`${WHOLE}, passwort: x`, /unknown key `passwort`/],
  [`${WHOLE}, address: nowhere`, /must be an IP address/],
];
for (const [repository, told] of wrong)
  test(`is refused with its fix: ${repository}`, () => assert.match(faultsOf(fleetWith(repository)).join("\n"), told));

test("an agent uses repositories of the file only, and no two of them that its git could not tell apart", () => {
  assert.match(
    faultsOf(fleetWith(WHOLE, "[sites]")).join(),
    /no repository `sites` \| declare it under `repositories`/,
  );
  const twin = `  twin: { ${WHOLE.replace("git@git.example.org:team", "ssh://git@git.example.org/team")}, write: true }`;
  assert.deepEqual(faultsOf(fleetWith(WHOLE, "[site]", twin)), []);
  assert.match(faultsOf(fleetWith(WHOLE, "[site, twin]", twin)).join(), /`twin` is at the same place as `site`/);
});
