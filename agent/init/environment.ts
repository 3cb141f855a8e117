import { relay } from "../../protocol/sandbox-paths.ts";

/** The environment in which this process was started. The only place of the agent zone that reads it. */
export function ownEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

const url = `http://${relay.host}:${relay.port}`;

/**
 * What makes an unmodified guest talk to the door. The keys are placeholders: clients insist on having one,
 * and the real key is put in outside the sandbox.
 */
const forGuests: Readonly<Record<string, string>> = {
  CORDON_URL: url,
  CORDON_MCP_URL: `${url}/mcp`,
  OPENAI_BASE_URL: `${url}/openai/v1`,
  OPENAI_API_KEY: "cordon_ph_openai",
  ANTHROPIC_BASE_URL: `${url}/anthropic`,
  ANTHROPIC_API_KEY: "cordon_ph_anthropic",
  GOOGLE_GEMINI_BASE_URL: `${url}/gemini`,
  GEMINI_API_KEY: "cordon_ph_gemini",
  GOOGLE_GENERATIVE_AI_API_KEY: "cordon_ph_gemini",
};
/** The fence's own, which is that of the minimal root file system; others have more folders. */
const MINIMAL_PATH = "/bin";
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The sandbox's environment plus what a guest needs; what the mesh has set itself wins. */
export function guestEnvironment(
  own: Readonly<Record<string, string | undefined>>,
  web: Readonly<Record<string, string>> = {},
): Record<string, string | undefined> {
  return { ...forGuests, ...web, ...own, ...(own["PATH"] === MINIMAL_PATH && { PATH: searchPath }) };
}
