"""What a validation error says: where, which, and what to do about it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cluster.base.problems import FieldError

_PLACES = ("query", "path", "header", "cookie")
_REMEDIES = {
    "missing": "add this: it is required",
    "extra_forbidden": "remove this field: it is not known here",
    "string_type": "send a text",
    "string_too_short": "use at least {min_length} characters",
    "string_too_long": "use at most {max_length} characters",
    "string_pattern_mismatch": "use a text that matches {pattern}",
    "too_short": "send at least {min_length} entries; there are {actual_length}",
    "too_long": "send at most {max_length} entries",
    "greater_than": "use a number above {gt}",
    "greater_than_equal": "use a number of at least {ge}",
    "less_than": "use a number below {lt}",
    "less_than_equal": "use a number of at most {le}",
    "int_type": "send a whole number",
    "int_parsing": "send a whole number",
    "int_from_float": "send a whole number, without a fraction",
    "float_type": "send a number",
    "float_parsing": "send a number",
    "finite_number": "send a finite number",
    "bool_type": "send true or false",
    "bool_parsing": "send true or false",
    "uuid_type": "send an id, like 0198c0de-0000-7000-8000-000000000000",
    "uuid_parsing": "send an id, like 0198c0de-0000-7000-8000-000000000000",
    "datetime_type": "send an instant of RFC 3339, like 2031-05-04T08:00:00Z",
    "datetime_parsing": "send an instant of RFC 3339, like 2031-05-04T08:00:00Z",
    "datetime_from_date_parsing": "send an instant of RFC 3339, like 2031-05-04T08:00:00Z",
    "timezone_aware": "say the offset: end the instant with Z",
    "date_type": "send a date, like 2031-05-04",
    "date_parsing": "send a date, like 2031-05-04",
    "date_from_datetime_parsing": "send a date, like 2031-05-04",
    "list_type": "send a list",
    "dict_type": "send an object",
    "model_attributes_type": "send a JSON object",
    "model_type": "send a JSON object",
    "none_required": "send null, or leave it out",
}


def field_errors(errors: Iterable[Mapping[str, Any]]) -> tuple[FieldError, ...]:
    """Render pydantic's errors. The value itself is not repeated: it may be a secret."""
    return tuple(
        FieldError(pointer_to(error["loc"]), error["type"].replace("_", "-"), _detail(error), _params(error))
        for error in errors
    )


def pointer_to(location: Iterable[str | int]) -> str:
    """Return an RFC 6901 pointer: into the body, or `/query/...`, `/path/...`, `/header/...`."""
    parts = [str(part) for part in location]
    if parts and parts[0] == "body":
        parts = parts[1:]
    elif parts and parts[0] in _PLACES:
        parts = [parts[0], *(part.lower() if parts[0] == "header" else part for part in parts[1:])]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _params(error: Mapping[str, Any]) -> dict[str, Any]:
    context: Mapping[str, Any] = error.get("ctx") or {}
    return {
        name: value if isinstance(value, str | int | float | bool | None) else str(value)
        for name, value in context.items()
        if name != "error"
    }


def _detail(error: Mapping[str, Any]) -> str:
    remedy = _REMEDIES.get(error["type"])
    if remedy is not None:
        return remedy.format_map(error.get("ctx") or {})
    return re.sub(r"^(Value error|Assertion failed), ", "", str(error["msg"]))
