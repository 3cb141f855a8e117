// A plain client of the Model Context Protocol: it knows the address of a server, and nothing else.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { tell } from "../tell.mjs";

for (const mode of ["legacy", "auto"]) {
  const client = new Client({ name: "guest", version: "1.0.0" }, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL(process.env.CORDON_MCP_URL)));
  const { tools } = await client.listTools();
  const call = async (name, args) => {
    const { isError = false, structuredContent, content } = await client.callTool({ name, arguments: args });
    return isError ? content[0].text : structuredContent;
  };
  const written = await call("board_write", { key: `mcp/${mode}`, value: "a note" });
  const read = await call("board_read", { key: `mcp/${mode}` });
  const denied = await call("board_write", { key: "other/note", value: "x" });
  const malformed = await call("board_read", { key: "mcp/a", nonsense: 1 });
  const unknown = await client.callTool({ name: "files_read", arguments: { path: "a.txt" } });
  tell({
    step: mode,
    tools: tools.map(({ name }) => name).toSorted(),
    written,
    read,
    denied,
    malformed,
    unknown: unknown.isError,
    revision: client.getNegotiatedProtocolVersion(),
  });
  await client.close();
}
tell({ step: "done" });
setInterval(() => {}, 1e6);
