import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { it } from "node:test";
import { alwaysTold, callNames } from "./telling-calls.ts";

/** Where linux-libc-dev is installed: the kernel's own numbers. */
const headers = {
  x64: "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
  arm64: "/usr/include/asm-generic/unistd.h",
} as const;

for (const [architecture, header] of Object.entries(headers))
  it(`has the kernel's numbers of ${architecture}`, { skip: !existsSync(header) && "no kernel headers" }, () => {
    const numbers = new Map(
      [...readFileSync(header, "latin1").matchAll(/^#define __NR(?:3264)?_(\w+)\s+(\d+)$/gm)].map(
        ([, name = "", number]) => [name, Number(number)] as const,
      ),
    );
    assert.ok(numbers.size > 200);
    const names = callNames(architecture);
    for (const [number, name] of names) assert.equal(numbers.get(name), number, name);
    // What this architecture has must be named.
    const lacking = alwaysTold.filter((name) => numbers.has(name) && ![...names.values()].includes(name));
    assert.deepEqual(lacking, []);
  });

it("has none of an architecture that nobody has looked at", () => assert.equal(callNames("riscv64").size, 0));
