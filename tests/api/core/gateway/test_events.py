"""The AsyncAPI document, and the page that is made of it."""

import json
import re
from typing import Any, cast

import jsonschema

from api.core.gateway.event_page import events_page
from cluster.base.registry import load
from cluster.base.services import table
from cluster.events import event_types
from deployments.generate import ASYNCAPI, GOLDEN
from tests.harness import Hub, done

DOCUMENT: dict[str, Any] = json.loads(ASYNCAPI.read_text())
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [each for child in cast(dict[str, Any], value).values() for each in _references(child)]
    if isinstance(value, list):
        return [each for child in cast(list[Any], value) for each in _references(child)]
    return []


def _find(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_document_has_the_parts_that_asyncapi_3_asks_for() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    for name, channel in DOCUMENT["channels"].items():
        assert _NAME.fullmatch(name)
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == channel["parameters"].keys()
        assert channel["messages"]
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] == "send"
        channel = _find(operation["channel"]["$ref"])
        # A message of an operation is one of its channel's, not the component (AsyncAPI 3.0.0, Operation Object).
        of_channel = {f"{operation['channel']['$ref']}/messages/{name}" for name in channel["messages"]}
        assert {each["$ref"] for each in operation["messages"]} == of_channel
    for reference in _references(DOCUMENT):
        _find(reference)


def test_document_names_every_event_once_on_its_topic() -> None:
    load(table(), "contract")
    declared = {(kind.service, kind.name) for kind in event_types() if kind.service in table()}

    told = [(service, name) for service, channel in DOCUMENT["channels"].items() for name in channel["messages"]]

    assert sorted(told) == sorted(declared)
    assert DOCUMENT["components"]["messages"].keys() == {name for _, name in declared}


def test_schemas_take_what_services_told_in_their_first_release() -> None:
    for name, message in DOCUMENT["components"]["messages"].items():
        schema = {**message["payload"], "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator.check_schema(schema)
        told = json.loads((GOLDEN / f"{name}.json").read_text())
        jsonschema.validate(told, schema)
        wrong = told | {"data": {}}
        assert list(jsonschema.Draft202012Validator(schema).iter_errors(wrong)), name


async def test_the_page_shows_every_event_and_loads_nothing(hub: Hub) -> None:
    page = await hub.guest.get("/docs/events")

    assert page.headers["content-type"].startswith("text/html")
    assert re.findall(r"(?:src|href)=[\"'](?:https?:)?//", page.text) == []
    assert set(re.findall(r'<h3 id="([^"]+)"', page.text)) == DOCUMENT["components"]["messages"].keys()
    assert "<td><code>course_id</code></td><td>uuid</td>" in page.text
    assert page.text == events_page(done(await hub.guest.get("/asyncapi.json")))
