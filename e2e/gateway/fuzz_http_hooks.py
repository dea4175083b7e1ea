"""What schemathesis has to be told about the gateway's media types; loaded by fuzz_http.py.

The document describes server-sent events and newline-delimited JSON as text, as OpenAPI 3.1 does. Here each event is
described to schemathesis, and each line of a bulk is generated from the schema of a job.
"""
import json

import schemathesis

EVENT = {"type": "object",
         "properties": {"event": {"enum": ["job", "end"]}, "id": {"type": "string", "pattern": "^[0-9]+$"},
                        "data": {"type": "string"}, "retry": {"type": "integer"}},
         "required": ["event", "data"]}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    for path in raw_schema["paths"].values():
        for operation in path.values():
            if not isinstance(operation, dict):
                continue
            for response in operation.get("responses", {}).values():
                events = response.get("content", {}).get("text/event-stream")
                if events:
                    events.update(schema=EVENT)
                    events.pop("example", None)
            lines = operation.get("requestBody", {}).get("content", {}).get("application/x-ndjson")
            if lines:
                lines.update(schema={"type": "array", "items": lines["x-line-schema"], "maxItems": 5})
                lines.pop("example", None)


@schemathesis.serializer("application/x-ndjson")
def write_lines(_, value):
    if isinstance(value, (bytes, str)):
        return value if isinstance(value, bytes) else value.encode("utf-8", "replace")
    lines = value if isinstance(value, list) else [value]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()
