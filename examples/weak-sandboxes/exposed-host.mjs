// Weak: the host's temporary folder is shown inside, and so is a socket that speaks as a container engine does.
import { chmodSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch } from "./container.mjs";

await launch(async (config, bundle) => {
  // Not a real engine: this one can only say its version.
  const socket = join(bundle, "engine.sock");
  const engine = createServer((_, response) => response.end('{"Version":"0"}'));
  await new Promise((resolve) => engine.listen(socket, resolve));
  chmodSync(socket, 0o666);
  config.mounts.push(
    { type: "bind", source: tmpdir(), destination: "/host", options: ["bind", "ro"] },
    { type: "bind", source: socket, destination: "/var/run/docker.sock", options: ["bind"] },
  );
  return () => engine.close();
});
