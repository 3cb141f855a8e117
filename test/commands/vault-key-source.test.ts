/** The vault key as a user protects it: by a server that wraps it, and by what a program of the system's keyring prints. */
import assert from "node:assert/strict";
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startKms } from "../fleet/kms-server.ts";
import { startTransit, type TransitServer } from "../fleet/transit-server.ts";
import { openHome, type Finished, type Home } from "./cordon.ts";

const [TOKEN, VALUE] = ["hvs.token-of-the-tests", "sk-canary-of-the-tests"];
let server: TransitServer;
let home: Home;
before(async () => {
  server = await startTransit(TOKEN);
  home = openHome({ token: `${TOKEN}\n` });
  chmodSync(join(home.folder, "token"), 0o600);
});
after(async () => {
  await home.close();
  server.close();
});

function done({ code, stdout, stderr }: Finished): string {
  assert.deepEqual([code, stderr], [0, ""]);
  return stdout;
}

test("a key that a server wraps: protect, use, rotate, wrap anew, and back", async () => {
  const key = (): string => readFileSync(join(home.state, "vault.key"), "latin1");
  const token = ["--vault-token-file", "token"];
  done(await home.cordon(["credential", "add", "openai"], { input: VALUE }));
  const early = await home.cordon(["credential", "list", ...token]);
  assert.match(early.stderr, /opens without it/);
  const protect = ["vault", "protect", "--transit", server.address, ...token];
  assert.match(done(await home.cordon(protect)), /opens through http:\/\/127\.0\.0\.1:\d+ only/);
  assert.ok(key().startsWith("cordon-key/transit/1\n") && !key().includes(TOKEN));
  const closed = await home.cordon(["credential", "list"]);
  assert.deepEqual(closed.code, 1);
  assert.match(closed.stderr, /opens with the key `cordon`.*give `--vault-token-file FILE`/s);
  assert.match(done(await home.cordon(["credential", "list", ...token])), /openai/);
  done(await home.cordon(["vault", "rotate", ...token]));
  const rotated = key();
  done(await home.cordon(protect));
  assert.notEqual(key(), rotated);
  assert.match(done(await home.cordon(["audit", "verify", ...token])), /whole|intact|ok/i);
  server.trouble = "down";
  const away = await home.cordon(["credential", "list", ...token]);
  server.trouble = "";
  assert.ok(away.code === 1 && /did not answer/.test(away.stderr) && !away.stderr.includes(TOKEN));
  done(await home.cordon(["vault", "unprotect", ...token]));
  assert.equal(key().length, 32);
  assert.match(done(await home.cordon(["credential", "list"])), /openai/);
});

test("a key that AWS KMS wraps: protect, use, and back, with the key of AWS from a pipe", async () => {
  const awsKey = "AKIDOFTHESETESTS1234:secret/key/of/these+tests";
  const arn = "arn:aws:kms:eu-central-1:111122223333:alias/cordon";
  const kms = await startKms(awsKey, [arn]);
  try {
    const token = piped("--vault-token-file", awsKey);
    done(await home.cordon(["credential", "add", "mistral"], { input: VALUE }));
    const protect = ["vault", "protect", "--kms", arn, "--kms-endpoint", kms.address];
    assert.match(done(await home.cordon(protect, token)), /opens through arn:aws:kms:.* only/);
    const key = readFileSync(join(home.state, "vault.key"), "latin1");
    assert.ok(key.startsWith("cordon-key/aws-kms/1\n") && !key.includes(awsKey.slice(-12)));
    assert.match(done(await home.cordon(["credential", "list"], token)), /mistral/);
    assert.match((await home.cordon(["credential", "list"])).stderr, /give `--vault-token-file FILE`/);
    done(await home.cordon(["vault", "unprotect"], token));
  } finally {
    kms.close();
  }
});

/** As `secret-tool lookup …` or `security find-generic-password … -w` would print it. */
const piped = (option: string, printed: string) => ({
  under: ["bash", "-c", `exec "$@" ${option} <(printf '%s\\n' '${printed}')`, "bash"],
});

test("a token that a program prints into a pipe wraps the key and opens it", async () => {
  const token = piped("--vault-token-file", TOKEN);
  done(await home.cordon(["credential", "add", "groq"], { input: VALUE }));
  done(await home.cordon(["vault", "protect", "--transit", server.address], token));
  assert.match(done(await home.cordon(["credential", "list"], token)), /groq/);
  const key = (): string => readFileSync(join(home.state, "vault.key"), "latin1");
  const wrapped = key();
  done(await home.cordon(["vault", "protect", "--transit", server.address], token));
  assert.notEqual(key(), wrapped, "one that is wrapped is wrapped anew: the pipe is read once for both");
  done(await home.cordon(["vault", "unprotect"], token));
});

test("a passphrase that a program prints into a pipe of the shell opens the key, and is in no file", async () => {
  done(await home.cordon(["vault", "protect"], piped("--new-passphrase-file", "from the keyring of the system")));
  const list = ["credential", "list"];
  assert.match(done(await home.cordon(list, piped("--passphrase-file", "from the keyring of the system"))), /openai/);
  assert.match((await home.cordon(list, piped("--passphrase-file", "from another keyring"))).stderr, /another one/);
  assert.match((await home.cordon(list)).stderr, /protected by a passphrase/);
  done(await home.cordon(["vault", "unprotect"], piped("--passphrase-file", "from the keyring of the system")));
  const expecting = await home.cordon(list, piped("--passphrase-file", "from the keyring of the system"));
  assert.match(expecting.stderr, /opens without it.*protect it with/s);
});
