/** The break-out suite as people run it: nothing gets out of ours, and it sees the holes of three that are weak on purpose. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { AssaultReport } from "../../../protocol/assault.ts";
import { skipUnlessRoot } from "../../contract/sandbox-fixture.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "cordon-suite-"));
// As a temporary folder is: what is exposed of the host must be what any user may see.
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true, force: true }));

interface Run {
  readonly code: number | null;
  readonly report: AssaultReport;
  readonly text: string;
}

async function cordon(...args: readonly string[]): Promise<Run> {
  const json = join(folder, `report-${readdirSync(folder).length}.json`);
  const child = spawn(process.execPath, [join(root, "user/cli/main.ts"), "assault", "--json", json, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: folder, NO_COLOR: "1" },
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (text += piece.toString()));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  const report = existsSync(json)
    ? (JSON.parse(readFileSync(json, "utf8")) as AssaultReport)
    : { subject: "", results: [], fault: text };
  return { code, report, text };
}

const weak = (name: string): Promise<Run> =>
  cordon("--runtime-cmd", `'${process.execPath}' examples/weak-sandboxes/${name}.mjs {rootfs} {code} {command}`);
const holes = ({ report }: Run, grade: string): readonly string[] =>
  report.results.filter((each) => each.verdict === "out" && each.grade === grade).map(({ id }) => id);
const planted = (): readonly string[] => readdirSync(folder).filter((name) => !name.endsWith(".json"));

describe("cordon assault", { skip: skipUnlessRoot, timeout: 240_000 }, () => {
  it("gets out of nothing in the sandbox of this machine, and writes SARIF", async () => {
    const sarif = join(folder, "strong-sarif.json");
    const run = await cordon("--sarif", sarif);
    assert.equal(run.report.fault, undefined);
    assert.deepEqual(
      run.report.results.filter(({ verdict }) => verdict !== "stopped"),
      [],
    );
    assert.ok(run.report.results.length > 100);
    assert.equal(run.code, 0);
    assert.match(run.text, /it holds/);
    assert.match(readFileSync(sarif, "utf8"), /"version": "2\.1\.0"/);
    assert.deepEqual(planted(), []);
  });

  it("finds the host's network where it is shared, and nothing of the file system", async () => {
    const run = await weak("host-network");
    assert.equal(run.code, 1, run.text);
    const found = holes(run, "escape");
    for (const id of ["network-host-loopback", "network-abstract-host", "network-sibling", "network-abstract-sibling"])
      assert.ok(found.includes(id), `${id} is missing in ${found.join()}`);
    for (const id of ["arrived-a-tcp-connection", "arrived-a-connection-to-an-abstract-socket"])
      assert.ok(found.includes(id), `${id}: the host saw nothing`);
    assert.deepEqual(
      found.filter((id) => !/^(network|arrived)-/.test(id)),
      [],
    );
    assert.deepEqual(planted(), []);
  });

  it("finds every power that was left, and no way into a network that is not there", async () => {
    const run = await weak("all-powers");
    assert.equal(run.code, 1, run.text);
    for (const id of ["kernel-knobs", "kernel-sys-knobs"]) assert.ok(holes(run, "escape").includes(id), run.text);
    const missing = holes(run, "surface");
    for (const id of [
      ...["identity-root", "identity-capabilities", "identity-filter", "identity-new-privileges", "root-write"],
      ...["call-mount", "call-bpf", "call-unshare_user", "call-socket_packet", "flood-processes", "kernel-sys-visible"],
      // Not the processor: where tests run side by side nobody is given most of it.
      ...["flood-log", "flood-disk"],
    ])
      assert.ok(missing.includes(id), `${id} is missing in ${missing.join()}`);
    assert.deepEqual(
      holes(run, "escape").filter((id) => /^(network|arrived)-/.test(id)),
      [],
    );
  });

  it("finds the folder and the engine of the host that are shown inside", async () => {
    const run = await weak("exposed-host");
    assert.equal(run.code, 1, run.text);
    assert.deepEqual(holes(run, "escape").toSorted(), ["host-file", "network-engine"]);
  });

  it("has no verdict, and another exit code, where it could not run", async () => {
    for (const command of ["/bin/false {code} {command}", "/bin/echo {code} {command}", "/no/such {code} {command}"]) {
      const run = await cordon("--runtime-cmd", command);
      assert.equal(run.code, 2, run.text);
      assert.match(run.report.fault ?? "", /did not run/);
    }
    assert.equal((await cordon("--backend", "nothing")).code, 2);
    assert.equal((await cordon("--runtime-cmd", "run {image}")).code, 2);
    assert.deepEqual(planted(), []);
  });
});
