"""Live: connections of this process that follow topics (`cluster.people.topics`)."""

from typing import Any

from cluster.people.live.frames import Frame
from cluster.people.live.hub import MAX_TOPICS, Hub
from cluster.people.live.reader import PING, RESTART, Closing, Item, Link, Reader
from cluster.people.live.rights import Rights
from cluster.signals import broadcast

__all__ = [
    "MAX_TOPICS",
    "PING",
    "RESTART",
    "Closing",
    "Frame",
    "Hub",
    "Item",
    "Link",
    "Reader",
    "current",
    "drain",
    "start",
    "stop",
]

_hub: Hub | None = None
_rights: Rights | None = None


def current() -> Hub:
    """Return the hub of this process.

    Raises:
        RuntimeError: this process has none, it is no web host.
    """
    if _hub is None:
        raise RuntimeError("nothing is followed here: start a ServiceHost first")
    return _hub


def start() -> None:
    """Let connections follow topics. Hints are heard from the first one on."""
    global _hub, _rights
    _hub = Hub()
    _rights = Rights(_hub)
    _rights.start()
    broadcast.listen("access", _hear_access, on_gap=_hear_gap)
    broadcast.listen("identity", _hear_identity)


async def stop() -> None:
    """End all connections."""
    global _hub, _rights
    ended, rights = _hub, _rights
    _hub = _rights = None
    if rights is not None:
        await rights.stop()
    if ended is not None:
        await ended.stop()


async def drain(within_s: float) -> None:
    """Let all connections come back elsewhere, spread over this time at most, and return when they have gone."""
    if _hub is not None:
        await _hub.drain(within_s)


# Of the module, because a listener keeps its callbacks: this process may start again.
async def _hear_access(message: dict[str, Any]) -> None:
    if _rights is not None:
        _rights.hear_access(message)


async def _hear_identity(_: dict[str, Any]) -> None:
    if _rights is not None:
        _rights.hear_identity()


async def _hear_gap() -> None:
    if _rights is not None:
        _rights.hear_gap()
