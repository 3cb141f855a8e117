/**
 * Models for which a second list of prices names a dearer one than the list in use: the dearer holds until both
 * agree. US dollars for a million tokens. A test compares both lists and fails when an entry is missing here.
 */
export const dearer: Readonly<Record<string, { readonly input: number; readonly output: number }>> = {
  "mistral/mistral-small-latest": { input: 0.15, output: 0.6 },
  "together/meta-llama/Llama-3.3-70B-Instruct-Turbo": { input: 1.04, output: 1.04 },
  "together/meta-llama/Meta-Llama-3-8B-Instruct-Lite": { input: 0.14, output: 0.14 },
};
