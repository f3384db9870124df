"""The contracts' lock: fields of every event, job and call, so that no release breaks what another one has written.

Hosts of two releases run side by side, and events, jobs and calls of one reach the other. So a field may be added with
a default, and nothing may be removed, change its type, or become required.
"""

import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from cluster.base.principal import Principal
from cluster.base.registry import load, offers_by_service, room
from cluster.base.services import table
from cluster.events import EventType, envelope_of, event_types
from cluster.jobs.declare import type_of
from cluster.people.calls import Answers

Lock = dict[str, dict[str, Any]]
_MOMENT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


def lock() -> Lock:
    """Return the contracts as they are now: `events`, `jobs`, `calls`, and the `values` that they are made of."""
    load(table(), "contract", "jobs")
    found = _Contracts()
    for kind in event_types():
        if kind.service in table():
            found.lock["events"][kind.name] = found.fields(kind.python)
    for service in table():
        for module in (room(service, "contract"), room(service, "jobs")):
            for each in vars(module).values() if module else ():
                if isinstance(each, type) and each.__module__.startswith(table()[service].package + "."):
                    found.add(service, each)
    for service, offer in offers_by_service(Answers):
        found.add(service, offer.protocol)
    return {part: dict(sorted(entries.items())) for part, entries in found.lock.items()}


class _Contracts:
    def __init__(self) -> None:
        self.lock: Lock = {"events": {}, "jobs": {}, "calls": {}, "values": {}}

    def add(self, service: str, each: type) -> None:
        """Add a class of a contract when it is a job's or a Protocol of calls."""
        if getattr(each, "_is_protocol", False):
            for name, function in inspect.getmembers(each, inspect.iscoroutinefunction):
                self.lock["calls"][f"{service}.{each.__name__}.{name}"] = self._call(function)
        elif dataclasses.is_dataclass(each):
            try:
                declared = type_of(each)
            except KeyError:
                return
            self.lock["jobs"][declared.kind] = self.fields(each)

    def fields(self, python: Any) -> dict[str, str]:
        hints = get_type_hints(python)
        return {
            field.name: self._text(hints[field.name])
            + ("" if field.default is field.default_factory is dataclasses.MISSING else _OPTIONAL)
            for field in dataclasses.fields(python)
        }

    def _call(self, function: Any) -> dict[str, Any]:
        hints = get_type_hints(function)
        arguments = {
            parameter.name: self._text(hints[parameter.name])
            + ("" if parameter.default is parameter.empty else _OPTIONAL)
            for parameter in list(inspect.signature(function).parameters.values())[1:]
        }
        return {**arguments, "return": self._text(hints["return"])}

    def _text(self, hint: Any) -> str:
        """Name a type as it travels; dataclasses become entries of `values`."""
        if isinstance(hint, NewType):
            return self._text(hint.__supertype__)
        origin, args = get_origin(hint), get_args(hint)
        if origin is Literal:
            return " | ".join(sorted(repr(each) for each in args))
        if origin in (Union, types.UnionType):
            return " | ".join(sorted(self._text(each) for each in args))
        if origin is not None:
            return f"{origin.__name__}[{', '.join('...' if each is ... else self._text(each) for each in args)}]"
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            module = hint.__module__.split(".")
            name = f"{module[2] if module[0] == 'api' else module[-1]}.{hint.__name__}"
            if name not in self.lock["values"]:
                self.lock["values"][name] = {}
                self.lock["values"][name] = self.fields(hint)
            return name
        return "None" if hint in (None, type(None)) else str(getattr(hint, "__name__", hint))


_OPTIONAL = " = default"


def breaks(before: Lock, now: Lock) -> list[str]:
    """Return what of the contracts before does not hold any more, a line each."""
    found: list[str] = []
    for part, entries in before.items():
        for name, fields in entries.items():
            if name not in now.get(part, {}):
                found.append(f"{part}: {name} was removed")
            else:
                found += [f"{part}: {name}{line}" for line in _broken_fields(fields, now[part][name])]
    return found


def _broken_fields(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    for field, text in before.items():
        if field not in now:
            found.append(f".{field} was removed")
        elif now[field].removesuffix(_OPTIONAL) != text.removesuffix(_OPTIONAL):
            found.append(f".{field} was {text.removesuffix(_OPTIONAL)} and is {now[field].removesuffix(_OPTIONAL)}")
        elif text.endswith(_OPTIONAL) and not now[field].endswith(_OPTIONAL):
            found.append(f".{field} lost its default")
    found += [
        f".{field} is new and has no default"
        for field, text in now.items()
        if field not in before and not text.endswith(_OPTIONAL)
    ]
    return found


def golden(kind: EventType) -> str:
    """Write an event of this type as its release puts it on the wire, every field filled."""
    event = kind.python(
        **{field.name: _sample(get_type_hints(kind.python)[field.name]) for field in dataclasses.fields(kind.python)}
    )
    return envelope_of(
        event, version=1, principal=Principal(kind="platform", service=kind.service), time=_MOMENT
    ).encode()


def _sample(hint: Any) -> Any:
    if isinstance(hint, NewType):
        return _sample(hint.__supertype__)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return args[0]
    if origin in (Union, types.UnionType):
        return _sample(next(each for each in args if each is not type(None)))
    if origin in (list, set, frozenset, tuple):
        return origin([_sample(args[0])])
    if origin is dict:
        return {_sample(args[0]): _sample(args[1])}
    if dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        return typing.cast(Any, hint)(**{field.name: _sample(hints[field.name]) for field in dataclasses.fields(hint)})
    samples: dict[Any, Any] = {
        UUID: _ID,
        datetime: _MOMENT,
        timedelta: timedelta(seconds=90),
        bool: True,
        int: 3,
        float: 0.5,
        Decimal: Decimal("2.50"),
        str: "text",
        Any: 1,
    }
    return samples[hint]
