import { parseScenario } from "./parse.ts";
import type { Scenario } from "./scenario.ts";

const texts = {
  echo: `
version: 1
scenario: echo
about: Answers with the user's own words.
roles:
  anyone:
    steps:
      - step: give back the words of the user
        say: "{{ user.body }}"
`,
  counter: `
version: 1
scenario: counter
about: The words \`count N\` give exactly N tokens, one word each.
roles:
  anyone:
    steps:
      - step: count as far as the user asked
        say: "{{ user.text | count }}"
`,
};

/** Every rehearsal server has these; `fault` counts, too, until its fault comes in. */
export const builtInScenarios: readonly Scenario[] = [
  ...Object.values(texts).map(load),
  { ...load(texts.counter), name: "fault" },
];

function load(text: string): Scenario {
  const parsed = parseScenario(text);
  if (!parsed.ok) throw new Error(`a built-in scenario is malformed: ${parsed.error[0]?.message}`);
  return parsed.value;
}
