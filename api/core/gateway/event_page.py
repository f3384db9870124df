"""The page of events, made of the AsyncAPI document: plain HTML that loads nothing."""

import html
from typing import Any

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>LearningHub events</title>
<link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b2430 }}
a {{ color: #0b5cad }} code {{ font-size: .95em }} nav a {{ margin-right: .8rem }}
table {{ border-collapse: collapse; margin: .5rem 0 1.5rem }} td, th {{ text-align: left; padding: .15rem 1rem .15rem 0 }}
th {{ color: #46515e; font-weight: 600 }} h3 {{ margin-bottom: 0 }} p {{ margin: .2rem 0 }}</style></head><body>
<h1>Events</h1><p>{description} Each is a CloudEvents 1.0 document on the Kafka topic of its service;
<a href="/asyncapi.json">AsyncAPI 3.0</a> says so to programs.</p><nav>{links}</nav>{channels}</body></html>"""


def events_page(document: dict[str, Any]) -> str:
    """Render the document: services, their events, and the fields of each."""
    channels: dict[str, Any] = document["channels"]
    return _PAGE.format(
        description=html.escape(document["info"]["description"]),
        links=" ".join(f'<a href="#{name}">{html.escape(name)}</a>' for name in channels),
        channels="".join(_channel(document, name, channel) for name, channel in channels.items()),
    )


def _channel(document: dict[str, Any], name: str, channel: dict[str, Any]) -> str:
    events = "".join(_event(document, event) for event in channel["messages"])
    return (
        f'<h2 id="{name}">{html.escape(name)}</h2><p>Topic <code>{html.escape(channel["address"])}</code></p>{events}'
    )


def _event(document: dict[str, Any], name: str) -> str:
    message = document["components"]["messages"][name]
    data = message["payload"]["allOf"][1]["properties"]["data"]
    schema = document["components"]["schemas"][data["$ref"].rpartition("/")[2]]
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{html.escape(field)}</code></td><td>{html.escape(_type(document, of))}</td>"
        f"<td>{'' if field in required else 'optional'}</td></tr>"
        for field, of in schema.get("properties", {}).items()
    )
    words = html.escape(message.get("description", "")).replace("\n\n", "</p><p>")
    return (
        f'<h3 id="{html.escape(name)}"><code>{html.escape(name)}</code></h3><p>{words}</p>'
        f"<table><tr><th>field</th><th>type</th><th></th></tr>{rows}</table>"
    )


def _type(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """Say in words what a value is."""
    if "$ref" in schema:
        return _type(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return " or ".join(_type(document, each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(each) for each in schema["enum"])
    if schema.get("type") == "array":
        items = schema.get("items")
        return f"list of {_type(document, items)}" if isinstance(items, dict) else "list"
    if schema.get("type") == "object" and "title" in schema:
        fields = ", ".join(schema.get("properties", {}))
        return f"{schema['title']} ({fields})"
    return str(schema.get("format") or schema.get("type") or "anything")
