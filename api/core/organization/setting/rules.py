"""Decide which value of a setting counts, and who may change it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from api.core.organization.contract import SettingLocked
from api.core.organization.setting.store import Chosen
from cluster.base.problems import FieldError
from cluster.people.org_settings import Setting

Level = Literal["default", "platform", "organization"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A setting as it counts in one scope, and where its value comes from."""

    name: str
    title: str
    value: Any
    default: Any
    inherited_from: Level
    locked: bool
    permission: str
    value_schema: dict[str, Any]


def values_of(platform: Chosen, organization: Chosen | None, settings: Iterable[Setting[Any]]) -> list[Value]:
    """Return each setting as it counts in an organization, else for the platform."""
    return [_value(each, platform, organization) for each in settings]


def _value(setting: Setting[Any], platform: Chosen, organization: Chosen | None) -> Value:
    level, value = next(
        (found for found in _nearest(setting.name, platform, organization) if setting.fits(found[1])),
        ("default", setting.default),
    )
    return Value(
        name=setting.name,
        title=setting.title,
        value=value,
        default=setting.default,
        inherited_from=level,
        locked=setting.name in platform.locked,
        permission=setting.permission,
        value_schema=setting.schema(),
    )


def _nearest(name: str, platform: Chosen, organization: Chosen | None) -> Iterable[tuple[Level, Any]]:
    if organization is not None and name in organization.chosen and name not in platform.locked:
        yield "organization", organization.chosen[name]
    if name in platform.chosen:
        yield "platform", platform.chosen[name]


def nearest_first(platform: Chosen, organization: Chosen | None) -> dict[str, list[Any]]:
    """Return the values that count for each name, the nearest first. Whoever reads them knows which of them fit."""
    names = platform.chosen.keys() | (organization.chosen.keys() if organization is not None else set())
    return {name: [value for _, value in _nearest(name, platform, organization)] for name in names}


def merged(chosen: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a merge patch: null takes a value out (RFC 7396)."""
    return {name: value for name, value in {**chosen, **changes}.items() if value is not None}


def changed_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def check_unlocked(names: Iterable[str], locked: Iterable[str]) -> None:
    """Return when none of these is locked by the platform.

    Raises:
        SettingLocked
    """
    refused = sorted(set(names) & set(locked))
    if refused:
        raise SettingLocked(
            "the platform decides these for every organization: leave them out, or ask its administrators",
            errors=tuple(
                FieldError(f"/{name}", SettingLocked.slug(), f"{name} is locked by the platform: leave it out")
                for name in refused
            ),
        )
