/** What `cordon init` writes. `mayStand`: a file of the user's that is completed, not refused. */
export interface StarterFile {
  readonly path: string;
  readonly text: string;
  readonly mayStand: boolean;
}

export const starterFiles = (fleet: string): readonly StarterFile[] => [
  { path: "cordon.yaml", text: fleetFile(fleet), mayStand: false },
  { path: "prompts/assistant.md", text: PROMPT, mayStand: false },
  { path: ".gitignore", text: ".cordon/\n", mayStand: true },
];

const fleetFile = (fleet: string): string => `# A fleet of one. \`cordon check\` finds mistakes; \`cordon up\` runs it.
version: 1
fleet: ${fleet}

defaults:
  # The rehearsal model is a script that needs no key: \`echo\` answers with your own words.
  # For a real one, for example:  cordon credential add anthropic
  # and then                      model: anthropic/claude-sonnet-4-5
  model: rehearsal/echo
  # A wall, not an alarm: a call that could pass it is not made.
  budget: { day: { tokens: 200k, usd: 2.00 }, month: { usd: 20.00 } }
  # Every agent gets a sandbox without network, of this size.
  sandbox: { memory: 384MiB, cpus: 0.15, pids: 256, disk: 64MiB, isolation: container }

agents:
  assistant:
    instructions: prompts/assistant.md
    # What is not listed here is denied.
    may:
      message: []
      blackboard: { read: ["notes/**"], write: ["notes/*"] }
      tools: []
`;

const PROMPT = `You are a helpful assistant. Answer briefly and in plain words.

You can keep notes on the blackboard under \`notes/\`. You have no network and no files but your own;
if a task needs more than that, say so.
`;
