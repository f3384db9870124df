"""What several notifications are called together: how many, and in which courses."""

from collections.abc import Iterator
from uuid import UUID

from api.engagement.notification.delivery.outgoing import Item, Outgoing
from cluster.people.wording import say

_SERVICE = "notification"


def title_of(outgoing: Outgoing) -> str:
    """Return "3 new notifications in Biology 1", in the reader's language."""
    ids = list(dict.fromkeys(item.text.course_id for item in outgoing.items))
    names = [outgoing.courses[id] for id in ids if id is not None and id in outgoing.courses]
    part, fields = "of_all", dict[str, object]()
    if len(names) == len(ids):
        match names:
            case [course]:
                part, fields = "of_course", {"course": course}
            case [course, second]:
                part, fields = "of_two", {"course": course, "second": second}
            case _:
                part, fields = "of_several", {"courses": len(names)}
    return say(_SERVICE, "digest", part, outgoing.reader, count=len(outgoing.items), **fields)


def by_course(outgoing: Outgoing, items: list[Item]) -> Iterator[tuple[str, list[Item]]]:
    """Yield these items of each course with its name, in the order of their first; what is of no course comes last."""
    groups: dict[UUID | None, list[Item]] = {}
    for item in items:
        course_id = item.text.course_id if item.text.course_id in outgoing.courses else None
        groups.setdefault(course_id, []).append(item)
    beside = groups.pop(None, [])
    for course_id, found in groups.items():
        yield outgoing.courses[course_id] if course_id else "", found
    if beside:
        yield say(_SERVICE, "digest", "beside", outgoing.reader) if groups else "", beside
