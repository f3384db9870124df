"""Answers `AuthCalls`, `AddressSource` of the kernel, and what notification asks about sessions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from api.core.auth.addresses import key_of
from api.core.auth.contract import DEFAULT_LOCALE, Address, AuthCalls, Registered, SessionId
from api.core.auth.identity import logic, store
from api.core.auth.session import store as sessions
from api.core.auth.session.rules import program_and_system
from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.data import read
from cluster.people import calls
from cluster.people.notices import NoticeSource, NoticeText, Reader, only
from cluster.people.wording import say, worded


class Calls(AuthCalls, NoticeSource):
    async def create_identity(
        self, user_id: UserId, email: str, password: str, locale: str = DEFAULT_LOCALE
    ) -> Registered:
        return await logic.create_identity(user_id, email, password, locale)

    async def release_identity(self, user_id: UserId) -> None:
        await logic.release_identity(calls.caller("auth"), user_id)

    async def find_people(self, emails: list[str]) -> dict[str, UserId]:
        keys = {email: key_of(email) for email in emails[:1000]}
        async with read() as db:
            people = await store.find_people(db, list(keys.values()))
        return {email: people[key] for email, key in keys.items() if key in people}

    async def address_of(self, user_id: UserId) -> Address | None:
        return await logic.address_of(user_id)

    async def owns_address(self, user_id: UserId, email: str) -> bool:
        return await logic.owns_address(user_id, email)

    async def request_email(self, caller: Principal, email: str, password: str, locale: str = DEFAULT_LOCALE) -> None:
        await logic.request_email(caller, email, password, locale)

    async def request_verification(self, caller: Principal, locale: str = DEFAULT_LOCALE) -> None:
        await logic.request_verification(caller, locale)

    async def verify_email(self, caller: Principal, token: str) -> Address:
        return await logic.verify_email(caller, token)

    async def list_identities(self, after: UserId | None, until: datetime, limit: int) -> list[UserId]:
        async with read() as db:
            return await store.list_people(db, after, until, limit)

    async def recipients(self, notice: str, event: dict[str, Any], after: UUID | None, limit: int) -> list[UserId]:  # noqa: ARG002
        return only(event["user_id"], after)

    async def texts(self, notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:  # noqa: ARG002
        async with read() as db:
            session = await sessions.find_origin(db, SessionId(UUID(event["session_id"])))
        if session is None:
            return []
        program, system = program_and_system(session.user_agent)
        part = "program_on_system" if program and system else "program" if program else "unknown"
        return [
            text
            for reader in readers
            for text in worded(
                "auth",
                "session.new_device",
                [reader],
                url="/account/sessions",
                device=say("auth", "device", part, reader, program=program, system=system),
                at=session.created_at,
                address=session.address,
            )
        ]
