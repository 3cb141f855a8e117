/** Whom the mesh trusts outside: its runtime's authorities and the user's own, both at once. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { OutsideAuthority, startOutside } from "../fleet/web-place.ts";

const dialer = new URL("../../mesh/egress/web/dialer.ts", import.meta.url).href;

/** What comes of a dial by a process of its own: what its runtime trusts is fixed when it starts. */
async function dialled(
  context: TestContext,
  far: OutsideAuthority,
  extra: string,
  own: string | null,
): Promise<string> {
  const outside = await startOutside((_request, response) => response.end(), "api.test", far);
  context.after(() => outside.close());
  const folder = mkdtempSync(join(tmpdir(), "cordon-trust-"));
  context.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "extra.pem"), extra);
  const script = `
import { dialTls, trustOf } from ${JSON.stringify(dialer)};
const to = { addresses: ["127.0.0.1"], port: ${outside.port} };
const told = await dialTls(to, "api.test", trustOf(${JSON.stringify(own)})).then((socket) => { socket.destroy(); return "trusted"; }, ({ code }) => code);
console.log(told);`;
  const child = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script],
    {
      env: { NODE_EXTRA_CA_CERTS: join(folder, "extra.pem") },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let out = "";
  for await (const piece of child.stdout as AsyncIterable<Buffer>) out += piece.toString();
  return out.trim();
}

test("an authority of the runtime stays one beside the user's own, and a stranger is none", async (context) => {
  const [extra, own, stranger] = [new OutsideAuthority(), new OutsideAuthority(), new OutsideAuthority()];
  assert.equal(await dialled(context, extra, extra.pem, own.pem), "trusted");
  assert.equal(await dialled(context, own, extra.pem, own.pem), "trusted");
  assert.equal(await dialled(context, extra, extra.pem, null), "trusted");
  assert.match(await dialled(context, stranger, extra.pem, own.pem), /UNABLE_TO|SELF_SIGNED/);
});
