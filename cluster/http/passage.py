"""One request on its way through the door: what it costs, of whose buckets that is taken, and whether what it asks for is open."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from time import monotonic, time
from typing import ClassVar
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.base.networks import network_of
from cluster.base.principal import Principal
from cluster.base.problems import TooManyRequests, Unavailable
from cluster.people import door, usage
from cluster.people.access import lacking, within
from cluster.people.door import Window
from cluster.signals.buckets import Bucket, Quota, Refusal, SharedBuckets

READ_COST = 1
WRITE_COST = 3
READING = frozenset({"GET", "HEAD", "OPTIONS", "WEBSOCKET"})
_OPEN_AREAS = frozenset({"sessions", "gateway"})
"""Open in spite of maintenance of the whole platform: its staff must be able to sign in, and others to see why not."""


class QuotaExceeded(TooManyRequests):
    """A caller asked more than their plan allows (draft-ietf-httpapi-ratelimit-headers-11, section 5)."""

    title = "Request cannot be satisfied as assigned quota has been exceeded"
    type_uri: ClassVar[str | None] = "https://iana.org/assignments/http-problem-types#quota-exceeded"

    @classmethod
    def of(cls, refusal: Refusal) -> "QuotaExceeded":
        bucket, seconds = refusal.bucket, max(1, math.ceil(refusal.wait_s))
        problem = cls(
            f"the limit of the {bucket.kind} is {bucket.quota.units} units in {bucket.quota.window_s} s: wait {seconds} s; "
            "GET /v1/gateway/-/limits shows what is left",
            retry_after_s=seconds,
        )
        problem.extra["violated-policies"] = [bucket.kind]
        return problem


class UnderMaintenance(Unavailable):
    """Closed, or read only, until the operators have done their work."""

    title = "Closed for maintenance"

    @classmethod
    def of(cls, window: Window) -> "UnderMaintenance":
        seconds = max(1, math.ceil(window.ends_at.timestamp() - time()))
        what = "reading goes on, changes wait" if window.mode == "read_only" else "nothing can be asked"
        problem = cls(
            f"maintenance until {window.ends_at.isoformat()}: {what}; nothing was done", retry_after_s=seconds
        )
        problem.extra |= {"window_id": str(window.id), "mode": window.mode}
        return problem


@dataclass(frozen=True, slots=True)
class Standing:
    """One of a caller's buckets."""

    policy: str
    quota: Quota
    left: int
    full_in_s: int


