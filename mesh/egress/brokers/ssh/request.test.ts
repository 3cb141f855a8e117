import assert from "node:assert/strict";
import { test } from "node:test";
import { isMeant, isPath, readRequest } from "./request.ts";
import type { RepositorySetting } from "./setting.ts";

const COMMAND = "git-upload-pack '/team/site.git'";
const read = (words: readonly string[], protocol: string | null = null) => readRequest({ words: [...words], protocol });
const reasonOf = (words: readonly string[], protocol: string | null = null): string => {
  const request = read(words, protocol);
  return request.ok ? "" : request.error.reason;
};

test("git's own ways of calling `ssh` are read", () => {
  for (const [words, wanted] of [
    [["git@git.test", COMMAND], { user: "git", host: "git.test", port: 22 }],
    [
      ["-o", "SendEnv=GIT_PROTOCOL", "-p", "7999", "git@GIT.test", COMMAND],
      { user: "git", host: "git.test", port: 7_999 },
    ],
    [["-4", "git.test", COMMAND], { user: null, host: "git.test", port: 22 }],
    [["git@2001:db8::1", COMMAND], { user: "git", host: "2001:db8::1", port: 22 }],
    [["git@[2001:DB8::1]", COMMAND], { user: "git", host: "2001:db8::1", port: 22 }],
  ] as const)
    assert.deepEqual(read(words, "version=2"), {
      ok: true,
      value: { ...wanted, service: "git-upload-pack", path: "/team/site.git", protocol: "version=2" },
    });
});

const wrong: readonly (readonly [words: readonly string[], told: RegExp])[] = [
  [[], /a shell is not carried/],
  [["git.test"], /a shell is not carried/],
  [["-p", "git.test", COMMAND], /`git.test` is not a port/],
  [["-p", "65536", "git.test", COMMAND], /is not a port/],
  [["-p"], /is not a port/],
  [["-o"], /the option `-o ` is not taken/],
  [["-oProxyCommand=id", "git.test", COMMAND], /the option `-oProxyCommand=id` is not taken/],
  [["--", "git.test", COMMAND], /the option `--` is not taken/],
  [["-\u001b[2J", "git.test", COMMAND], /the option `-\?\[2J` is not taken/],
  [["git@", COMMAND], /is not a host/],
  [["@git.test", COMMAND], /is not a user/],
  [["a@b@git.test", COMMAND], /`a@b` is not a user/],
  [["0x7f.1", COMMAND], /is not a host/],
  [["git.test", "git-upload-pack  '/x'"], /is not a path/],
  [["git.test", "git-upload-pack /x"], /is not a path/],
  [["git.test", "git-upload-pack ''"], /is not a path/],
  [["git.test", "git-upload-pack '/x' "], /is not a path/],
  [["git.test", "GIT-UPLOAD-PACK '/x'"], /is not run there/],
  [["git.test", "constructor '/x'"], /is not run there/],
];
for (const [words, told] of wrong)
  test(`is refused: ${JSON.stringify(words)}`, () => assert.match(reasonOf(words), told));

test("no value of GIT_PROTOCOL goes on but a version", () => {
  for (const protocol of ["", "version=3", "version=2 ", "version=2:x", "version=2\nA=b"])
    assert.match(reasonOf(["git.test", COMMAND], protocol), /is not passed on/);
});

test("a path holds nothing that a shell or a server could take for more than a name", () => {
  for (const path of ["x", "/a/b.git", "~user/x", "team/a+b", "team//x"]) assert.equal(isPath(path), true, path);
  for (let code = 0; code < 0x180; code++) {
    const char = String.fromCharCode(code);
    assert.equal(isPath(`a${char}b`), /[A-Za-z0-9._~+@/-]/.test(char), JSON.stringify(char));
  }
  for (const path of ["", "..", "a/../b", "a/..", "./a", "a/.", "-a", "x".repeat(513)])
    assert.equal(isPath(path), false, path);
});

const setting = { host: "git.test", port: 22, user: "git", path: "team/site.git" } as RepositorySetting;

test("a request means a repository by its whole place, whichever of git's spellings it takes", () => {
  const meant = (more: object): boolean => {
    const request = read(["git@git.test", COMMAND]);
    assert.ok(request.ok);
    return isMeant({ ...request.value, ...more }, setting);
  };
  for (const more of [{}, { path: "team/site.git" }, { user: null }]) assert.equal(meant(more), true);
  for (const more of [
    ...[{ path: "//team/site.git" }, { path: "team/site" }, { path: "team/site.git/" }, { path: "Team/site.git" }],
    ...[{ host: "git.test.evil.test" }, { port: 23 }, { user: "root" }],
  ])
    assert.equal(meant(more), false, JSON.stringify(more));
});
