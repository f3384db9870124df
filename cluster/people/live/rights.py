"""Rights and sessions of those who are connected: looked at again whenever they may have changed."""

import asyncio
import logging
from collections.abc import Iterable
from time import monotonic, time
from typing import Any
from uuid import UUID

from cluster.base.ids import UserId
from cluster.base.problems import Forbidden, NotFound, Unauthorized
from cluster.people import identity
from cluster.people.live.hub import Hub
from cluster.people.live.reader import SIGN_IN_AGAIN, Reader
from cluster.signals import wake

log = logging.getLogger(__name__)

RIGHTS_EVERY_S = 300.0
REVOCATIONS_EVERY_S = 240.0
"""Sooner than a revocation is forgotten, which lasts as long as an access token."""
MAX_AGE_S = 12 * 3600.0
"""Of a connection: its session may have expired meanwhile."""
_GATHER_S = 0.05
_RETRY_S = 1.0


class Rights:
    """Takes away what is no longer theirs from the connections of one process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._people: set[UserId] = set()
        self._orgs: set[UUID] = set()
        self._everybody = False
        self._sessions = False
        self._missed = False
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._run(), name="live rights")]

    async def stop(self) -> None:
        for task in self._tasks:
            await wake.end(task)

    def hear_access(self, message: dict[str, Any]) -> None:
        """Note whose rights changed: one person's, or everybody's in an organization."""
        if "user_id" in message:
            person = UserId(UUID(message["user_id"]))
            _look_again(self._hub.readers_of(person))
            self._people.add(person)
        elif "org_id" in message:
            _look_again(self._hub.readers)
            self._orgs.add(UUID(message["org_id"]))
        else:
            self.hear_gap()
            return
        self._changed.set()

    def hear_identity(self) -> None:
        """Note that sessions ended."""
        self._sessions = True
        self._changed.set()

    def hear_gap(self) -> None:
        """Note that rights and sessions may have changed unheard."""
        _look_again(self._hub.readers)
        self._everybody = self._missed = True
        self._changed.set()

    async def _run(self) -> None:
        rights_at, sessions_at = monotonic() + RIGHTS_EVERY_S, monotonic() + REVOCATIONS_EVERY_S
        while True:
            try:
                async with asyncio.timeout_at(
                    asyncio.get_running_loop().time() + min(rights_at, sessions_at) - monotonic()
                ):
                    await self._changed.wait()
                await asyncio.sleep(_GATHER_S)
            except TimeoutError:
                pass
            self._changed.clear()
            if monotonic() >= sessions_at:
                self._missed, sessions_at = True, monotonic() + REVOCATIONS_EVERY_S
            if monotonic() >= rights_at:
                self._everybody, rights_at = True, monotonic() + RIGHTS_EVERY_S
            try:
                await self._look()
            except Exception as error:
                log.warning("rights of live connections wait", extra={"error": repr(error)})
                self._changed.set()
                await asyncio.sleep(_RETRY_S)

    async def _look(self) -> None:
        if self._missed:
            await identity.reload_revocations()
            self._missed, self._sessions = False, True
        if self._sessions:
            self._sessions = False
            self._end_sessions()
        people, self._people = self._people, set()
        orgs, self._orgs = self._orgs, set()
        everybody, self._everybody = self._everybody, False
        try:
            if everybody:
                await self._hub.sweep()
            await self._check(self._affected(people, orgs, everybody=everybody))
        except BaseException:
            self._people |= people
            self._orgs |= orgs
            self._everybody |= everybody
            raise

    def _affected(self, people: set[UserId], orgs: set[UUID], *, everybody: bool) -> list[Reader]:
        if everybody:
            return list(self._hub.readers)
        found = {reader for person in people for reader in self._hub.readers_of(person)}
        if orgs:
            found |= {
                reader
                for reader in self._hub.readers
                if any(link.room.place is not None and link.room.place.org_id in orgs for link in reader.links.values())
            }
        return list(found)

    def _end_sessions(self) -> None:
        oldest = time() - MAX_AGE_S
        for reader in self._hub.readers:
            if reader.since < oldest or identity.is_over(reader.principal, reader.since):
                reader.close(SIGN_IN_AGAIN, "this session was ended; sign in again")

    async def _check(self, readers: Iterable[Reader]) -> None:
        for reader in readers:
            for label, link in list(reader.links.items()):
                place = link.room.place
                if place is None:
                    continue
                try:
                    await self._hub.permit(reader, link.room, place)
                except (Forbidden, NotFound, Unauthorized) as problem:
                    self._hub.lose(reader, label, problem.status)


def _look_again(readers: Iterable[Reader]) -> None:
    for reader in readers:
        reader.checks += 1
