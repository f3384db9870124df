"""Make an example of a request body from its JSON schema: what is declared as an example, else the plainest value."""

from typing import Any

_FORMATS = {
    "uuid": "0198c0de-0000-7000-8000-000000000000",
    "date-time": "2031-05-04T08:00:00Z",
    "date": "2031-05-04",
    "email": "ada@example.org",
    "uri": "https://example.org/",
}
_PREFIX = "#/$defs/"


def example_of(schema: dict[str, Any]) -> Any:
    """Return a value that fits the schema as far as its keywords tell; patterns need declared examples."""
    return _example(schema, schema.get("$defs", {}))


def _example(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    if schema.get("examples"):
        return schema["examples"][0]
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    if "enum" in schema:
        return schema["enum"][0]
    if "$ref" in schema:
        return _example(definitions[schema["$ref"].removeprefix(_PREFIX)], definitions)
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            choices: list[dict[str, Any]] = schema[keyword]
            return _example(next((each for each in choices if each.get("type") != "null"), choices[0]), definitions)
    match schema.get("type"):
        case "object":
            return _object(schema, definitions)
        case "array":
            return [_example(schema.get("items", {}), definitions)] * schema.get("minItems", 0)
        case "string":
            return _FORMATS.get(schema.get("format", ""), "example").ljust(schema.get("minLength", 0), "e")
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
        case _:
            return None


def _object(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Show what is required, and what declares an example."""
    properties: dict[str, dict[str, Any]] = schema.get("properties", {})
    required = schema.get("required", [])
    shown = [name for name, child in properties.items() if name in required or child.get("examples")]
    return {name: _example(properties[name], definitions) for name in shown}
