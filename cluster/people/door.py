"""The rules of the door: how much callers may ask, when what is closed, and whose pages may ask. gateway keeps them.

A process asks gateway for the rules when they change (a broadcast says so), and by their version every few seconds, sooner while
broadcasts do not arrive. Until the first answer, and while gateway is away, the last known rules hold; at first `DEFAULT_PLAN`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from time import time
from typing import Any, Literal, Protocol
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.data import Transaction
from cluster.people.calls import client
from cluster.signals import broadcast, wake
from cluster.signals.buckets import Quota

log = logging.getLogger(__name__)

BucketKind = Literal["key", "person", "organization", "address", "route"]
WindowScope = Literal["platform", "service", "organization"]
WindowMode = Literal["read_only", "closed"]

TOPIC = "gateway.door"
PASSES = "maintenance:pass"
"""The permission of those for whom nothing is closed."""
DEFAULT = "default"
"""The name of the plan that holds where no override says otherwise."""
_POLL_S = 5.0
_POLL_WITHOUT_BROADCASTS_S = 1.0
_FIRST_LIMIT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many units a bucket gives in a window; an empty one is full again after it."""

    bucket: BucketKind
    units: int
    window_s: int
    route: str | None = None
    """Of the bucket `route`, which each caller has for it: `GET /v1/search`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    name: str
    limits: list[Limit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Puts an organization, or a key, under another plan. For buckets that this does not name the next one holds."""

    plan: str
    org_id: OrgId | None = None
    key_id: UUID | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Maintenance: from when to when what is read only or closed."""

    id: UUID
    scope: WindowScope
    mode: WindowMode
    starts_at: datetime
    ends_at: datetime
    service: str | None = None
    org_id: OrgId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose pages may ask. With `credentials` their browsers send cookies along."""

    origin: str
    credentials: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorRules:
    """All rules, as gateway answers them. What is over is left out."""

    version: int
    plans: list[Plan] = field(default_factory=list[Plan])
    overrides: list[Override] = field(default_factory=list[Override])
    windows: list[Window] = field(default_factory=list[Window])
    origins: list[Origin] = field(default_factory=list[Origin])


class DoorSource(Protocol):
    """Answered by gateway."""

    async def door_rules(self, known_version: int) -> DoorRules | None:
        """Return the rules, None when they are still of this version."""
        ...


DEFAULT_PLAN = Plan(
    name=DEFAULT,
    limits=[
        Limit(bucket="key", units=12_000, window_s=60),
        Limit(bucket="person", units=12_000, window_s=60),
        # Guests alone: a whole school may share one address.
        Limit(bucket="address", units=60_000, window_s=60),
    ],
)
"""Stops programs that run wild; nobody who works by hand comes near."""


class Limits:
    """The limits of one kind of caller, of which the most specific plan that names a bucket decides."""

    def __init__(self, plans: Iterable[Plan]) -> None:
        self.plan = DEFAULT
        """The most specific one that holds."""
        self._quotas: dict[str, Quota] = {}
        self.routes: dict[str, Quota] = {}
        for plan in reversed(list(plans)):
            self.plan = plan.name
            for limit in plan.limits:
                quota = Quota(limit.units, limit.window_s)
                if limit.route is None:
                    self._quotas[limit.bucket] = quota
                else:
                    self.routes[limit.route] = quota
        self.key = self._quotas.get("key")
        self.person = self._quotas.get("person")
        self.organization = self._quotas.get("organization")
        self.address = self._quotas.get("address")


