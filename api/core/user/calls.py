"""Answers `UserCalls`, what is found of people, and what others read in profiles."""

from uuid import UUID

from api.core.user import store
from api.core.user.contract import Profile, UserCalls
from api.core.user.membership import store as membership
from api.platform.moderation.contract import Content, Moderated
from cluster.base.ids import UserId
from cluster.data import read
from cluster.people.documents import Document, Documents, DocumentSource


class Calls(UserCalls, DocumentSource, Moderated):
    async def documents(self, kind: str, ids: list[UUID]) -> Documents:  # noqa: ARG002 (there is one kind)
        async with read() as db:
            return await membership.list_documents(db, ids)

    async def document_page(self, kind: str, after: UUID | None, limit: int) -> list[Document]:  # noqa: ARG002
        async with read() as db:
            return await membership.list_document_page(db, after, limit)

    async def profiles(self, user_ids: list[UserId]) -> list[Profile]:
        async with read() as db:
            return await store.list_profiles(db, user_ids[:1000])

    async def content(self, kind: str, ids: list[UUID]) -> list[Content]:  # noqa: ARG002 (there is one kind)
        async with read() as db:
            return await store.list_moderated(db, [UserId(each) for each in ids])
