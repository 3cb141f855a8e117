#!/bin/bash
# The shape of a coding agent: a shell, git, curl and npm on a working copy of its own, and a model that is asked by HTTP.
set -euo pipefail
model=$1
tell() { printf '{"kind":"guest","step":"%s","answer":"%s"}\n' "$1" "$2"; }
# An expression of JavaScript over the words behind it, and over the JSON of standard input.
make() { node -p "$@"; }
read_json() { node -p "JSON.parse(require('fs').readFileSync(0)).$1"; }

mkdir -p /data/project && cd /data/project
git init -q -b main .
git config user.name clerk && git config user.email clerk@example.invalid
cat > package.json <<'EOF'
{ "name": "weather", "version": "1.0.0", "type": "module", "scripts": { "test": "node --test" } }
EOF
cat > weather.mjs <<'EOF'
export const weather = () => "rainy";
EOF
cat > weather.test.mjs <<'EOF'
import { equal } from "node:assert";
import { test } from "node:test";
import { weather } from "./weather.mjs";
test("the weather", () => equal(weather(), "sunny"));
EOF
git add . && git commit -q --allow-empty -m "a weather module"

npm test > test.log 2>&1 && tell before passes || tell before fails

question="weather.mjs fails its test. Answer with the mended file alone.

$(cat weather.mjs weather.test.mjs)"
request=$(make 'JSON.stringify({ model: process.argv[1], messages: [{ role: "user", content: process.argv[2] }] })' "$model" "$question")
curl -sS --fail "$OPENAI_BASE_URL/chat/completions" -H "authorization: Bearer $OPENAI_API_KEY" \
  -H "content-type: application/json" -d "$request" | read_json 'choices[0].message.content' > weather.mjs

npm test > test.log 2>&1 && tell after passes || tell after fails
git commit -q -m "the weather is sunny" weather.mjs
tell git "$(git log --format=%s | tr '\n' ';')"

note='{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"board_write","arguments":{"key":"guests/coding-agent","value":"the test passes"}}}'
version=$(curl -sS --fail "$CORDON_MCP_URL" -H "content-type: application/json" \
  -H "accept: application/json, text/event-stream" -d "$note" | read_json result.structuredContent.version)
tell note "version $version"

# Nothing but the door is there.
tell web "$(curl -sS --max-time 5 http://192.0.2.1/ 2>&1 | tail -1 | tr -d '"' || true)"
tell done ""
exec sleep infinity
