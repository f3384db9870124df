"""What services copy of the state of others, and old news of their own state.

A service with a projection says in `tests/api/<namespace>/<service>/projections.py` what it copied: `COPIED`, by name the rows
of an organization ($1) without their versions, for a snapshot may have newer ones; and `FORGET`, the statements that delete them.
A service that others project has `OLD_NEWS` there: for each state event, what makes another state of the present one.
"""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from cluster.base.services import table
from cluster.base.settings import REPOSITORY

OldNews = dict[type, Callable[[Any], object]]


def copied() -> dict[str, str]:
    """Return the statement of everything that is copied, by `<service> <name>`."""
    return {
        f"{service} {name}": statement
        for service, module in _modules().items()
        for name, statement in getattr(module, "COPIED", {}).items()
    }


def forget() -> list[str]:
    """Return the statements that delete all that was copied."""
    return [statement for module in _modules().values() for statement in getattr(module, "FORGET", ())]


def old_news() -> OldNews:
    """Return by state event what makes another state of the present one."""
    found: OldNews = {}
    for module in _modules().values():
        found |= getattr(module, "OLD_NEWS", {})
    return found


def _modules() -> dict[str, ModuleType]:
    found: dict[str, ModuleType] = {}
    for service in table().values():
        module = f"tests.{service.package}.projections"
        if (REPOSITORY / f"{module.replace('.', '/')}.py").exists():
            found[service.name] = importlib.import_module(module)
    return found