class Passage:
    """Takes what a request costs, once, and answers what the caller is told about it. Without buckets nothing is limited."""

    __slots__ = (
        "_buckets",
        "_charged",
        "_entered",
        "_is_write",
        "_shared",
        "_window",
        "address",
        "cost",
        "principal",
        "route",
        "service",
    )

    def __init__(
        self, shared: SharedBuckets | None, principal: Principal, address: str, service: str, is_write: bool
    ) -> None:
        self.principal = principal
        self.address = address
        self.service = service
        self.cost = 0
        self.route = ""
        """What the request is counted for; nothing: no route took it, or it was refused here."""
        self._is_write = is_write
        self._shared = shared
        self._buckets: Sequence[Bucket] = ()
        self._entered: tuple[UUID, ...] = ()
        self._charged: UUID | None = None
        """The organization whose bucket gave already what the request costs: the one that its session is bound to."""
        self._window: Window | None = None
        """The next one that concerns this request."""

    def charge(self, route: str, cost: int) -> Awaitable[None] | None:
        """Take what a route costs, from all buckets of the caller; None: there is nothing to wait for.

        Raises:
            QuotaExceeded
        """
        self.cost, self.route = cost, route
        if self._shared is None:
            return None
        self._buckets = self.buckets(route)
        self._charged = self.principal.bound_org
        return self._take(self._buckets, cost)

    def buckets(self, route: str) -> list[Bucket]:
        """Return the buckets that a route of the caller takes from, but for those of organizations it leads to."""
        shared, principal, rules = self._shared, self.principal, door.current()
        if shared is None or principal.kind == "platform":
            return []
        is_key = principal.kind == "service_account"
        org_id = principal.bound_org
        limits = rules.limits(principal.id if is_key else None, org_id)
        if principal.id is None:
            kind, id, quota = "address", network_of(self.address) or self.address, limits.address
        elif is_key:
            kind, id, quota = "key", principal.id, limits.key
        else:
            kind, id, quota = "person", principal.id, limits.person
        tenant = org_id or id
        found: list[Bucket] = []
        if quota is not None:
            found.append(shared.bucket(kind, id, tenant, quota))
        if limits.routes and (quota := limits.routes.get(route)) is not None:
            found.append(shared.bucket("route", f"{id} {route}", tenant, quota))
        if org_id is not None and limits.organization is not None:
            found.append(shared.bucket("organization", org_id, org_id, limits.organization))
        return found

    def enter_organization(self, org_id: UUID) -> Awaitable[None] | None:
        """See `cluster.people.door.Passage`.

        Raises:
            QuotaExceeded, UnderMaintenance
        """
        if org_id in self._entered or self.principal.kind == "platform":
            return None
        self._entered += (org_id,)
        rules = door.current()
        if not rules.concern_organizations:
            return None
        window = self._closing(lambda window: window.org_id == org_id) if rules.windows else None
        if window is not None:
            return self._pass(window, org_id)
        return self._charge_organization(org_id)

    def check_open(self, area: str) -> Awaitable[None] | None:
        """Refuse what is closed, but for those who may pass; None: it is open to all.

        Raises:
            UnderMaintenance
        """
        service = self.service
        if not service:
            return None
        window = self._closing(
            lambda window: (
                (window.scope == "platform" and area not in _OPEN_AREAS) or (window.service == service != "gateway")
            )
        )
        return None if window is None else self._pass(window, None)

    def count(self) -> None:
        """Count what the request took, once it has ended."""
        if self.route and self.principal.kind != "platform":
            usage.current().count(self.principal, self._entered, self.route, self.cost)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return what the caller is told of limits and maintenance with every answer."""
        found: list[tuple[bytes, bytes]] = []
        if self._buckets:
            now = monotonic()
            least = self._buckets[0]
            left = least.left(now)
            for each in self._buckets[1:]:
                other = each.left(now)
                if other < left:
                    least, left = each, other
            reset_s = math.ceil(least.level_s(now) + least.owed * least.interval_s)
            found.append((b"ratelimit", f'"{least.kind}";r={left};t={reset_s}'.encode()))
            found.append((b"ratelimit-policy", b", ".join(_policy(each.kind, each.quota) for each in self._buckets)))
        window = self._window
        if window is not None:
            found.append((b"maintenance", _announced(window.starts_at, window.ends_at, window.mode)))
        return found

    async def standing(self, route: str) -> list[Standing]:
        """Return how the caller's buckets are, as all processes together know."""
        buckets = self.buckets(route)
        if self._shared is not None:
            await self._shared.look(buckets)
        now = monotonic()
        return [Standing(each.kind, each.quota, each.left(now), math.ceil(each.level_s(now))) for each in buckets]

    def _take(self, buckets: Sequence[Bucket], cost: int) -> Awaitable[None] | None:
        if not buckets or self._shared is None:
            return None
        taken = self._shared.take(buckets, cost)
        if taken is None:
            return None
        if taken == "ask":
            return self._ask(self._shared, buckets, cost)
        self.route = ""
        raise QuotaExceeded.of(taken)

    async def _ask(self, shared: SharedBuckets, buckets: Sequence[Bucket], cost: int) -> None:
        refusal = await shared.ask(buckets, cost)
        if refusal is not None:
            self.route = ""
            raise QuotaExceeded.of(refusal)

    def _charge_organization(self, org_id: UUID) -> Awaitable[None] | None:
        principal = self.principal
        key_id = principal.id if principal.kind == "service_account" else None
        quota = door.current().limits(key_id, OrgId(org_id)).organization
        if quota is None or self._shared is None or not self.cost or org_id == self._charged:
            return None
        bucket = self._shared.bucket("organization", org_id, org_id, quota)
        self._buckets = [*self._buckets, bucket]
        return self._take([bucket], self.cost)

    def _closing(self, concerns: Callable[[Window], bool]) -> Window | None:
        """Return what is closed for this request now, and note what will be."""
        now = time()
        for window in door.current().windows:
            if window.ends_at.timestamp() <= now or not concerns(window):
                continue
            if self._window is None:
                self._window = window
            if window.starts_at.timestamp() <= now and (window.mode == "closed" or self._is_write):
                self._window = window
                return window
        return None

    async def _pass(self, window: Window, org_id: UUID | None) -> None:
        if await lacking(self.principal, [door.PASSES], within()):
            raise UnderMaintenance.of(window)
        if org_id is not None and (waiting := self._charge_organization(org_id)) is not None:
            await waiting


@lru_cache(maxsize=1000)
def _policy(kind: str, quota: Quota) -> bytes:
    return f'"{kind}";q={quota.units};w={quota.window_s}'.encode()


@lru_cache(maxsize=100)
def _announced(starts_at: datetime, ends_at: datetime, mode: str) -> bytes:
    """Say when maintenance begins and ends: a dictionary of RFC 9651 with its dates."""
    starts, ends = int(starts_at.timestamp()), int(ends_at.timestamp())
    return f"starts=@{starts}, ends=@{ends}, mode={mode}".encode()
