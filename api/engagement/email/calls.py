"""Answers `EmailCalls`."""

from uuid import UUID

from api.engagement.email.contract import EmailCalls, LetterState, NewLetter, ReceivedId, ReceivedMail
from api.engagement.email.letter import logic
from api.engagement.email.receiving import logic as receiving
from api.engagement.email.suppression import logic as suppressions
from cluster.base.ids import OrgId
from cluster.people import calls


class Calls(EmailCalls):
    async def send(self, letters: list[NewLetter]) -> list[LetterState]:
        return await logic.send(calls.caller("email"), letters)

    async def cancel(self, letter_ids: list[UUID]) -> list[LetterState]:
        return await logic.cancel(calls.caller("email"), letter_ids)

    async def find_received(self, received_id: ReceivedId) -> ReceivedMail | None:
        return await receiving.find_received(received_id)

    async def allow(self, to: str, org_id: OrgId | None, category: str) -> None:
        await suppressions.allow(calls.caller("email"), to, org_id, category)
