"""Answers `UserCalls`."""

from api.core.user import store
from api.core.user.contract import Profile, UserCalls
from cluster.base.ids import UserId
from cluster.data import read


class Calls(UserCalls):
    async def profiles(self, user_ids: list[UserId]) -> list[Profile]:
        async with read() as db:
            return await store.list_profiles(db, user_ids[:1000])
