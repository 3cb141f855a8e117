import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { parseFleet } from "./parse.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-roots-"));
mkdirSync(join(folder, "image"));
after(() => rmSync(folder, { recursive: true, force: true }));

const read = (agent: string, defaults = "") =>
  parseFleet(
    `version: 1\nfleet: f\ndefaults: { model: rehearsal/echo${defaults} }\nagents:\n  a: { command: [/bin/a], sandbox: { ${agent} } }\n`,
    folder,
  );
const rootfsOf = (agent: string, defaults = "") => {
  const fleet = read(agent, defaults);
  assert.ok(fleet.ok, JSON.stringify(fleet));
  return fleet.value.agents[0]?.rootfs;
};

describe("what an agent stands on", () => {
  it("is the minimal root file system when nothing is said", () => assert.equal(rootfsOf("cpus: 1"), undefined));
  it("is what `packages`, `image` or `rootfs` say", () => {
    assert.deepEqual(rootfsOf("packages: [python3, libstdc++6]"), {
      kind: "packages",
      names: ["python3", "libstdc++6"],
    });
    assert.deepEqual(rootfsOf("image: image"), { kind: "image", folder: join(folder, "image") });
    assert.deepEqual(rootfsOf("rootfs: ./image"), { kind: "folder", folder: join(folder, "image") });
  });
  it("is an image of the engine by its digest; the name beside it is for people", () => {
    const digest = `sha256:${"ab".repeat(32)}`;
    assert.deepEqual(rootfsOf(`image: "docker:${digest}"`), { kind: "engine", digest });
    assert.deepEqual(rootfsOf(`image: "docker:library/node:22@${digest}"`), { kind: "engine", digest });
  });
  it("is the agent's own where `defaults` say something else", () => {
    const defaults = ", sandbox: { packages: [git] }";
    assert.deepEqual(rootfsOf("cpus: 1", defaults), { kind: "packages", names: ["git"] });
    assert.deepEqual(rootfsOf("image: image", defaults), { kind: "image", folder: join(folder, "image") });
  });
  for (const [what, agent, expected] of [
    ["two at once", "packages: [git], image: image", /stands on one root file system/],
    ["a folder that is not there", "image: absent", /`absent` is not a folder/],
    ["an image of the engine by its name", "image: 'docker:node:22'", /names no image for good.*docker image inspect/],
    ["half a digest", "image: 'docker:node@sha256:abcd'", /names no image for good/],
    ["no package", "packages: []", /packages/],
    ["an option in the place of a package", "packages: ['--hook']", /Debian package/],
    ["two packages in one", "packages: ['git,vim']", /Debian package/],
    ["a package with an upper-case name", "packages: [Git]", /Debian package/],
    ["a key that is misspelt", "package: [git]", /did you mean `packages`/],
    ["a key of another place", "fleet: a", /unknown key `fleet`.* -> remove it/],
  ] as const) {
    it(`is refused for ${what}`, () => {
      const fleet = read(agent);
      assert.ok(!fleet.ok);
      assert.match(fleet.error.map(({ message, fix }) => `${message} -> ${fix}`).join("\n"), expected);
    });
  }
});
