"""The answers of the catalogue, kept by each process: anybody may ask, and a crowd does."""

from cluster.base.principal import Principal
from cluster.data import Transaction
from cluster.http import KeptAnswers
from cluster.people.access import Reach, reach_of


async def reach(caller: Principal) -> Reach:
    """Return where the caller sees what is published for members only."""
    return Reach() if caller.id is None else await reach_of(caller, "catalog:read-organization")


LISTS = KeptAnswers("course.catalog", reach=reach)
LISTINGS = KeptAnswers("course.listings")


def drop(tx: Transaction) -> None:
    """Forget the answers in every process once `tx` has committed."""
    LISTS.drop(tx)
    LISTINGS.drop(tx)


def forget_after(tx: Transaction) -> None:
    """Forget the answers in this process once `tx` has committed. Other processes keep them to the end of their second."""

    async def forget() -> None:
        LISTS.forget()
        LISTINGS.forget()

    tx.after_commit(forget)
