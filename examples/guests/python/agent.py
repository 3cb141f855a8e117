"""An agent in Python with nothing but its standard library: a loop of tool calls over urllib."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

MODEL = sys.argv[1]
OPENAI = os.environ["OPENAI_BASE_URL"]
MCP = os.environ["CORDON_MCP_URL"]


def tell(**line):
    print(json.dumps({"kind": "guest", **line}), flush=True)


def post(url, body, **headers):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        raise RuntimeError(refused.read().decode()) from refused


def note(text):
    arguments = {"key": "guests/python", "value": text}
    call = {"name": "board_write", "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    accept = "application/json, text/event-stream"
    result = post(MCP, body, Accept=accept)["result"]
    return f"noted as version {result['structuredContent']['version']}"


TOOLS = {"weather": lambda city: f"sunny in {city}", "note": note}


def schema(name, field):
    parameters = {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


def run(question):
    messages = [{"role": "user", "content": question}]
    tools = [schema("weather", "city"), schema("note", "text")]
    for _ in range(5):
        body = {"model": MODEL, "messages": messages, "tools": tools}
        key = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
        message = post(f"{OPENAI}/chat/completions", body, **key)["choices"][0]["message"]
        messages.append({key: message[key] for key in ("role", "content", "tool_calls") if message.get(key)})
        calls = message.get("tool_calls") or []
        if not calls:
            return message["content"]
        for call in calls:
            function = call["function"]
            result = TOOLS[function["name"]](**json.loads(function["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    raise RuntimeError("too many rounds")


tell(step="chat", answer=run("What is the weather in Paris? Note it down."), python=sys.version.split()[0])
tell(step="done")
while True:
    time.sleep(1000)
