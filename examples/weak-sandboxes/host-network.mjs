// Weak: the container shares the host's network, and with it its loopback and its abstract sockets.
import { launch } from "./container.mjs";

await launch(({ linux }) => {
  linux.namespaces = linux.namespaces.filter(({ type }) => type !== "network");
});
