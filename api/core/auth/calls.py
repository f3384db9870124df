"""Answers `AuthCalls`, and `AddressSource` of the kernel."""

from datetime import datetime

from api.core.auth.addresses import key_of
from api.core.auth.contract import Address, AuthCalls, Registered
from api.core.auth.identity import logic, store
from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.data import read
from cluster.people import calls


class Calls(AuthCalls):
    async def create_identity(self, user_id: UserId, email: str, password: str) -> Registered:
        return await logic.create_identity(user_id, email, password)

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

    async def request_email(self, caller: Principal, email: str, password: str) -> None:
        await logic.request_email(caller, email, password)

    async def request_verification(self, caller: Principal) -> None:
        await logic.request_verification(caller)

    async def verify_email(self, caller: Principal, token: str) -> Address:
        return await logic.verify_email(caller, token)

    async def list_identities(self, after: UserId | None, until: datetime, limit: int) -> list[UserId]:
        async with read() as db:
            return await store.list_people(db, after, until, limit)
