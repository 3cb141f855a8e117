/** Parts of fleet files for tests. */
export const AGENT = "{ model: rehearsal/echo, command: [/bin/a] }";
export const HEAD = "version: 1\nfleet: f\n";
export const file = (agent: string, more = ""): string => `${HEAD}agents:\n  a: ${agent}\n${more}`;

/** Every fault: the text, then where it stands, what is wrong and how to mend it. */
export const faults: readonly (readonly [name: string, text: string, expected: RegExp])[] = [
  ["nothing", "", /^1:1 the file is missing or empty/],
  ["not a mapping", "- a", /^1:1 the file has the wrong type/],
  ["broken yaml", `${HEAD}agents: [`, /^3:10 .* -> correct the YAML/],
  ["no version", `fleet: f\nagents: { a: ${AGENT} }`, /^1:1 `version`/],
  ["other version", file(AGENT).replace("1", "2"), /^1:10 `version` .* -> expected one of `1`$/],
  [
    "unknown key at the root",
    file(AGENT, "bugdet: {}"),
    /^5:1 unknown key `bugdet` in the file -> did you mean `budget`\?$/,
  ],
  [
    "unknown key inside",
    file("{ model: rehearsal/echo, command: [/a], zzzzzzzz: 1 }"),
    /^4:46 unknown key `zzzzzzzz` in `agents\.a` -> remove it$/,
  ],
  [
    "wrong type",
    file("{ model: 5, command: [/a] }"),
    /^4:15 `agents\.a\.model` has the wrong type -> expected string$/,
  ],
  ["no agent", `${HEAD}agents: {}`, /^3:9 .* -> must name at least one agent$/],
  ["bad name", `${HEAD}agents: { Bad_Name: ${AGENT} }`, /^3:11 `Bad_Name` is not a name -> must be lower-case/],
  [
    "unknown peer",
    file("{ model: rehearsal/echo, command: [/a], may: { message: [b] } }"),
    /^4:63 no agent `b` -> did you mean `a`\?$/,
  ],
  [
    "itself as peer",
    file("{ model: rehearsal/echo, command: [/a], may: { message: [a] } }"),
    /^4:63 `a` may not message itself -> remove it$/,
  ],
  [
    "unknown tool",
    file("{ model: rehearsal/echo, command: [/a], may: { tools: [shell] } }"),
    /^4:61 .* -> expected one of `files\.list`/,
  ],
  [
    "board as tool",
    file("{ model: rehearsal/echo, command: [/a], may: { tools: [board.read] } }"),
    /^4:61 `board\.read` is granted by .* -> remove it/,
  ],
  [
    "tool without folder",
    file("{ model: rehearsal/echo, command: [/a], may: { tools: [files.read] } }"),
    /^4:61 .* no folder to serve -> set `files\.read`$/,
  ],
  [
    "reach",
    file("{ model: rehearsal/echo, command: [/a], may: { reach: [x.com] } }"),
    /^4:61 `x\.com` is not a place -> write `https:\/\/HOST`/,
  ],
  [
    "use",
    file("{ model: rehearsal/echo, command: [/a], may: { use: [key] } }"),
    /^4:59 `key` has no binding -> say under `bindings`/,
  ],
  [
    "glob",
    file("{ model: rehearsal/echo, command: [/a], may: { blackboard: { read: [../x] } } }"),
    /^4:74 .* -> must be a board key/,
  ],
  ["no model", file("{ command: [/a] }"), /^4:6 `a` has no model -> set `model` here or under `defaults`/],
  [
    "unknown provider",
    file("{ model: antropic/x, command: [/a] }"),
    /^4:15 unknown provider `antropic` -> did you mean `anthropic`\?$/,
  ],
  [
    "model without provider",
    file("{ model: gpt, command: [/a] }"),
    /^4:15 no model `gpt` -> declare it under `models`/,
  ],
  [
    "unknown member of a team",
    file(AGENT, "teams: { t: { members: [aa] } }"),
    /^5:25 no agent `aa` -> did you mean `a`\?$/,
  ],
  ["member named twice", file(AGENT, "teams: { t: { members: [a, a] } }"), /^5:28 `a` is named twice -> name it once$/],
  [
    "unknown member of a tenant",
    file(AGENT, "tenants: { t: { members: [aa] } }"),
    /^5:27 no agent `aa` -> did you mean `a`\?$/,
  ],
  [
    "member named twice in a tenant",
    file(AGENT, "tenants: { t: { members: [a, a] } }"),
    /^5:30 `a` is named twice -> name it once$/,
  ],
  [
    "member of two tenants",
    file(AGENT, "tenants: { t: { members: [a] }, u: { members: [a] } }"),
    /^5:48 `a` is of the tenant `t` already -> an agent has one tenant/,
  ],
  [
    "tenant with an unknown key",
    file(AGENT, "tenants: { t: { members: [a], budgt: {} } }"),
    /^5:31 unknown key `budgt` in `tenants\.t` -> did you mean `budget`\?$/,
  ],
  [
    "rolling window without a unit",
    file(AGENT, "budget: { rolling: { '6': { tokens: 1 } } }"),
    /^5:22 .* must be a time from `1m` to `31d`/,
  ],
  ["cap below zero", file(AGENT, "budget: { day: { requests: -1 } }"), /^5:28 /],
  ["bytes without a unit", file(AGENT, "budget: { to: { openai: { day: { bytes: 10 } } } }"), /^5:41 .* needs a unit/],
  ["alias of nothing", file(AGENT, "models: { fast: nobody/x }"), /^5:17 unknown provider `nobody`/],
  ["chain of nothing", file(AGENT, "models: { big: { chain: [] } }"), /^5:25 .* -> must name at least one model$/],
  [
    "chain too long",
    file(AGENT, `models: { big: { chain: [${"openai/x, ".repeat(9)}] } }`),
    /^5:25 .* -> must name at most 8 models$/,
  ],
  [
    "chain of an unknown provider",
    file(AGENT, "models: { big: { chain: [rehearsal/echo, opnai/x] } }"),
    /^5:42 unknown provider `opnai` -> did you mean `openai`\?$/,
  ],
  [
    "chain of an unknown name",
    file(AGENT, "models: { big: { chain: [smal] }, small: rehearsal/echo }"),
    /^5:26 no model `smal` -> did you mean `small`\?$/,
  ],
  [
    "chain that leads back",
    file(AGENT, "models: { a: { chain: [rehearsal/echo, b] }, b: { chain: [openai/x, a] } }"),
    /^5:69 the chain leads back to `a`: a → b → a -> remove this link$/,
  ],
  [
    "chain that leads to itself",
    file(AGENT, "models: { a: { chain: [rehearsal/echo, a] } }"),
    /^5:40 the chain leads back to `a`: a → a -> remove this link$/,
  ],
  [
    "chain that names a model twice",
    file(AGENT, "models: { a: { chain: [rehearsal/echo, s] }, s: rehearsal/echo }"),
    /^5:23 `a` names a model twice -> name it once$/,
  ],
  [
    "chain with an unknown key",
    file(AGENT, "models: { a: { chain: [rehearsal/echo], dedline: 1m } }"),
    /^5:41 unknown key `dedline` in `models\.a` -> did you mean `deadline`\?$/,
  ],
  [
    "chain with a deadline beyond all bounds",
    file(AGENT, "models: { a: { chain: [rehearsal/echo], deadline: 1h } }"),
    /^5:51 .* -> must be from `1s` to `600s`$/,
  ],
  [
    "credential named twice",
    file(AGENT, "providers: { openai: { credential: [a, a] } }"),
    /^5:36 a credential is named twice -> name it once$/,
  ],
  [
    "no credential in a list",
    file(AGENT, "providers: { openai: { credential: [] } }"),
    /^5:36 .* -> must name at least one credential$/,
  ],
  ["nothing to run", file("{ model: rehearsal/echo }"), /^4:6 an agent needs `instructions` or `command` -> add/],
  [
    "command not absolute",
    file("{ model: rehearsal/echo, command: [sh] }"),
    /^4:40 .* -> must start with an absolute path/,
  ],
  [
    "instructions missing",
    file("{ model: rehearsal/echo, instructions: b.md }"),
    /^4:45 `b\.md` is not a file -> create it/,
  ],
  ["instructions a folder", file("{ model: rehearsal/echo, instructions: texts }"), /^4:45 `texts` is not a file/],
  [
    "instructions too long",
    file("{ model: rehearsal/echo, instructions: long.md }"),
    /^4:45 instructions are too long -> at most 65536 bytes$/,
  ],
  [
    "instructions unreadable",
    file("{ model: rehearsal/echo, instructions: /proc/self/mem }"),
    /^4:45 .* cannot be read/,
  ],
  ["code missing", file("{ model: rehearsal/echo, command: [/a], code: nowhere }"), /^4:52 `nowhere` is not a folder/],
  ["files missing", file(AGENT, "files: { read: nowhere }"), /^5:16 `nowhere` is not a folder/],
  ["rehearsal missing", file(AGENT, "rehearsal: nowhere.yaml"), /^5:12 `nowhere\.yaml` is not a file/],
  ["memory without unit", file(AGENT, "defaults: { sandbox: { memory: 384 } }"), /^5:32 .* -> `384` needs a unit/],
  [
    "memory of a wrong unit",
    file(AGENT, "defaults: { sandbox: { memory: 384mb } }"),
    /^5:32 .* -> `384mb` is not of the form/,
  ],
  ["memory too small", file(AGENT, "defaults: { sandbox: { memory: 1MiB } }"), /^5:32 .* -> must be at least `64MiB`/],
  ["disk too small", file(AGENT, "defaults: { sandbox: { disk: 1kB } }"), /^5:30 .* -> must be at least `1MiB`/],
  ["cpus", file(AGENT, "defaults: { sandbox: { cpus: 0 } }"), /^5:30 .*cpus/],
  ["pids", file(AGENT, "defaults: { sandbox: { pids: 1.5 } }"), /^5:30 .*pids/],
  ["backend not known", file(AGENT, "backend: podman"), /^5:10 .* -> expected one of `oci`, `docker`/],
  [
    "docker not used",
    file(AGENT, "docker: { socket: /run/d.sock }"),
    /^5:\d+ `docker` is set .* -> add `backend: docker`/,
  ],
  ["docker socket relative", file(AGENT, "backend: docker\ndocker: { socket: d.sock }"), /^6:\d+ .*absolute path/],
  [
    "isolation not known",
    file(AGENT, "defaults: { sandbox: { isolation: none } }"),
    /^5:35 .* -> expected one of `container`/,
  ],
  [
    "money with a unit",
    file(AGENT, "budget: { day: { usd: $2 } }"),
    /^5:23 .* -> `\$2` is not an amount in US dollars/,
  ],
  ["money below nothing", file(AGENT, "budget: { day: { usd: -2 } }"), /^5:23 .* -> `-2` is not an amount/],
  ["tokens", file(AGENT, "budget: { day: { tokens: 2x } }"), /^5:26 .* -> `2x` is not of the form/],
  [
    "tokens as a list",
    file(AGENT, "budget: { day: { tokens: [2] } }"),
    /^5:26 .* has the wrong type -> expected a number or a text/,
  ],
  ["time zone", file(AGENT, "time_zone: Mars/Olympus"), /^5:12 .* -> must be an IANA time zone/],
  [
    "built-in provider",
    file(AGENT, "providers: { openai: { api: openai, base_url: http://x/v1, price: { input: 1, output: 1 } } }"),
    /^5:\d+ `openai` is a built-in provider -> choose another name, or state its `credential` only$/,
  ],
  ...["http://models.example/v1", "http://10.0.0.5:8000/v1", "http://localhost.example/v1"].map(
    (url) =>
      [
        `credential in the clear to ${url}`,
        file(
          AGENT,
          `providers: { own: { api: openai, base_url: "${url}", credential: own, price: { input: 1, output: 1 } } }`,
        ),
        /^5:44 the credential would travel in clear text -> use https/,
      ] as const,
  ),
  [
    "provider without price",
    file(AGENT, "providers: { own: { api: openai, base_url: http://x/v1 } }"),
    /^5:\d+ `providers\.own\.price` is missing/,
  ],
  ...["nonsense", "ftp://x/v1", "http://u:p@x/v1", "http://x/v1?key=1", "http://x/v1#a", "'http://x/ v1'"].map(
    (url) =>
      [
        `base url ${url}`,
        file(AGENT, `providers: { own: { api: openai, base_url: ${url}, price: { input: 1, output: 1 } } }`),
        /^5:44 .* -> must be an http or https URL/,
      ] as const,
  ),
  ["the same key twice", file(AGENT, "fleet: g"), /^5:1 the key `fleet` is there twice -> remove one of them$/],
  ["the same agent twice", `${HEAD}agents:\n  a: ${AGENT}\n  "a": ${AGENT}\n`, /^5:3 the key `a` is there twice/],
  ["an alias", file(AGENT, "rehearsal: *x"), /^5:12 /],
  ["an anchor", file(`&x ${AGENT}`), /^4:9 anchors .* -> remove it$/],
  ["a merge key", file(AGENT, "defaults: { <<: { model: rehearsal/echo } }"), /^5:13 unknown key `<<`/],
  ["a core tag", file(AGENT).replace("version: 1", "version: !!int 1"), /^1:16 tags .* -> remove it$/],
  ["a tag of its own", file(AGENT).replace("version: 1", "version: !x 1"), /^1:10 unresolved tag/],
  ["billion laughs", `a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n`, /^1:7 anchors/],
  ["__proto__ at the root", file(AGENT, "__proto__: { fleet: g }"), /^5:1 the key `__proto__` is refused/],
  [
    "__proto__ as agent",
    `${HEAD}agents: { a: ${AGENT}, __proto__: ${AGENT} }`,
    /^3:\d+ the key `__proto__` is refused/,
  ],
  ["a list as key", file(AGENT, "? [a]\n: 1"), /^5:3 a key is a list or a mapping/],
  ["two documents", `${file(AGENT)}---\n${file(AGENT)}`, /^5:1 /],
  ["deep nesting", `a: ${"[".repeat(40)}${"]".repeat(40)}`, /^1:\d+ nested too deeply/],
  ["very deep nesting", `a: ${"[".repeat(5_000)}`, /^1:\d+ nested too deeply/],
];
