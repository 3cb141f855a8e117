// The other sandbox: listens on an abstract socket that the probe must not reach.
import net from "node:net";

net.createServer((socket) => socket.destroy()).listen("\0cordon-probe-sibling", () => console.log("ready"));
