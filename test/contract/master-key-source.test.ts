/**
 * What everything keeps that opens a vault key: a file alone, a passphrase, a server that wraps it. The server is one of this
 * repository, which answers as the documentation of HashiCorp Vault says (api-docs/secret/transit).
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { CommandError } from "../../mesh/commands/failure.ts";
import { keyOpenerOf, transitProtection } from "../../mesh/commands/key-opener.ts";
import { openKey, rotateMasterKey, type StateKey } from "../../mesh/commands/state-key.ts";
import type { MeshOptions } from "../../mesh/main.ts";
import { openStore } from "../../mesh/store/open.ts";
import type { Store } from "../../mesh/store/store.ts";
import { KEY_FILE, replaceKeyFile, VaultError } from "../../mesh/vault/key-file.ts";
import { newSalt, protectionOf, type Protection } from "../../mesh/vault/passphrase.ts";
import { Vault } from "../../mesh/vault/vault.ts";
import { readWrapped, wrappedHead } from "../../mesh/vault/wrapped-key.ts";
import { startTransit, type TransitServer } from "../fleet/transit-server.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-key-source-"));
const [TOKEN, PASSPHRASE, VALUE] = ["hvs.token-of-the-tests", "a long enough passphrase", "value-of-the-credential"];
const tokenFile = join(root, "token");
const passphraseFile = join(root, "passphrase");
let server: TransitServer;
before(async () => {
  server = await startTransit(TOKEN);
  writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
  writeFileSync(passphraseFile, `${PASSPHRASE}\n`, { mode: 0o600 });
});
after(() => {
  server.close();
  rmSync(root, { recursive: true });
});

interface Opened {
  readonly vault: Vault;
  readonly key: StateKey;
}
async function opened<T>(
  state: string,
  options: MeshOptions,
  act: (opened: Opened) => T | Promise<T>,
): Promise<Awaited<T>> {
  const store = await openStore({ path: state, mode: "inline" });
  try {
    const key = await openKey(store, state, await keyOpenerOf(state, options));
    const audit = { record: (_event: unknown, writes: Parameters<Store["commit"]>[0] = []) => store.commit(writes) };
    return await act({ vault: new Vault({ store, audit, clock, key, random: randomBytes }), key });
  } finally {
    await store.close();
  }
}
const assertWhole = ({ vault }: Opened): void => {
  const found = vault.reveal("openai")?.secret.reveal((bytes) => Buffer.from(bytes).toString());
  assert.equal(found, VALUE);
};

/** How each is set up, and with what it is opened. */
const sources: readonly {
  readonly name: string;
  readonly options: MeshOptions;
  protection(): Promise<Protection | undefined>;
}[] = [
  { name: "a file alone", options: {}, protection: () => Promise.resolve(undefined) },
  {
    name: "a passphrase",
    options: { "passphrase-file": passphraseFile },
    protection: () => Promise.resolve(protectionOf(Buffer.from(PASSPHRASE), newSalt(randomBytes))),
  },
  {
    name: "a server",
    options: { "vault-token-file": tokenFile },
    protection: () => transitProtection(transit(), randomBytes(32)),
  },
];
const transit = (): MeshOptions => ({ transit: server.address, "vault-token-file": tokenFile });

async function stateWith(source: (typeof sources)[number]): Promise<string> {
  const state = mkdtempSync(join(root, "s-"));
  const protection = await source.protection();
  await opened(state, {}, async ({ vault, key }) => {
    await vault.put("openai", new Secret(Buffer.from(VALUE)), "test");
    replaceKeyFile(state, { master: key.file.master, ...(protection && { protection }) }, randomBytes);
  });
  return state;
}
const files = (state: string): Buffer =>
  Buffer.concat(readdirSync(state).map((name) => readFileSync(join(state, name))));
const byServer = sources[2]!;

for (const source of sources) {
  test(`${source.name}: what it sealed it opens, also after a rotation, which asks for nothing`, async () => {
    const state = await stateWith(source);
    const before = readFileSync(join(state, KEY_FILE));
    await opened(state, source.options, async (each) => {
      assertWhole(each);
      server.trouble = "down";
      await rotateMasterKey(state, each.vault, each.key, "test").finally(() => (server.trouble = ""));
    });
    assert.ok(!before.equals(readFileSync(join(state, KEY_FILE))));
    await opened(state, source.options, assertWhole);
  });

  test(`${source.name}: the key stands on the disk in no other way than it says`, async () => {
    const state = await stateWith(source);
    const master = await opened(state, source.options, ({ key }) =>
      key.file.master.reveal((bytes) => Buffer.from(bytes)),
    );
    const open = source.options["passphrase-file"] === undefined && source.options["vault-token-file"] === undefined;
    const kept = files(state);
    assert.equal(kept.includes(master), open);
    for (const secret of [TOKEN, PASSPHRASE, VALUE, master.toString("base64"), master.toString("hex")])
      assert.ok(!kept.includes(secret), "nor anything that opens it");
  });

  test(`${source.name}: any other way to open it is refused, and so is a damaged file`, async () => {
    const state = await stateWith(source);
    for (const other of sources.filter(({ name }) => name !== source.name))
      await assert.rejects(
        opened(state, other.options, () => undefined),
        (error: unknown) => error instanceof VaultError || error instanceof CommandError,
        other.name,
      );
    const file = join(state, KEY_FILE);
    const bytes = readFileSync(file);
    for (const at of [0, 22, 24, 40, bytes.length >> 1, bytes.length - 1].filter((each) => each < bytes.length)) {
      const bent = Buffer.from(bytes);
      bent[at]! ^= 1;
      writeFileSync(file, bent);
      await assert.rejects(
        opened(state, source.options, () => undefined),
        `byte ${at}`,
      );
    }
    writeFileSync(file, bytes);
    await opened(state, source.options, assertWhole);
  });
}

