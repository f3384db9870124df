"""The types of blocks that the services offer."""

from functools import cache

from api.learning.content.contract import BlockType
from cluster.base.registry import offers


@cache
def block_types() -> dict[str, BlockType]:
    """Return the types of blocks by name."""
    return {offer.name: offer for offer in offers(BlockType)}
