/**
 * What everything keeps that opens a vault key: a file alone, a passphrase, a server that wraps it. The servers are of this
 * repository, and answer as the documentation of HashiCorp Vault (api-docs/secret/transit) and that of AWS (KMS API
 * reference: Encrypt, Decrypt) say.
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
import { heldToken, keyOpenerOf } from "../../mesh/commands/key-opener.ts";
import { serviceProtection } from "../../mesh/commands/key-wrapping.ts";
import { openKey, rotateMasterKey, type StateKey } from "../../mesh/commands/state-key.ts";
import { kmsRegionOf } from "../../mesh/egress/sources/aws-kms.ts";
import type { MeshOptions } from "../../mesh/main.ts";
import { openStore } from "../../mesh/store/open.ts";
import type { Store } from "../../mesh/store/store.ts";
import { KEY_FILE, replaceKeyFile, VaultError } from "../../mesh/vault/key-file.ts";
import { newSalt, protectionOf, type Protection } from "../../mesh/vault/passphrase.ts";
import { Vault } from "../../mesh/vault/vault.ts";
import { readWrapped, wrappedHead } from "../../mesh/vault/wrapped-key.ts";
import { startKms, type KmsServer } from "../fleet/kms-server.ts";
import { startTransit, type TransitServer } from "../fleet/transit-server.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-key-source-"));
const [TOKEN, PASSPHRASE, VALUE] = ["hvs.token-of-the-tests", "a long enough passphrase", "value-of-the-credential"];
const tokenFile = join(root, "token");
const passphraseFile = join(root, "passphrase");
const AWS_KEY = "AKIDOFTHESETESTS1234:secret/key/of/these+tests";
const KMS_KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const awsKeyFile = join(root, "aws-key");
let server: TransitServer;
let kms: KmsServer;
before(async () => {
  [server, kms] = await Promise.all([startTransit(TOKEN), startKms(AWS_KEY, [KMS_KEY])]);
  writeFileSync(awsKeyFile, `${AWS_KEY}\n`, { mode: 0o600 });
  writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
  writeFileSync(passphraseFile, `${PASSPHRASE}\n`, { mode: 0o600 });
});
after(() => {
  server.close();
  kms.close();
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
    protection: () => byServiceOf(transit()),
  },
  {
    name: "AWS KMS",
    options: { "vault-token-file": awsKeyFile },
    protection: () => byServiceOf(byKms()),
  },
];
const transit = (): MeshOptions => ({ transit: server.address, "vault-token-file": tokenFile });
const byKms = (): MeshOptions => ({ kms: KMS_KEY, "kms-endpoint": kms.address, "vault-token-file": awsKeyFile });

async function byServiceOf(options: MeshOptions): Promise<Protection> {
  const token = heldToken(options);
  return serviceProtection(options, randomBytes(32), token).finally(() => token.erase());
}

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
      kms.trouble = "down";
      await rotateMasterKey(state, each.vault, each.key, "test").finally(() => {
        server.trouble = "";
        kms.trouble = "";
      });
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
    for (const secret of [
      TOKEN,
      AWS_KEY.split(":")[1] ?? "",
      PASSPHRASE,
      VALUE,
      master.toString("base64"),
      master.toString("hex"),
    ])
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

/** Of what a server does each time, what is told; the secret with which it is asked is not. */
async function assertNothingOpens<T extends string>(
  source: (typeof sources)[number],
  asked: { trouble: T },
  secret: string,
  troubles: readonly (readonly [T, RegExp])[],
): Promise<void> {
  const state = await stateWith(source);
  for (const [trouble, wanted] of troubles) {
    asked.trouble = trouble;
    await assert.rejects(
      opened(state, source.options, () => undefined),
      (error: Error) => wanted.test(error.message) && !error.message.includes(secret),
      trouble,
    );
  }
}

test("a server that is away, sealed, refuses, answers nonsense or another key: nothing opens, and nothing is told of it", async () => {
  await assertNothingOpens(byServer, server, TOKEN, [
    ["down", /did not answer/],
    ["sealed", /refused to decrypt with the key `cordon` \(503\)/],
    ["redirect", /\(307\)/],
    ["html", /did not answer: an answer that is no JSON/],
    ["empty", /without a plaintext/],
    ["short", /something that is no key/],
    ["another", /does not open with the key that/],
  ]);
  server.trouble = "";
  const state = await stateWith(byServer);
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
    await assert.rejects(byServiceOf({ transit: server.address, "vault-token-file": path }), CommandError, path);
  for (const address of ["http://vault.example:8200", "vault.example", "https://a b", "https://u:p@v", "ftp://v"])
    await assert.rejects(byServiceOf({ ...transit(), transit: address }), /no https address/);
  for (const more of [{ "transit-key": "../x" }, { "transit-mount": "/t" }, { "transit-namespace": "a b" }])
    await assert.rejects(byServiceOf({ ...transit(), ...more }), /no name of a mount/);
  assert.equal(server.asked.length, asked);
});

