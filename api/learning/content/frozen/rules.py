"""The form in which outlines are frozen, and the hash that tells equal ones."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from api.learning.content.block.store import Block
from api.learning.content.contract import BlockType
from api.learning.content.rules import in_tree_order

_NOT_HASHED = ("version", "html", "renderer")


def freeze(blocks: Sequence[Block], types: Mapping[str, BlockType]) -> tuple[list[dict[str, Any]], bytes]:
    """Return a working outline in the form it is kept in, and the SHA-256 of what authors made of it.

    Left out of the hash are counters and renderings: an outline that was changed and changed back is the same again.
    """
    frozen = [_frozen(block, types[block.type]) for block in in_tree_order(blocks)]
    hashed = [{name: value for name, value in block.items() if name not in _NOT_HASHED} for block in frozen]
    return frozen, hashlib.sha256(orjson.dumps(hashed, option=orjson.OPT_SORT_KEYS)).digest()


def _frozen(block: Block, type: BlockType) -> dict[str, Any]:
    return {
        "id": str(block.id),
        "parent_id": None if block.parent_id is None else str(block.parent_id),
        "type": block.type,
        "title": block.title,
        "body": block.body,
        "html": block.html,
        "renderer": block.renderer,
        "version": block.content_version,
        "min_version": block.min_version,
        "completes": type.completes,
        "min_ratio": type.min_ratio,
        "release_at": None if block.release_at is None else block.release_at.isoformat(),
        "release_after_days": block.release_after_days,
        "source_id": None if block.source_id is None else str(block.source_id),
        "source_version": block.source_version,
    }
