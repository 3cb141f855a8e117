// The other container: listens wherever it can, and must not be found. Ends by itself when nobody ends it.
import { readFileSync } from "node:fs";
import net from "node:net";

const { nonce, sibling } = JSON.parse(readFileSync(new URL("target.json", import.meta.url), "utf8"));
const listen = (where) =>
  new Promise((resolve) => {
    const server = net.createServer((socket) => socket.on("error", () => {}).end());
    server.once("error", resolve);
    server.listen(where, resolve);
  });
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => process.exit(0));
await listen({ path: `\0${sibling.abstract}` });
await listen({ port: sibling.port, host: "0.0.0.0" });
console.log(JSON.stringify({ cordon: nonce, id: "sibling-ready" }));
setTimeout(() => process.exit(0), sibling.lifetimeMs);