test("a server that is away, sealed, refuses, answers nonsense or another key: nothing opens, and nothing is told of it", async () => {
  const state = await stateWith(byServer);
  for (const [trouble, wanted] of [
    ["down", /did not answer/],
    ["sealed", /refused to decrypt with the key `cordon` \(503\)/],
    ["redirect", /\(307\)/],
    ["html", /did not answer: an answer that is no JSON/],
    ["empty", /without a plaintext/],
    ["short", /something that is no key/],
    ["another", /does not open with the key that/],
  ] as const) {
    server.trouble = trouble;
    await assert.rejects(
      opened(state, byServer.options, () => undefined),
      (error: Error) => wanted.test(error.message) && !error.message.includes(TOKEN),
      trouble,
    );
  }
  server.trouble = "";
  const wrong = join(root, "wrong");
  writeFileSync(wrong, "hvs.another-token", { mode: 0o600 });
  await assert.rejects(
    opened(state, { "vault-token-file": wrong }, () => undefined),
    /\(403\)/,
  );
  await opened(state, byServer.options, assertWhole);
});

test("nobody who expects a server gets a key that opens without it, and the other way round", async () => {
  const plain = await stateWith(sources[0]!);
  await assert.rejects(
    opened(plain, byServer.options, () => undefined),
    /opens without it: wrap it with/,
  );
  const wrapped = await stateWith(byServer);
  await assert.rejects(
    opened(wrapped, {}, () => undefined),
    /opens with the key `cordon` of http:.*--vault-token-file/,
  );
  await assert.rejects(
    opened(wrapped, { ...byServer.options, "passphrase-file": passphraseFile }, () => undefined),
    /not by a passphrase/,
  );
});

test("a file that names another server opens nothing, and in clear text the token does not even leave", async () => {
  const state = await stateWith(byServer);
  const file = join(state, KEY_FILE);
  const bytes = readFileSync(file);
  const read = readWrapped(bytes);
  assert.ok(read);
  const box = bytes.subarray(read.head.length);
  const other = await startTransit(TOKEN);
  try {
    writeFileSync(file, Buffer.concat([wrappedHead({ ...read.wrapped, address: other.address }), box]));
    await assert.rejects(opened(state, byServer.options, () => undefined));
    // The same server under another name for it: the box is bound to what stands before it.
    const same = { ...read.wrapped, address: server.address.replace("127.0.0.1", "localhost") };
    writeFileSync(file, Buffer.concat([wrappedHead(same), box]));
    await assert.rejects(
      opened(state, byServer.options, () => undefined),
      /does not open with the key that/,
    );
  } finally {
    other.close();
  }
  for (const [change, wanted] of [
    [{ address: "http://vault.example:8200" }, /clear text/],
    [{ mount: "../../secret" }, /damaged/],
    [{ key: "cordon/../../x" }, /damaged/],
  ] as const) {
    writeFileSync(file, Buffer.concat([wrappedHead({ ...read.wrapped, ...change }), box]));
    const asked = server.asked.length;
    await assert.rejects(
      opened(state, byServer.options, () => undefined),
      wanted,
    );
    assert.equal(server.asked.length, asked);
  }
});

test("a token that others can read, that is none, or an address in clear text is refused before anything is asked", async () => {
  const asked = server.asked.length;
  const loose = join(root, "loose");
  writeFileSync(loose, TOKEN);
  chmodSync(loose, 0o644);
  const [empty, lines] = [join(root, "empty"), join(root, "lines")];
  writeFileSync(empty, "\n", { mode: 0o600 });
  writeFileSync(lines, "a\nb", { mode: 0o600 });
  for (const path of [loose, empty, lines, join(root, "none")])
    await assert.rejects(
      transitProtection({ transit: server.address, "vault-token-file": path }, randomBytes(32)),
      CommandError,
      path,
    );
  for (const address of ["http://vault.example:8200", "vault.example", "https://a b", "https://u:p@v", "ftp://v"])
    await assert.rejects(transitProtection({ ...transit(), transit: address }, randomBytes(32)), /no https address/);
  for (const more of [{ "transit-key": "../x" }, { "transit-mount": "/t" }, { "transit-namespace": "a b" }])
    await assert.rejects(transitProtection({ ...transit(), ...more }, randomBytes(32)), /no name of a mount/);
  assert.equal(server.asked.length, asked);
});

test("a server that does not unwrap what it has wrapped gets no key to keep", async () => {
  server.trouble = "another";
  await assert.rejects(transitProtection(transit(), randomBytes(32)), /unwraps another key/);
  server.trouble = "";
});
