"""What services declare of their flags, and what feature_flag answers about the rules."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Generic, Literal, Protocol, TypeVar, cast
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.base.registry import offers

T = TypeVar("T")

FlagType = Literal["boolean", "string", "number", "object"]
_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_TYPES: dict[FlagType, tuple[type, ...]] = {
    "boolean": (bool,),
    "string": (str,),
    "number": (int, float),
    "object": (dict,),
}
SWITCH: Mapping[str, Any] = {"on": True, "off": False}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flag(Generic[T]):
    """An offer: a decision that a service leaves to the operators of the platform, read by `flags.value`.

    `default` names the variant that holds while nobody has decided anything, `off` the one that holds when the flag is killed.
    """

    name: str
    """`<service>.<what it decides>`"""
    title: str
    default: str
    variants: Mapping[str, T] = field(default_factory=lambda: cast("Mapping[str, T]", SWITCH))
    off: str = "off"
    owner: str
    """Who answers for it: a team."""
    public: bool = False
    """Clients of everybody may ask for it over OFREP, guests too."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name}: the name of a flag is <service>.<what it decides>, in snake_case")
        if not {self.default, self.off} <= self.variants.keys():
            raise ValueError(f"{self.name}: `default` and `off` name variants: {', '.join(self.variants)}")
        type_of_variants(self.variants)

    @property
    def type(self) -> FlagType:
        return type_of_variants(self.variants)

    def definition(self) -> dict[str, Any]:
        """Return what holds of it while nobody has decided anything."""
        return {
            "type": self.type,
            "variants": dict(self.variants),
            "default_variant": self.default,
            "off_variant": self.off,
            "prerequisites": [],
            "rules": [],
        }


def fits_type(type: FlagType, value: object) -> bool:
    """Tell whether a value is of a type. True is no number."""
    return isinstance(value, _TYPES[type]) and (type == "boolean" or not isinstance(value, bool))


def type_of_variants(variants: Mapping[str, object]) -> FlagType:
    """Return the type that all variants have.

    Raises:
        ValueError: they have several, or none that a flag can have.
    """
    for type in _TYPES:
        if variants and all(fits_type(type, value) for value in variants.values()):
            return type
    raise ValueError(f"all variants are booleans, or texts, or numbers, or objects: {dict(variants)!r}")


@cache
def declared() -> dict[str, tuple[str, Flag[Any]]]:
    """Return every flag that a service offers, with the service's name, by its own name.

    Raises:
        ValueError: two services offer one name.
    """
    found = cast("list[Flag[Any]]", offers(Flag))
    by_name = {each.name: (each.name.partition(".")[0], each) for each in found}
    if len(by_name) != len(found):
        raise ValueError(f"two offers of one name among {sorted(each.name for each in found)}")
    return by_name


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagRow:
    """A flag as feature_flag keeps it, for those who decide by it."""

    id: UUID
    key: str
    org_id: OrgId | None
    """None: a flag of the platform."""
    state: str
    """`draft` and `archived` flags are not decided by."""
    public: bool
    definition: dict[str, Any]
    seq: int
    """Counts the changes of all flags: grows with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """A unit of an experiment was given a variant."""

    experiment_id: UUID
    unit_id: UUID
    variant: str
    at: datetime


class FlagSource(Protocol):
    """Answered by feature_flag."""

    async def flag_changes(self, after: int, limit: int) -> list[FlagRow]:
        """Return flags that changed after a `seq`, in its order, in one statement."""
        ...

    async def note_use(self, used: list[UUID], exposures: list[Exposure]) -> None:
        """Remember that these flags were asked for, and who was exposed to what. May be repeated."""
        ...
