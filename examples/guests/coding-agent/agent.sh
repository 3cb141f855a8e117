#!/bin/bash
# The shape of a coding agent: a shell, git and curl on a working copy of its own, and a model that is asked by HTTP.
set -euo pipefail
model=$1
tell() { printf '{"kind":"guest","step":"%s","answer":"%s"}\n' "$1" "$2"; }
json() { python3 -c 'import json,sys; value=json.load(sys.stdin)
for key in sys.argv[1:]: value=value[int(key) if key.isdigit() else key]
print(value)' "$@"; }

mkdir -p /data/project && cd /data/project
git init -q -b main .
git config user.name clerk && git config user.email clerk@example.invalid
printf '#!/bin/bash\necho sunny\n' > weather.sh && chmod +x weather.sh
git add . && git commit -q -m "a weather tool"
tell git "$(git log --format=%s | head -1)"

# /tmp and /data behave as on any machine: what a build leaves behind can be run.
tell build "$(./weather.sh)"

answer=$(curl -sS --fail "$OPENAI_BASE_URL/chat/completions" -H "authorization: Bearer $OPENAI_API_KEY" \
  -H "content-type: application/json" -d "{\"model\":\"$model\",\"messages\":[{\"role\":\"user\",\"content\":\"What is the weather?\"}]}" |
  json choices 0 message content)
tell model "$answer"

version=$(curl -sS --fail "$CORDON_MCP_URL" -H "content-type: application/json" -H "accept: application/json, text/event-stream" \
  -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"board_write","arguments":{"key":"guests/coding-agent","value":"sunny in Paris"}}}' |
  json result structuredContent version)
tell note "version $version"

# Nothing but the door is there.
tell web "$(curl -sS --max-time 5 http://192.0.2.1/ 2>&1 | tail -1 | tr -d '"' || true)"
tell done ""
exec sleep infinity
