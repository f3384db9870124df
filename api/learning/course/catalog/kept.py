"""The answers of the catalogue, kept by each process: anybody may ask, and a crowd does."""

from api.learning.course.catalog import store
from api.learning.course.catalog.store import Listing
from api.learning.course.contract import CourseId
from cluster.base.principal import Principal
from cluster.data import Transaction, read
from cluster.http import KeptAnswers
from cluster.people.access import Guarded, Reach, reach_of
from cluster.signals.kept import Kept


async def reach(caller: Principal) -> Reach:
    """Return where the caller sees what is published for members only."""
    return Reach() if caller.id is None else await reach_of(caller, "catalog:read-organization")


_TOPIC = "course.catalog"
"""One message drops all of them."""
LISTS = KeptAnswers(_TOPIC, reach=reach)
_found: Kept[CourseId, Guarded[Listing] | None] = Kept(_TOPIC, size=2_000)


async def find_listing(course_id: CourseId) -> Guarded[Listing] | None:
    """Find what the catalogue shows of a course as `store.find_listing` does, at most a second late."""

    async def load() -> Guarded[Listing] | None:
        async with read() as db:
            return await store.find_listing(db, course_id)

    return await _found.get(course_id, load)


def drop(tx: Transaction) -> None:
    """Forget the answers in every process once `tx` has committed."""
    LISTS.drop(tx)
    forget_after(tx)


def forget_after(tx: Transaction) -> None:
    """Forget the answers in this process once `tx` has committed. Other processes keep them to the end of their second."""

    async def forget() -> None:
        LISTS.forget()
        _found.forget()

    tx.after_commit(forget)
