"""search keeps no person's id in its tables: they name documents. What the index holds of a document goes with it: names of
members, too, when their profile or membership ends.

Questions of members are counted for 90 days. Who asked stands there as an HMAC that is another one for each question and each 30
days, so that the questions of one person do not lead to each other. While its key exists an erasure finds the person's rows
by it and deletes them; a day after the 30 days the key is deleted, and nothing leads to anybody."""

from api.analytics.search.statistic import logic
from cluster.jobs import JobRun
from cluster.people.erasure import Erasing
from cluster.people.privacy import FreeText

FREE_TEXT = (
    FreeText(
        table="search.pins",
        columns=("query", "kinds"),
        holds="questions for which an organization puts documents on top, and of which kinds those are",
    ),
    FreeText(
        table="search.asked",
        columns=("language", "query"),
        holds="what members ask, for 90 days, without what looks like an address or a phone number; shown from 5 people on",
    ),
    FreeText(
        table="search.clicked",
        columns=("language", "query"),
        holds="questions of which an answer was opened, for 90 days; nothing leads to who asked",
    ),
)


async def erase(run: JobRun, request: Erasing) -> None:
    """Delete what the person asked: no column names them, only who knows the key finds it."""
    await logic.erase(run, request)
