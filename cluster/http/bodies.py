"""Request bodies: their models, and reading JSON within limits."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect, Request

from cluster.base.ids import OrgId
from cluster.base.problems import BadRequest, FieldError, Invalid, TooLarge, UnsupportedMediaType

MAX_JSON_BYTES = 1024 * 1024
MAX_JSON_DEPTH = 64


class Body(BaseModel):
    """Base of request bodies: what is not declared is refused."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Patch(Body):
    """Base of merge patches (RFC 7396): absent keeps, null clears.

    Give every field a default: it is never used, it only makes the field optional. A field that cannot be cleared has
    a type without None, so that null is refused.
    """

    def changes(self) -> dict[str, Any]:
        """Return what was sent, by field name; nested patches as their own changes."""
        sent: dict[str, Any] = {}
        for name in self.model_fields_set:
            value = getattr(self, name)
            sent[name] = value.changes() if isinstance(value, Patch) else value
        return sent


class View(BaseModel):
    """Base of what is answered: made of an object with the same attributes (`CourseView.of(course)`).

    A field with a `validation_alias` takes the attribute of that name, as `OrganizationId` does.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(from_attributes=True, validate_by_name=True)

    @classmethod
    def of(cls, resource: object) -> Self:
        """Make the view of a resource."""
        return cls.model_validate(resource)


OrganizationId = Annotated[OrgId, Field(validation_alias="org_id")]
"""A view's `organization_id`, taken from the resource's `org_id`."""


class JsonRequest(Request):
    """A request whose body is read within `MAX_JSON_BYTES`, declared or counted, and parsed strictly."""

    _content: bytes | None = None
    _parsed: Any = None
    _is_parsed = False

    async def body(self) -> bytes:
        """Read the whole body.

        Raises:
            TooLarge, BadRequest
        """
        if self._content is None:
            declared = self.headers.get("content-length", "0")
            if not (declared.isascii() and declared.isdigit()):
                raise BadRequest("Content-Length is not a number", pointer="/header/content-length")
            if int(declared[:20]) > MAX_JSON_BYTES:
                raise _too_large()
            self._content = await self._read()
        return self._content

    async def _read(self) -> bytes:
        message = await self.receive()
        content: bytes = message.get("body", b"")
        if not message.get("more_body") and message["type"] != "http.disconnect":
            if len(content) > MAX_JSON_BYTES:
                raise _too_large()
            return content
        chunks = bytearray()
        while message["type"] == "http.request":
            chunks += message.get("body", b"")
            if len(chunks) > MAX_JSON_BYTES:
                raise _too_large()
            if not message.get("more_body"):
                return bytes(chunks)
            message = await self.receive()
        raise ClientDisconnect

    async def json(self) -> Any:
        """Parse the body.

        Raises:
            BadRequest: it is not JSON (RFC 8259) in UTF-8, or nests too deep.
            Invalid: a text contains U+0000, which cannot be stored.
        """
        if not self._is_parsed:
            self._parsed = parse_json(await self.body())
            self._is_parsed = True
        return self._parsed


def _too_large() -> TooLarge:
    return TooLarge(
        "a JSON body may have 1 MiB; send files through /v1/uploads",
        headers={"Connection": "close"},
        limit_bytes=MAX_JSON_BYTES,
    )


def require_json(request: Request) -> None:
    """Refuse a body that says it is something else than JSON. What says nothing is taken for JSON."""
    declared = request.headers.get("content-type")
    if declared is None:
        return
    media_type = declared.partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaType("send application/json; for PATCH application/merge-patch+json is right too")


def parse_json(content: bytes) -> Any:
    """Parse JSON strictly; see `JsonRequest.json`."""
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise _too_deep() from None
        raise BadRequest(f"the body is not JSON in UTF-8: {error}", pointer="") from None
    # Counting brackets and looking for the escape is cheap and settles nearly every body without a walk.
    if content.count(b"{") + content.count(b"[") > MAX_JSON_DEPTH and _depth(parsed) > MAX_JSON_DEPTH:
        raise _too_deep()
    if b"\\u0000" in content:
        faults = tuple(
            FieldError(pointer, "nul-character", "remove the character U+0000: texts cannot contain it")
            for pointer in _nuls(parsed)
        )
        if faults:
            raise Invalid("texts cannot contain the character U+0000", errors=faults)
    return parsed


def _too_deep() -> BadRequest:
    return BadRequest(f"the body nests deeper than {MAX_JSON_DEPTH} levels: flatten it", pointer="")


def _depth(parsed: Any) -> int:
    depth = 0
    level = [parsed]
    while level and depth <= MAX_JSON_DEPTH:
        level = [child for parent in level for child in _children(parent)]
        depth += 1
    return depth


def _children(value: Any) -> Iterator[Any]:
    children = value.values() if isinstance(value, dict) else value
    return (child for child in children if isinstance(child, dict | list))


def _nuls(parsed: Any) -> Iterator[str]:
    waiting: list[tuple[str, Any]] = [("", parsed)]
    while waiting:
        pointer, value = waiting.pop()
        if isinstance(value, str) and "\0" in value:
            yield pointer
        elif isinstance(value, dict):
            for name, child in value.items():
                if "\0" in name:
                    yield pointer
                waiting.append((f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}", child))
        elif isinstance(value, list):
            waiting.extend((f"{pointer}/{index}", child) for index, child in enumerate(value))
