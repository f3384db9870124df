"""Settings of organizations: typed values that services offer, and that the platform and each organization choose.

A value is inherited: the default of the offer, else what the platform chose, else what the organization chose. Services read them
by `setting`; organization stores them and answers `SettingSource`. Each process keeps what it has read and hears of changes by
broadcast, so that reading costs no statement.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from typing import Any, Generic, Protocol, TypeVar, cast
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from cluster.base.away import is_away
from cluster.base.ids import OrgId
from cluster.base.problems import Unavailable
from cluster.base.registry import offers
from cluster.data import Transaction
from cluster.people.calls import client
from cluster.signals.kept import Kept

T = TypeVar("T")
log = logging.getLogger(__name__)

_TTL_S = 30.0
_MAX_BROADCAST_AGE_S = 1.5
_MAX_ORGANIZATIONS = 20_000
"""Of which values are kept: a replica sees every organization of the platform."""
_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting(Generic[T]):
    """An offer: a value that a service reads and that the platform and each organization may choose.

    `type` is what pydantic checks of a JSON value: `bool`, `str`, a `Literal`, `Annotated[int, Field(ge=1, le=30)]`. It is checked
    strictly: "3" is no number. A length of time is a number of seconds or days, as the name says. Whoever changes the value for an
    organization needs `permission` there.
    """

    name: str
    """`<service>.<what it sets>`"""
    title: str
    type: Any
    default: T
    permission: str = "organization:edit"
    lockable: bool = True
    """The platform may lock it: then what an organization chose does not count."""
    _adapter: TypeAdapter[T] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name}: the name of a setting is <service>.<what it sets>, in snake_case")
        object.__setattr__(self, "_adapter", TypeAdapter(self.type))
        self.check(self.default)

    def check(self, value: object) -> T:
        """Return the value if it fits the type.

        Raises:
            pydantic.ValidationError
        """
        return self._adapter.validate_python(value, strict=True)

    def fits(self, value: object) -> bool:
        try:
            self.check(value)
        except ValidationError:
            return False
        return True

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a value."""
        return self._adapter.json_schema()


class SettingSource(Protocol):
    """Answered by organization."""

    async def settings_of(self, org_id: OrgId | None) -> dict[str, list[Any]]:
        """Return the values that were chosen for each setting and count there, by its name: the nearest first.

        None: what the platform chose, for what belongs to no organization.
        """
        ...


async def setting(offer: Setting[T], org_id: OrgId | None) -> T:
    """Return the value that holds in an organization. None: the value of the platform, for what belongs to no organization.

    Call it before `read` or `write`. A stored value that does not fit the type, being from another release, does not count.

    Raises:
        Unavailable: organization does not answer, and nothing is kept here.
        RuntimeError: called while a connection is held.
    """
    source = client(SettingSource)
    choices = _kept.find(org_id)
    if choices is None:
        try:
            choices = await _kept.get(org_id, partial(_load, source, org_id))
        except Exception as error:
            if not is_away(error):
                raise
            choices = _kept.find_outdated(org_id)
            if choices is None:
                raise Unavailable("the settings of the organization cannot be read: repeat it shortly") from error
    return choices.value_of(offer)


def drop(tx: Transaction, org_id: OrgId | None) -> None:
    """Let every process read an organization's settings again once `tx` has committed; None: those of all organizations."""
    _kept.drop(tx, org_id)


@cache
def offered() -> dict[str, Setting[Any]]:
    """Return every setting that a service offers, by its name.

    Raises:
        ValueError: two services offer one name.
    """
    found = cast("list[Setting[Any]]", offers(Setting))
    by_name = {each.name: each for each in found}
    if len(by_name) != len(found):
        raise ValueError(f"two offers of one name among {sorted(each.name for each in found)}")
    return by_name


class Choices:
    """What was chosen for an organization, as this process keeps it; each value is checked once."""

    __slots__ = ("_chosen", "_org_id", "_values")

    def __init__(self, org_id: OrgId | None, chosen: Mapping[str, Sequence[Any]]) -> None:
        self._org_id = org_id
        self._chosen = chosen
        self._values: dict[str, Any] = {}

    def value_of(self, offer: Setting[T]) -> T:
        """Return the nearest value that fits the type, else the default."""
        if offer.name not in self._values:
            self._values[offer.name] = self._nearest(offer)
        return self._values[offer.name]

    def _nearest(self, offer: Setting[T]) -> T:
        for value in self._chosen.get(offer.name, ()):
            if offer.fits(value):
                return offer.check(value)
            _report(offer.name, self._org_id)
        return offer.default


Cache = Kept[OrgId | None, Choices]


def new_cache() -> Cache:
    """Return what keeps the choices of organizations in one process."""
    return Kept(
        "organization.settings",
        size=_MAX_ORGANIZATIONS,
        ttl_s=_TTL_S,
        max_broadcast_age_s=_MAX_BROADCAST_AGE_S,
        key=lambda text: OrgId(UUID(text)),
    )


_kept = new_cache()


async def _load(source: SettingSource, org_id: OrgId | None) -> Choices:
    return Choices(org_id, await source.settings_of(org_id))


@lru_cache(maxsize=10_000)
def _report(name: str, org_id: OrgId | None) -> None:
    """Log once that a stored value does not fit."""
    log.warning(
        "a stored setting does not fit its type: the inherited value counts",
        extra={"setting": name, "org_id": str(org_id)},
    )
