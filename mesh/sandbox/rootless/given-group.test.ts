import assert from "node:assert/strict";
import { it } from "node:test";
import { delegatedOf } from "./given-group.ts";
import { namespaceOf } from "./namespace.ts";

const APP = "/user.slice/user-1000.slice/user@1000.service/app.slice";

it("takes the operator's group, of its leaf and of itself, for nobody but the user it is for", () => {
  const given = { path: "/cordon-user-1000", by: "operator" };
  assert.deepEqual(delegatedOf("/cordon-user-1000", 1000), given);
  assert.deepEqual(delegatedOf("/cordon-user-1000/mesh", 1000), given);
  for (const other of ["/cordon-user-10000", "/cordon-user-100", "/x/cordon-user-1000", "/cordon-user-1000/mesh/mesh"])
    assert.equal(delegatedOf(other, 1000), null, other);
});

it("takes a scope that was made for a mesh by the manager of its user", () => {
  const path = `${APP}/cordon-mesh-421-1795442180.scope`;
  assert.deepEqual(delegatedOf(path, 1000), { path, by: "systemd" });
  assert.deepEqual(delegatedOf(`${path}/mesh`, 1000), { path, by: "systemd" });
  assert.equal(delegatedOf(path, 1001), null, "of another user's manager");
  assert.equal(delegatedOf(`${path}/other`, 1000), null);
  assert.equal(delegatedOf("/system.slice/cordon-mesh-1-1.scope", 1000), null, "of the machine's manager");
});

it("takes no group that is for something else, whoever owns it", () => {
  for (const own of [
    null,
    "",
    "/",
    "/mesh",
    `${APP}/terminal-1.scope`,
    `${APP}/cordon.service`,
    "/../cordon-user-1000",
  ])
    assert.equal(delegatedOf(own, 1000), null, String(own));
});

it("is where the sandboxes' groups go; where there is none, the operator's is looked for", () => {
  const map = "0 1000 1\n1 100000 65536\n";
  const scope = `${APP}/cordon-mesh-421-1795442180.scope`;
  assert.equal(namespaceOf(map, map, true, `${scope}/mesh`)?.cgroup, scope);
  assert.equal(namespaceOf(map, map, true, "/cordon-user-1000/mesh")?.cgroup, "/cordon-user-1000");
  assert.equal(namespaceOf(map, map, true, `${APP}/terminal-1.scope`)?.cgroup, "/cordon-user-1000");
  assert.equal(namespaceOf(map, map, true)?.cgroup, "/cordon-user-1000");
});