class Rules:
    """The rules as requests look them up."""

    def __init__(self, rules: DoorRules) -> None:
        self.version = rules.version
        self.windows = tuple(sorted(rules.windows, key=lambda window: window.starts_at))
        self.origins = {each.origin: each for each in rules.origins}
        self._plans: Mapping[str, Plan] = {DEFAULT: DEFAULT_PLAN} | {plan.name: plan for plan in rules.plans}
        self._overrides = rules.overrides
        self._index_overrides(time())
        self.default = Limits([self._plans[DEFAULT]])

    @cached_property
    def concern_organizations(self) -> bool:
        """Whether anything depends on the organization of what is asked for."""
        return (
            self.default.organization is not None
            or bool(self._of_orgs)
            or any(window.org_id is not None for window in self.windows)
        )

    def limits(self, key_id: UUID | None, org_id: OrgId | None) -> Limits:
        """Return the limits of a caller in an organization.

        An override of the key decides, else one of the organization, else the default, for each bucket that it names.
        """
        if not self._of_orgs and not self._of_keys:
            return self.default
        now = time()
        if now >= self._valid_until:
            self._index_overrides(now)
        asked = (key_id if key_id in self._of_keys else None, org_id if org_id in self._of_orgs else None)
        found = self._known.get(asked)
        if found is None:
            of_key = None if asked[0] is None else self._of_keys.get(asked[0])
            overrides = (of_key, None if asked[1] is None else self._of_orgs.get(asked[1]))
            names = [each.plan for each in overrides if each is not None and each.plan in self._plans]
            found = self._known[asked] = Limits(self._plans[name] for name in [*names, DEFAULT])
        return found

    def _index_overrides(self, now: float) -> None:
        """Look up overrides that hold now, until the first of them ends. Of two for the same the later one holds."""
        at = datetime.fromtimestamp(now, UTC)
        holding = [each for each in self._overrides if each.until is None or each.until > at]
        self._of_orgs = {each.org_id: each for each in holding if each.org_id is not None}
        self._of_keys = {each.key_id: each for each in holding if each.key_id is not None}
        self._known: dict[tuple[UUID | None, OrgId | None], Limits] = {}
        self._valid_until = min((each.until.timestamp() for each in holding if each.until), default=float("inf"))


class Passage(Protocol):
    """One request on its way through the door."""

    def enter_organization(self, org_id: UUID) -> Awaitable[None] | None:
        """Count the request for an organization too, and refuse it when that is closed; None: there is nothing to wait for.

        Raises:
            TooManyRequests, Unavailable
        """
        ...


passage: ContextVar[Passage | None] = ContextVar("passage", default=None)
_rules = Rules(DoorRules(version=-1))
_changed = asyncio.Event()
_keeping: "asyncio.Task[None] | None" = None


def current() -> Rules:
    """Return the rules that hold in this process."""
    return _rules


def adopt(rules: DoorRules) -> None:
    """Let these rules hold in this process; older ones than it knows change nothing."""
    global _rules
    if rules.version > _rules.version:
        _rules = Rules(rules)


def announce(tx: Transaction, version: int) -> None:
    """Let every process ask for the rules once `tx` has committed."""
    broadcast.announce(tx, TOPIC, {"version": version})
    tx.after_commit(_ring)


async def start() -> None:
    """Learn the rules, and keep up with them. gateway may be away."""
    global _keeping
    broadcast.listen(TOPIC, _hear, on_gap=_ring)
    try:
        async with asyncio.timeout(_FIRST_LIMIT_S):
            await refresh()
    except Exception as error:
        log.warning("the rules of the door come later", extra={"error": repr(error)})
    _keeping = asyncio.create_task(_keep(), name="door", context=Context())


async def stop() -> None:
    """Know no rules any more: the servers may be others when this process starts again."""
    global _keeping, _rules
    keeping, _keeping = _keeping, None
    if keeping is not None:
        await wake.end(keeping)
    _rules = Rules(DoorRules(version=-1))


async def refresh() -> None:
    """Ask gateway for the rules, if there are newer ones.

    Raises:
        RemoteUnavailable, OSError, asyncpg.PostgresError: nobody answers.
    """
    found = await client(DoorSource).door_rules(_rules.version)
    if found is not None:
        adopt(found)


async def _keep() -> None:
    while True:
        fresh = broadcast.fresh_within(_POLL_WITHOUT_BROADCASTS_S)
        try:
            async with asyncio.timeout(_POLL_S if fresh else _POLL_WITHOUT_BROADCASTS_S):
                await _changed.wait()
        except TimeoutError:
            pass
        _changed.clear()
        try:
            await refresh()
        except Exception as error:
            log.debug("the rules of the door are not renewed", extra={"error": repr(error)})
            await asyncio.sleep(_POLL_WITHOUT_BROADCASTS_S)


async def _hear(message: dict[str, Any]) -> None:
    if message["version"] > _rules.version:
        _changed.set()


async def _ring() -> None:
    _changed.set()
