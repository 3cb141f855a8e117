import assert from "node:assert/strict";
import type { Finished } from "./cordon.ts";

/** A failure as people are to meet it: no success, what is wrong, and what to do about it; never a stack. */
export function assertFails(run: Finished, what: RegExp, fix: RegExp, code = 1): void {
  const all = `${run.stdout}${run.stderr}`;
  assert.equal(run.code, code, all);
  assert.match(run.stderr, what);
  const remedy = /^ *fix: (.+)$/m.exec(run.stderr)?.[1];
  assert.ok(remedy, `no fix is named: ${all}`);
  assert.match(run.stderr.slice(run.stderr.indexOf("fix: ")), fix);
  assert.doesNotMatch(all, /defect of cordon|fault:|^ +at /m);
}

export function assertDone(run: Finished): string {
  assert.equal(run.code, 0, `${run.stdout}${run.stderr}`);
  return run.stdout;
}
