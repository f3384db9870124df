"""The registry: what services offer each other, found by walking the folders. No list is kept by hand.

A service's `offers.py` holds `OFFERS`, a tuple of typed values (permissions, roles, block types, upload purposes). Whoever needs
them asks by type, and a new service edits no other.
"""

import gc
import importlib
import importlib.util
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

from cluster.base.services import table

T = TypeVar("T")


def room(service: str, name: str) -> ModuleType | None:
    """Import a room (`routes`, `handlers`, ...) of a service; None when the service does not have it."""
    module = f"{table()[service].package}.{name}"
    if importlib.util.find_spec(module) is None:
        return None
    return importlib.import_module(module)


def has_room(service: str, name: str) -> bool:
    """Tell whether a service has this room, without importing it."""
    return importlib.util.find_spec(f"{table()[service].package}.{name}") is not None


def load(services: Iterable[str], *rooms: str) -> None:
    """Import rooms whose decorators register what they hold (`handlers`, `jobs`)."""
    for service in services:
        for name in rooms:
            room(service, name)


@contextmanager
def loading() -> Generator[None]:
    """Load code within this block: the garbage collector waits, and ignores from then on what was loaded.

    Functions, classes and routes stay as long as the process. A collector that runs meanwhile visits all of them again and
    again, which takes a third of the start, and later 0.1 s at a time while requests wait.
    """
    known, enabled = len(sys.modules), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:
            gc.freeze()
        if enabled:
            gc.enable()


@cache
def _all_offers() -> tuple[tuple[str, Any], ...]:
    return tuple((service, offer) for service in table() for offer in getattr(room(service, "offers"), "OFFERS", ()))


def offers(kind: type[T]) -> list[T]:
    """Return every offer of this type, of all services, in the order of the service table."""
    return [offer for _, offer in _all_offers() if isinstance(offer, kind)]


def offers_by_service(kind: type[T]) -> list[tuple[str, T]]:
    """Return every offer of this type beside the name of the service that makes it."""
    return [(service, offer) for service, offer in _all_offers() if isinstance(offer, kind)]
