"""Answers other services."""

from datetime import datetime

from api.core.auth import identities, identity_store
from api.core.auth.addresses import key_of
from api.core.auth.contract import Address, Registered
from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.data import read
from cluster.people import calls


class Calls:
    async def create_identity(self, user_id: UserId, email: str, password: str) -> Registered:
        return await identities.create_identity(user_id, email, password)

    async def release_identity(self, user_id: UserId) -> None:
        await identities.release_identity(calls.caller("auth"), user_id)

    async def find_people(self, emails: list[str]) -> dict[str, UserId]:
        keys = {email: key_of(email) for email in emails[:1000]}
        async with read() as db:
            people = await identity_store.find_people(db, list(keys.values()))
        return {email: people[key] for email, key in keys.items() if key in people}

    async def address_of(self, user_id: UserId) -> Address | None:
        return await identities.address_of(user_id)

    async def owns_address(self, user_id: UserId, email: str) -> bool:
        return await identities.owns_address(user_id, email)

    async def request_email(self, principal: Principal, email: str, password: str) -> None:
        await identities.request_email(principal, email, password)

    async def request_verification(self, principal: Principal) -> None:
        await identities.request_verification(principal)

    async def verify_email(self, principal: Principal, token: str) -> Address:
        return await identities.verify_email(principal, token)

    async def list_identities(self, after: UserId | None, until: datetime, limit: int) -> list[UserId]:
        async with read() as db:
            return await identity_store.list_people(db, after, until, limit)
