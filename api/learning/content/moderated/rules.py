"""Which words of a block are judged."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

MODERATED_KIND = "block"


def words_of(title: str, body: Mapping[str, Any]) -> dict[str, str]:
    """Return what people wrote in a block by JSON pointer: its title, and all texts of its body that are no ids."""
    return {"/title": title} | {pointer: text for pointer, text in _texts(body, "/body") if not _is_id(text)}


def _texts(value: object, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if value:
            yield pointer, value
    elif isinstance(value, Mapping):
        for name, each in value.items():  # pyright: ignore[reportUnknownVariableType]
            escaped = str(name).replace("~", "~0").replace("/", "~1")  # pyright: ignore[reportUnknownArgumentType]
            yield from _texts(each, f"{pointer}/{escaped}")  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        for number, each in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from _texts(each, f"{pointer}/{number}")  # pyright: ignore[reportUnknownArgumentType]


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
