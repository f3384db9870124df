"""What is edited together: ETag is the row's version, If-Match the one the client changed (RFC 9110, section 13)."""

import re
from typing import Annotated

from fastapi import Depends, Header
from starlette.responses import Response

from cluster.base.problems import BadRequest, PreconditionRequired

_ETAG = re.compile(r'"(0|[1-9][0-9]{0,17})(?:-(?:zstd|br|gzip))?"')
"""A compressed representation has the coding in its ETag; the version is the same."""


async def if_match(
    sent: Annotated[
        str | None,
        Header(description="The ETag of the version that you changed.", examples=['"1"'], alias="If-Match"),
    ] = None,
) -> int:
    """Read If-Match; see `IfMatch`.

    Raises:
        PreconditionRequired, BadRequest
    """
    if sent is None:
        raise PreconditionRequired(
            "send If-Match with the ETag of the version that you read, so that nobody's change is lost",
            pointer="/header/if-match",
        )
    found = _ETAG.fullmatch(sent.strip())
    if found is None:
        raise BadRequest(
            'send one strong ETag as it was given, like "7"; lists, W/ and * are not taken here',
            pointer="/header/if-match",
        )
    return int(found[1])


IfMatch = Annotated[int, Depends(if_match)]
"""The version that the client read. Raise `Stale(current_version)` when it is not the current one."""


def set_etag(response: Response, version: int) -> None:
    """Tell the client which version it reads."""
    response.headers["ETag"] = f'"{version}"'
