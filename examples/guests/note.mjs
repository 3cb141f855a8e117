// The task's second tool, as any agent would have it: a tool of an MCP server whose address is in the environment.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

/** Writes `text` down under the guest's name; returns the version. */
export async function note(guest, text) {
  const client = new Client({ name: guest, version: "1.0.0" });
  await client.connect(new StreamableHTTPClientTransport(new URL(process.env.CORDON_MCP_URL)));
  const args = { key: `guests/${guest}`, value: text };
  const { isError, content, structuredContent } = await client.callTool({ name: "board_write", arguments: args });
  await client.close();
  if (isError) throw new Error(content[0].text);
  return `noted as version ${structuredContent.version}`;
}

export const QUESTION = "What is the weather in Paris? Note it down.";
export const MODEL = process.argv[2];
