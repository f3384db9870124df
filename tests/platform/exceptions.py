"""What services do otherwise than the invariants of `tests/platform` ask, each with its reason.

A service names its own as `EXCEPTIONS` in `tests/api/<namespace>/<service>/exceptions.py`. An exception that excuses nothing fails
the test of its invariant.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from cluster.base.services import table
from cluster.base.settings import REPOSITORY

Reasons = dict[str, str]


def _none() -> Reasons:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceptions:
    """Reasons by what is excepted: an operation, unless the field says otherwise."""

    public: Reasons = field(default_factory=_none)
    """Needs no token."""
    outside_v1: Reasons = field(default_factory=_none)
    """Its path does not begin with /v1/."""
    no_plural: Reasons = field(default_factory=_none)
    """An area that is no plural noun."""
    streamed: Reasons = field(default_factory=_none)
    """Its answer has no schema."""
    other_status: Reasons = field(default_factory=_none)
    """`<operation> <status>`: what it answers instead of the usual status."""
    status_too: Reasons = field(default_factory=_none)
    """`<operation> <status>`: what it answers beside the usual status."""
    short_lists: Reasons = field(default_factory=_none)
    """A list without pages."""
    no_id_filter: Reasons = field(default_factory=_none)
    """A list without ?id=."""
    no_idempotency_key: Reasons = field(default_factory=_none)
    """A POST or PATCH that takes no Idempotency-Key."""
    no_uuid: Reasons = field(default_factory=_none)
    """`<schema>.<field>` or `<operation>.<parameter>`: an id that is no UUID."""
    dotted_fields: Reasons = field(default_factory=_none)
    """A schema whose fields are called `<service>.<name>`."""
    may_scan: Reasons = field(default_factory=_none)
    """`<module>.<constant>` below the service's package: a statement that may read a whole table."""
    unnoticed: Reasons = field(default_factory=_none)
    """A module below the service's package, of whose checks the walk of strangers cannot notice that they are gone."""


KERNEL = Exceptions(no_uuid={"Problem.trace_id": "W3C Trace Context"})
_OF_MODULES = ("may_scan", "unnoticed")


@cache
def exceptions() -> dict[str, Exceptions]:
    """Return the exceptions of every service in the table that has some."""
    found: dict[str, Exceptions] = {}
    for service in table().values():
        module = f"tests.{service.package}.exceptions"
        if (REPOSITORY / f"{module.replace('.', '/')}.py").exists():
            found[service.name] = importlib.import_module(module).EXCEPTIONS
    return found


def excepted(kind: str) -> Reasons:
    """Return the exceptions of one kind, of all services; modules by their full name."""
    found: Reasons = dict(getattr(KERNEL, kind))
    for service, each in exceptions().items():
        prefix = f"{table()[service].package}." if kind in _OF_MODULES else ""
        found |= {f"{prefix}{name}": why for name, why in getattr(each, kind).items()}
    return found


@dataclass(frozen=True, slots=True)
class Fault:
    """What an invariant finds wrong, unless an exception of this kind names it."""

    kind: str
    about: str
    text: str


def hold(found: Iterable[str | Fault], *kinds: str) -> None:
    """Fail for what is wrong and not excepted, and for exceptions of these kinds that excuse nothing."""
    faults = [each if isinstance(each, Fault) else Fault("", "", each) for each in found]
    named = {(fault.kind, fault.about) for fault in faults}
    excuses = {(kind, name): why for kind in kinds for name, why in excepted(kind).items()}
    wrong = {fault.text for fault in faults if (fault.kind, fault.about) not in excuses}
    for (kind, name), why in excuses.items():
        if (kind, name) not in named:
            wrong.add(f"{name}: nothing is wrong here any more, remove the exception {kind}: {why}")
    assert not wrong, "tests/platform/exceptions.py says how to name what must differ:\n" + "\n".join(sorted(wrong))
