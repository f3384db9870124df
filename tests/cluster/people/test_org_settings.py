"""Reading settings: which value counts, and when this process asks organization for it."""

from typing import Annotated, Any, Literal, assert_type

import orjson
import pytest
from pydantic import Field, ValidationError

from cluster.base.ids import OrgId, new_id
from cluster.base.problems import Unavailable
from cluster.base.registry import offers_by_service
from cluster.data import postgres
from cluster.people import calls, org_settings
from cluster.people.access import roles_with
from cluster.people.org_settings import Setting, offered, setting
from cluster.signals import broadcast

ORG, OTHER = OrgId(new_id()), OrgId(new_id())
Color = Literal["red", "blue"]
DAYS = Setting(name="test.days", title="Days", type=Annotated[int, Field(ge=1, le=30)], default=7)
COLOR: Setting[Color] = Setting(name="test.color", title="Colour", type=Color, default="red")


class Source:
    """Answers for organization; `error` is raised instead."""

    def __init__(self) -> None:
        self.asked = 0
        self.chosen: dict[str, list[Any]] = {}
        self.error: Exception | None = None

    async def settings_of(self, org_id: OrgId | None) -> dict[str, list[Any]]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return dict(self.chosen)


@pytest.fixture
async def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    made = Source()
    monkeypatch.setattr(calls, "_local", {"organization": made})
    monkeypatch.setattr(org_settings, "_kept", org_settings.new_cache())
    hear_broadcasts(monkeypatch, arrive=True)
    return made


def hear_broadcasts(monkeypatch: pytest.MonkeyPatch, *, arrive: bool) -> None:
    def fresh_within(_seconds: float) -> bool:
        return arrive

    monkeypatch.setattr(broadcast, "fresh_within", fresh_within)


async def announced(**message: str) -> None:
    """Take a broadcast of another process that says which settings have changed."""
    document = {"id": new_id(), "topic": "organization.settings", "message": message}
    await broadcast.receive(orjson.dumps(document).decode())


@pytest.mark.parametrize(
    ("chosen", "value"),
    [({}, 7), ({"test.days": []}, 7), ({"test.days": [3]}, 3), ({"test.days": [2, 3]}, 2), ({"test.more": [2]}, 7)],
)
async def test_setting_returns_the_nearest_value(source: Source, chosen: dict[str, list[Any]], value: int) -> None:
    source.chosen = chosen

    days = await setting(DAYS, ORG)

    assert_type(days, int)
    assert days == value
    assert_type(await setting(COLOR, ORG), Color)


@pytest.mark.parametrize("unfit", ["3", 3.5, True, 31, None, [3]])
async def test_setting_passes_over_a_value_of_another_type(
    source: Source, unfit: object, caplog: pytest.LogCaptureFixture
) -> None:
    org_id = OrgId(new_id())
    source.chosen = {"test.days": [unfit, 5]}

    values = []
    for _ in range(2):
        values.append(await setting(DAYS, org_id))
        await announced()

    assert (values, source.asked) == ([5, 5], 2)
    assert [record.message for record in caplog.records if "fit" in record.message] == [
        "a stored setting does not fit its type: the inherited value counts"
    ]


async def test_setting_returns_the_default_when_nothing_fits(source: Source) -> None:
    source.chosen = {"test.color": ["green", 7]}

    assert await setting(COLOR, ORG) == "red"


async def test_setting_asks_once_until_it_hears_of_a_change(source: Source) -> None:
    asked: list[int] = []
    for message in ({}, {"key": str(OTHER)}, {"key": str(ORG)}, None):
        if message:
            await announced(**message)
        for org_id in (ORG, OTHER, None):
            await setting(DAYS, org_id)
            await setting(COLOR, org_id)
        asked.append(source.asked)

    await announced()
    for org_id in (ORG, OTHER, None):
        await setting(DAYS, org_id)

    assert [*asked, source.asked] == [3, 4, 5, 5, 8]


async def test_setting_asks_each_time_while_broadcasts_are_late(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear_broadcasts(monkeypatch, arrive=False)
    source.chosen = {"test.days": [3]}
    before = await setting(DAYS, ORG)

    source.chosen = {"test.days": [4]}

    assert (before, await setting(DAYS, ORG)) == (3, 4)


@pytest.mark.parametrize("error", [calls.RemoteUnavailable("away"), ConnectionRefusedError()])
async def test_setting_returns_what_is_kept_while_organization_is_away(
    source: Source, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    source.chosen = {"test.days": [3]}
    await setting(DAYS, ORG)
    hear_broadcasts(monkeypatch, arrive=False)

    source.error = error

    assert await setting(DAYS, ORG) == 3
    with pytest.raises(Unavailable):
        await setting(DAYS, OTHER)


async def test_setting_does_not_hide_a_fault_of_organization(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    await setting(DAYS, ORG)
    hear_broadcasts(monkeypatch, arrive=False)

    source.error = LookupError("a fault")

    with pytest.raises(LookupError, match="a fault"):
        await setting(DAYS, ORG)


async def test_setting_rejects_a_read_while_a_connection_is_held(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting(DAYS, ORG)

    monkeypatch.setattr(postgres, "holds_connection", lambda: True)

    with pytest.raises(RuntimeError, match="while a connection is held"):
        await setting(DAYS, ORG)


@pytest.mark.parametrize("name", ["days", "test.Days", "test.days.left", "Test.days"])
def test_an_offer_rejects_a_name_of_another_form(name: str) -> None:
    with pytest.raises(ValueError, match="in snake_case"):
        Setting(name=name, title="Days", type=int, default=7)


def test_an_offer_rejects_a_default_that_does_not_fit() -> None:
    with pytest.raises(ValidationError):
        Setting(name="test.days", title="Days", type=Annotated[int, Field(ge=1)], default=0)


def test_offered_settings_are_named_after_their_service() -> None:
    settings = offers_by_service(Setting)

    assert [offer.name for service, offer in settings if not offer.name.startswith(f"{service}.")] == []
    assert len(offered()) == len(settings)
    assert [name for name, offer in offered().items() if not roles_with(offer.permission)] == []