test("a server that does not unwrap what it has wrapped gets no key to keep", async () => {
  server.trouble = "another";
  await assert.rejects(byServiceOf(transit()), /unwraps another key/);
  server.trouble = "";
});

test("AWS KMS that is away, refuses, answers nonsense or another key: nothing opens, and nothing is told of it", async () => {
  const source = sources[3]!;
  await assertNothingOpens(source, kms, AWS_KEY.slice(-12), [
    ["down", /did not answer/],
    ["denied", /refused to Decrypt with the key `arn:aws:kms:[^`]+` \(400, AccessDeniedException\)/],
    ["redirect", /\(307\)/],
    ["html", /did not answer: an answer that is no JSON/],
    ["empty", /without a plaintext/],
    ["short", /something that is no key/],
    ["another", /does not open with the key that/],
  ]);
  for (const [trouble, wanted] of [
    ["another", /unwraps another key/],
    ["empty", /without a ciphertext/],
  ] as const) {
    kms.trouble = trouble;
    await assert.rejects(byServiceOf(byKms()), wanted);
  }
  kms.trouble = "";
  const state = await stateWith(source);
  const wrong = join(root, "wrong-aws");
  writeFileSync(wrong, `${AWS_KEY.slice(0, -1)}x`, { mode: 0o600 });
  await assert.rejects(
    opened(state, { "vault-token-file": wrong }, () => undefined),
    /InvalidSignatureException/,
  );
  await assert.rejects(
    opened(state, byServer.options, () => undefined),
    /holds no AWS key/,
  );
  await opened(state, source.options, assertWhole);
});

test("what AWS KMS wrapped for another purpose or key opens nothing, and a place that is none is not asked", async () => {
  const source = sources[3]!;
  const state = await stateWith(source);
  const file = join(state, KEY_FILE);
  const bytes = readFileSync(file);
  const read = readWrapped(bytes);
  assert.ok(read);
  const box = bytes.subarray(read.head.length);
  const refused = async (change: object, wanted: RegExp): Promise<void> => {
    writeFileSync(file, Buffer.concat([wrappedHead({ ...read.wrapped, ...change }), box]));
    await assert.rejects(
      opened(state, source.options, () => undefined),
      wanted,
    );
  };
  await refused({ ciphertext: kms.wrapped({ purpose: "something else" }) }, /InvalidCiphertextException/);
  await refused({ key: KMS_KEY.replace("1234abcd", "9999abcd") }, /NotFoundException/);
  const asked = kms.asked.length;
  await refused({ address: "http://kms.example" }, /clear text/);
  await refused({ key: "arn:aws:s3:::bucket" }, /no ARN of a key/);
  for (const more of [{ kms: "1234abcd" }, { "kms-endpoint": "http://kms.example" }, { transit: server.address }])
    await assert.rejects(byServiceOf({ ...byKms(), ...more }), /no ARN|no https address|two services/);
  assert.equal(kms.asked.length, asked);
  assert.ok(kms.asked.every((each) => /^TrentService\.(Encrypt|Decrypt)$/.test(each)));
});

test("who changes the service that wraps a key does not give the one the token of the other", async () => {
  const asked = server.asked.length;
  const state = await stateWith(byServer);
  const since = server.asked.length;
  assert.ok(since > asked);
  await assert.rejects(keyOpenerOf(state, byKms()), /another service wraps the vault key/);
  assert.equal(server.asked.length, since);
});

test("the address of AWS KMS follows from the key's region and partition", () => {
  for (const [arn, address] of [
    [KMS_KEY, "https://kms.eu-central-1.amazonaws.com"],
    ["arn:aws-cn:kms:cn-north-1:111122223333:alias/cordon", "https://kms.cn-north-1.amazonaws.com.cn"],
    ["arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1a", "https://kms.us-gov-west-1.amazonaws.com"],
  ] as const)
    assert.equal(kmsRegionOf(arn)?.address, address);
  for (const arn of ["", "cordon", `${KMS_KEY}/..`, KMS_KEY.replace("eu-central-1", "evil.example#-1")])
    assert.equal(kmsRegionOf(arn), undefined, arn);
});
