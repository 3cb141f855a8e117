import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { attempts, controls } from "./probe-attempts.ts";
import { fenceHolds, judge } from "./probe.ts";
import { rawCalls } from "./probe/elf.js";

const line = (attempt: string, stopped: boolean): string => JSON.stringify({ attempt, stopped, by: "x" });
const good = [...controls.map((name) => line(name, false)), ...attempts.map((name) => line(name, true))];

describe("the probe's verdict", () => {
  it("holds when every attempt was stopped and every control worked", () => {
    assert.equal(fenceHolds(judge(good, [])), true);
  });
  it("is broken by any one attempt that succeeded", () => {
    for (const name of attempts) {
      const lines = good.map((l) => (l === line(name, true) ? line(name, false) : l));
      assert.equal(fenceHolds(judge(lines, [])), false, name);
    }
  });
  it("is broken by any one line that is missing, also a control's", () => {
    for (const missing of good)
      assert.equal(
        fenceHolds(
          judge(
            good.filter((l) => l !== missing),
            [],
          ),
        ),
        false,
        missing,
      );
    assert.equal(fenceHolds(judge([], [])), false);
  });
  it("is broken by a control that failed", () => {
    for (const name of controls) {
      assert.equal(
        fenceHolds(
          judge(
            good.map((l) => (l === line(name, false) ? line(name, true) : l)),
            [],
          ),
        ),
        false,
        name,
      );
    }
  });
  it("is broken by a line nobody expects, a line twice, and by anything that arrived", () => {
    assert.equal(fenceHolds(judge([...good, "Segmentation fault"], [])), false);
    assert.equal(fenceHolds(judge([...good, line("a new attempt", true)], [])), false);
    assert.equal(fenceHolds(judge([...good, good.at(-1) ?? ""], [])), false);
    assert.equal(fenceHolds(judge([...good, good[0] ?? ""], [])), false);
    assert.equal(fenceHolds(judge(good, ["a datagram"])), false);
  });
});

describe("the probe's machine code", () => {
  it("is what an assembler makes of it", () => {
    // mov rdi,1 / mov rax,39 / syscall / movabs [0x600000],rax
    const x64 = rawCalls([[39, 1]], "x64")
      .subarray(64 + 112)
      .toString("hex");
    assert.ok(x64.startsWith("48bf010000000000000048b827000000000000000f0548a30000600000000000"), x64);
    // movz x0,#1 / movk … / movz x8,#172 / … / svc #0 / movz x9,#0 / movk x9,#0x60,lsl #16 / … / str x0,[x9]
    const arm64 = rawCalls([[172, 1]], "arm64")
      .subarray(64 + 112)
      .toString("hex");
    const words =
      "200080d2 0000a0f2 0000c0f2 0000e0f2 881580d2 0800a0f2 0800c0f2 0800e0f2 010000d4 090080d2 090caf2 0900c0f2 0900e0f2 200100f9";
    assert.ok(arm64.startsWith(words.replace("090caf2", "090ca0f2").replaceAll(" ", "")), arm64);
  });
});

it("every system call that the probe forbids is absent from the allow-list", async () => {
  const { seccompFor } = await import("./seccomp.ts");
  const { forbiddenCalls } = await import("./probe/raw-calls.js");
  const filter = seccompFor("x64") as { syscalls: { names: string[]; action: string; args?: unknown }[] };
  const open = filter.syscalls
    .filter((rule) => rule.action === "SCMP_ACT_ALLOW" && !rule.args)
    .flatMap((rule) => rule.names);
  const names = Object.keys(forbiddenCalls).map((name) =>
    name.replace(/^(socket|ioctl|prctl|unshare)_.*/, "$1").replace("clone_new_user", "clone"),
  );
  assert.ok(names.length > 50 && open.length > 150);
  assert.deepEqual(
    names.filter((name) => open.includes(name)),
    [],
  );
  assert.equal(new Set(open).size, open.length, "a name twice");
});

it("the probe's list and its code name the same system calls", async () => {
  const { forbiddenCalls } = await import("./probe/raw-calls.js");
  const named = attempts.filter((name) => name.startsWith("call ")).map((name) => name.slice(5));
  assert.deepEqual(named, Object.keys(forbiddenCalls));
  const code = ["network.js", "files.js"]
    .map((f) => readFileSync(new URL(`probe/${f}`, import.meta.url), "utf8"))
    .join("\n");
  for (const name of [...attempts, ...controls].filter((n) => !/call/.test(n)))
    assert.ok(code.includes(`"${name}"`), name);
});
