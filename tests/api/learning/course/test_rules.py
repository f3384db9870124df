from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.learning.course.contract import CourseId, Run, RunId
from api.learning.course.rules import revision_shown, slug_of, takes_learners
from cluster.base.ids import OrgId, new_id

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def run(**fields: object) -> Run:
    defaults: dict[str, object] = {
        "id": RunId(new_id()),
        "course_id": CourseId(new_id()),
        "org_id": OrgId(new_id()),
        "title": "Run",
        "pace": "self",
        "is_default": True,
        "starts_at": None,
        "ends_at": None,
        "enrolment_opens_at": None,
        "enrolment_closes_at": None,
        "seats": None,
        "pinned_revision": None,
        "ended_at": None,
        "version": 1,
        "created_at": NOW,
    }
    return Run(**(defaults | fields))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"starts_at": NOW + HOUR}, True),
        ({"ended_at": NOW}, False),
        ({"ends_at": NOW}, False),
        ({"enrolment_opens_at": NOW + HOUR}, False),
        ({"enrolment_opens_at": NOW}, True),
        ({"enrolment_closes_at": NOW}, False),
        ({"enrolment_closes_at": NOW + HOUR}, True),
    ],
)
def test_when_a_run_takes_learners(fields: dict[str, object], expected: bool) -> None:
    assert takes_learners(run(**fields), NOW) is expected


def test_a_run_shows_its_pinned_revision_or_the_newest() -> None:
    assert revision_shown(run(), 4) == 4
    assert revision_shown(run(pinned_revision=2), 4) == 2


@given(st.text(max_size=300))
def test_a_slug_is_always_one(title: str) -> None:
    slug = slug_of(title)
    assert 0 < len(slug) <= 80
    assert all(word.isascii() and word.isalnum() and word.lower() == word for word in slug.split("-"))
