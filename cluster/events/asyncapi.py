"""One AsyncAPI 3.0 document of all events: what each topic carries.

Source: AsyncAPI 3.0.0; CloudEvents 1.0.2 and its Kafka protocol binding (structured mode).
"""

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec

from cluster.events.declare import EventType

_SCHEMAS = "#/components/schemas/"
_UUID = {"type": "string", "format": "uuid"}
_CLOUD_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "A CloudEvents 1.0 document. Attributes that are absent are null; unknown ones may be added.",
    "required": [
        *("specversion", "id", "source", "type", "subject", "time", "datacontenttype"),
        *("subjectversion", "schemaversion", "actorkind", "data"),
    ],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": _UUID | {"description": "The same when it is delivered again."},
        "source": {"type": "string", "description": "The service that speaks."},
        "type": {"type": "string"},
        "subject": {"type": "string", "description": "The aggregate's id: events of one subject come in order."},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "orgid": _UUID | {"description": "The organization that it concerns."},
        "subjectversion": {"type": "integer", "description": "The aggregate's version after the change."},
        "schemaversion": {"type": "integer"},
        "actorkind": {"enum": ["person", "service_account", "guest", "platform"]},
        "actorid": _UUID,
        "actingfor": _UUID | {"description": "Set while the actor impersonates somebody."},
        "actorservice": {"type": "string", "description": "The service through which the platform acted."},
        "traceparent": {"type": "string", "description": "W3C Trace Context."},
        "data": {"type": "object"},
    },
}


def asyncapi(kinds: Iterable[EventType], *, title: str = "LearningHub events", version: str = "1") -> dict[str, Any]:
    """Describe events: a channel for each service that speaks, a message for each event."""
    listed = sorted(kinds, key=lambda kind: kind.name)
    data, schemas = msgspec.json.schema_components([kind.python for kind in listed], ref_template=_SCHEMAS + "{name}")
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for kind, reference in zip(listed, data, strict=True):
        messages[kind.name] = _message(kind, reference)
        channel = channels.setdefault(kind.service, _channel(kind.service))
        channel["messages"][kind.name] = {"$ref": f"#/components/messages/{kind.name}"}
        operation = operations.setdefault(
            f"{kind.service}.tell",
            {
                "action": "send",
                "channel": {"$ref": f"#/channels/{kind.service}"},
                "summary": f"{kind.service} tells what happened.",
                "messages": [],
            },
        )
        operation["messages"].append({"$ref": f"#/channels/{kind.service}/messages/{kind.name}"})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": version,
            "description": "Every event is told at least once, in the order of its subject, after its change is stored.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items())) | {"CloudEvent": _CLOUD_EVENT}},
    }


def _channel(service: str) -> dict[str, Any]:
    return {
        "address": f"{{stack}}.{service}",
        "title": service,
        "parameters": {"stack": {"description": "The deployment's name (HUB_STACK).", "default": "hub"}},
        "messages": {},
    }


def _message(kind: EventType, data: dict[str, Any]) -> dict[str, Any]:
    told = kind.python.__doc__ or ""
    message: dict[str, Any] = {
        "name": kind.name,
        "title": kind.name,
        "contentType": "application/cloudevents+json",
        "payload": {
            "allOf": [
                {"$ref": _SCHEMAS + "CloudEvent"},
                {"properties": {"type": {"const": kind.name}, "source": {"const": kind.service}, "data": data}},
            ]
        },
        "bindings": {
            "kafka": {"key": {"type": "string", "description": f"`{kind.subject}`"}, "bindingVersion": "0.5.0"}
        },
    }
    # A dataclass without words of its own has its signature there.
    if told and not told.startswith(f"{kind.python.__name__}("):
        text = inspect.cleandoc(told)
        message["summary"] = text.partition("\n")[0]
        message["description"] = text
    return message
