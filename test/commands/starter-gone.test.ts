/** A mesh that a command has started in the foreground does not outlive it, however the command ends. */
import assert from "node:assert/strict";
import test from "node:test";
import { eventually } from "../fleet/running-mesh.ts";
import { assertDone } from "./failure.ts";
import { echoFleet, openHome } from "./cordon.ts";

test("a command that is killed takes its mesh along, and the next start works", async () => {
  const home = openHome(echoFleet("killed-starter"));
  try {
    const up = home.start(["up"]);
    await eventually("the fleet", async () => (up.said().includes("assistant") ? true : undefined));
    assertDone(await home.cordon(["status"]));
    up.kill();
    await up.finished;
    const gone = await eventually("the end of the mesh", async () => {
      const { code, stderr } = await home.cordon(["status"]);
      return code === 0 ? undefined : stderr;
    });
    assert.match(gone, /no mesh is running/);
    assertDone(await home.cordon(["up", "-d"]));
  } finally {
    await home.close();
  }
});
