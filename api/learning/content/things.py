"""What blocks use, by their bodies."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from api.learning.content import rules
from api.learning.content.block_types import block_types
from cluster.data.uses import Ref

_OFF_THE_LOOP_BYTES = 4_000


async def things_of(bodies: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[Ref, str]]:
    """Return what blocks of these types with these bodies use, and where the bodies name it. Long texts are read in a thread."""
    length = sum(len(body.get("markdown", "")) for _, body in bodies)
    if length < _OFF_THE_LOOP_BYTES:
        return _things_of(bodies)
    return await asyncio.to_thread(_things_of, bodies)


def _things_of(bodies: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[Ref, str]]:
    return [rules.things_of(block_types()[type], body) for type, body in bodies]
