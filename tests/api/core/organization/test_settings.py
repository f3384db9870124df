"""Settings over HTTP: what an organization chooses, what it inherits, what the platform locks, and who hears of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from api.core.organization.offers import INVITATION_DAYS
from api.core.organization.setting import store
from api.core.organization.setting.store import Chosen
from api.core.rbac.contract import RbacCalls
from cluster.base.ids import OrgId, new_id
from cluster.data import read
from cluster.data.postgres import pool
from cluster.people import org_settings
from cluster.people.calls import client
from cluster.people.org_settings import Cache, setting
from cluster.signals import broadcast
from tests.api.core.organization.test_members import join
from tests.harness import Hub, Person, done, problem
from tests.org_settings import PLATFORM, change, in_process, settings_of

DAYS, LANGUAGE = "organization.invitation_days", "course.language"


async def shown(person: Person, path: str, name: str = DAYS) -> tuple[Any, str, bool]:
    """Return the value of a setting, where it comes from, and whether it is locked."""
    [found] = [each for each in done(await person.get(path))["settings"] if each["name"] == name]
    return found["value"], found["inherited_from"], found["locked"]


@pytest.fixture(scope="module")
async def operator(hub: Hub) -> Person:
    person = await hub.person("operator")
    await client(RbacCalls).grant(person.id, "platform_admin", "platform", None, None)
    return person


@pytest.fixture
async def platform(operator: Person) -> AsyncIterator[Person]:
    """The platform's administrator; afterwards the platform has chosen and locked nothing."""
    yield operator
    names = org_settings.offered()
    nothing = {"values": dict.fromkeys(names), "locked": {name: False for name in names if names[name].lockable}}
    done(await change(operator, PLATFORM, nothing))


async def test_settings_are_shown_with_type_and_origin(hub: Hub) -> None:
    school = await hub.school()

    answer = await school.owner.get(settings_of(school.org_id))

    assert done(answer)["organization_id"] == str(school.org_id)
    assert [each["name"] for each in answer.json()["settings"]] == list(org_settings.offered())
    assert [each for each in answer.json()["settings"] if each["name"] == DAYS] == [
        {
            "name": DAYS,
            "title": INVITATION_DAYS.title,
            "value": 7,
            "default": 7,
            "inherited_from": "default",
            "locked": False,
            "permission": "organization:edit",
            "value_schema": {"type": "integer", "minimum": 1, "maximum": 90},
        }
    ]


async def test_an_organization_inherits_until_it_chooses(hub: Hub, platform: Person) -> None:
    school = await hub.school()
    path = settings_of(school.org_id)
    seen = [await shown(school.owner, path)]
    for by, where, changes in (
        (platform, PLATFORM, {"values": {DAYS: 14}}),
        (school.owner, path, {DAYS: 3}),
        (school.owner, path, {DAYS: None}),
        (platform, PLATFORM, {"values": {DAYS: None}}),
    ):
        done(await change(by, where, changes))
        seen.append(await shown(school.owner, path))

    assert seen == [
        (7, "default", False),
        (14, "platform", False),
        (3, "organization", False),
        (14, "platform", False),
        (7, "default", False),
    ]


async def test_one_change_answers_what_a_read_then_shows(hub: Hub) -> None:
    school = await hub.school()
    path = settings_of(school.org_id)

    changed = await change(school.owner, path, {DAYS: 3, LANGUAGE: "fr"})
    read_again = await school.owner.get(path)

    assert done(changed) == done(read_again)
    assert changed.headers["ETag"] == read_again.headers["ETag"]
    assert await shown(school.owner, path, LANGUAGE) == ("fr", "organization", False)


async def test_a_locked_setting_is_the_platforms_until_unlocked(hub: Hub, platform: Person) -> None:
    school = await hub.school()
    path = settings_of(school.org_id)
    done(await change(school.owner, path, {DAYS: 3, LANGUAGE: "fr"}))
    done(await change(platform, PLATFORM, {"values": {DAYS: 14}, "locked": {DAYS: True}}))

    refused = [
        problem(await change(school.owner, path, {DAYS: days, LANGUAGE: "de"}), 409, "setting-locked")["errors"]
        for days in (4, None)
    ]
    locked = await shown(school.owner, path), await setting(INVITATION_DAYS, school.org_id)
    done(await change(platform, PLATFORM, {"locked": {DAYS: None}}))
    unlocked = await shown(school.owner, path), await setting(INVITATION_DAYS, school.org_id)

    assert [[(each["pointer"], each["code"]) for each in errors] for errors in refused] == [
        [(f"/{DAYS}", "setting-locked")]
    ] * 2
    assert locked == ((14, "platform", True), 14)
    assert unlocked == ((3, "organization", False), 3)
    assert await shown(school.owner, path, LANGUAGE) == ("fr", "organization", False), "all or nothing"


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({DAYS: "3"}, [(f"/{DAYS}", "int-type")]),
        ({DAYS: True}, [(f"/{DAYS}", "int-type")]),
        ({DAYS: 91}, [(f"/{DAYS}", "less-than-equal")]),
        ({"course.visibility": "secret"}, [("/course.visibility", "literal-error")]),
        (
            {"no.such": 1, DAYS: 0, LANGUAGE: "fr"},
            [(f"/{DAYS}", "greater-than-equal"), ("/no.such", "extra-forbidden")],
        ),
        ({"organization__invitation_days": 3}, [("/organization__invitation_days", "extra-forbidden")]),
    ],
)
async def test_a_change_rejects_what_does_not_fit_as_a_whole(
    hub: Hub, changes: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    school = await hub.school()

    refused = problem(await change(school.owner, settings_of(school.org_id), changes), 422, "invalid")

    assert sorted((each["pointer"], each["code"]) for each in refused["errors"]) == sorted(errors)
    assert await shown(school.owner, settings_of(school.org_id), LANGUAGE) == ("en", "default", False)


async def test_the_platform_rejects_what_does_not_fit_with_pointers(platform: Person) -> None:
    refused = problem(
        await change(
            platform, PLATFORM, {"values": {DAYS: "3"}, "locked": {"no.such": True, "media.storage_bytes": True}}
        ),
        422,
        "invalid",
    )

    assert {each["pointer"] for each in refused["errors"]} == {
        f"/values/{DAYS}",
        "/locked/no.such",
        "/locked/media.storage_bytes",
    }


async def test_of_two_changes_of_one_version_one_is_stale(hub: Hub) -> None:
    school = await hub.school()
    path = settings_of(school.org_id)
    etag = {"If-Match": (await school.owner.get(path)).headers["ETag"]}

    answers = await asyncio.gather(*(school.owner.patch(path, {DAYS: days}, headers=etag) for days in (3, 4)))

    won, lost = sorted(answers, key=lambda answer: answer.status_code)
    assert problem(lost, 412, "stale")["current_version"] == int(won.headers["ETag"].strip('"'))
    assert done(won) == done(await school.owner.get(path))


async def test_a_change_of_the_platform_makes_an_etag_stale(hub: Hub, platform: Person) -> None:
    school = await hub.school()
    etag = {"If-Match": (await school.owner.get(settings_of(school.org_id))).headers["ETag"]}
    done(await change(platform, PLATFORM, {"values": {DAYS: 14}}))

    problem(await school.owner.patch(settings_of(school.org_id), {DAYS: 3}, headers=etag), 412, "stale")
    problem(await school.owner.patch(settings_of(school.org_id), {DAYS: 3}), 428, "precondition-required")
    problem(await platform.patch(PLATFORM, {"values": {DAYS: 3}}, headers={"If-Match": '"999"'}), 412, "stale")


async def test_a_change_is_told_once_by_names_alone(hub: Hub) -> None:
    school = await hub.school()
    path, key = settings_of(school.org_id), {"Idempotency-Key": new_id().hex}
    etag = {"If-Match": (await school.owner.get(path)).headers["ETag"]}
    await hub.settle()

    answers = [await school.owner.patch(path, {DAYS: 3, LANGUAGE: "en"}, headers={**etag, **key}) for _ in range(2)]
    done(await change(school.owner, path, {DAYS: 3}))
    told = await hub.events("organization.settings_changed")
    await hub.settle()

    assert [done(answer) for answer in answers] == [answers[0].json()] * 2
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    expected = {"scope_id": str(school.org_id), "org_id": str(school.org_id), "names": [LANGUAGE, DAYS]}
    assert [(each.payload, each.version) for each in told] == [(expected, 1)]
    wanted = {"organization_id": str(school.org_id), "action": "organization.settings_changed"}
    entries = done(await school.owner.get("/v1/audit-entries", params=wanted))["items"]
    assert [(entry["actor"]["id"], entry["target"]["id"]) for entry in entries] == [
        (str(school.owner.id), str(school.org_id))
    ]


async def test_a_repeated_change_of_the_platform_is_done_once(platform: Person) -> None:
    etag = (await platform.get(PLATFORM)).headers["ETag"]
    headers = {"If-Match": etag, "Idempotency-Key": new_id().hex}

    answers = [await platform.patch(PLATFORM, {"values": {DAYS: 14}}, headers=headers) for _ in range(2)]

    assert [done(answer) for answer in answers] == [answers[0].json()] * 2
    assert int(answers[1].headers["ETag"].strip('"')) == int(etag.strip('"')) + 1


async def test_settings_are_seen_by_members_and_changed_by_owners(hub: Hub, operator: Person) -> None:
    school, rival, member = await hub.school(), await hub.school("rival"), await hub.person("member")
    await join(school, member)
    path, etag = settings_of(school.org_id), {"If-Match": '"0"'}

    reads = [(await each.get(path)).status_code for each in (school.owner, member, operator, rival.owner, hub.guest)]
    writes = [
        (await each.patch(path, changes, headers=etag)).status_code
        for each in (member, operator, rival.owner, hub.guest)
        for changes in ({DAYS: 3}, {})
    ]
    platforms = [(await each.get(PLATFORM)).status_code for each in (operator, school.owner, hub.guest)]
    refused = (await school.owner.patch(PLATFORM, {"values": {DAYS: 3}}, headers=etag)).status_code

    assert reads == [200, 200, 200, 404, 401]
    assert writes == [403, 403, 403, 403, 404, 404, 401, 401]
    assert (platforms, refused) == ([200, 403, 401], 403)
    assert await shown(school.owner, path) == (7, "default", False)


async def test_a_value_of_another_release_shows_the_inherited_one(hub: Hub, platform: Person) -> None:
    school = await hub.school()
    done(await change(platform, PLATFORM, {"values": {DAYS: 14}}))
    done(await change(school.owner, settings_of(school.org_id), {DAYS: 3, LANGUAGE: "fr"}))
    await pool().execute(
        "UPDATE organization.settings SET chosen = chosen || $2::jsonb WHERE scope_id = $1",
        *(school.org_id, {DAYS: "a week", "gone.setting": 1}),
    )

    org_settings._kept.forget()  # pyright: ignore[reportPrivateUsage]

    assert await shown(school.owner, settings_of(school.org_id)) == (14, "platform", False)
    assert await setting(INVITATION_DAYS, school.org_id) == 14
    done(await change(school.owner, settings_of(school.org_id), {DAYS: 5}))
    async with read() as db:
        [stored] = await store.list_chosen(db, [school.org_id])
    assert stored == Chosen(
        scope_id=UUID(str(school.org_id)),
        org_id=school.org_id,
        chosen={DAYS: 5, LANGUAGE: "fr", "gone.setting": 1},
        version=2,
    )


async def test_a_warm_read_costs_no_statement(hub: Hub) -> None:
    school = await hub.school()
    await hub.broadcasts_arrived()
    await setting(INVITATION_DAYS, school.org_id)

    with hub.statements() as counted:
        value = await setting(INVITATION_DAYS, school.org_id)

    assert (value, counted.count) == (7, 0)


async def test_what_belongs_to_nobody_has_the_platforms_value(hub: Hub, platform: Person) -> None:
    before = await setting(INVITATION_DAYS, None), await setting(INVITATION_DAYS, OrgId(new_id()))

    done(await change(platform, PLATFORM, {"values": {DAYS: 14}}))

    assert before == (7, 7)
    assert (await setting(INVITATION_DAYS, None), await setting(INVITATION_DAYS, OrgId(new_id()))) == (14, 14)


@pytest.fixture
def elsewhere() -> Cache:
    """What another process keeps of settings; it hears the same broadcasts."""
    return org_settings.new_cache()


async def days_there(elsewhere: Cache, org_id: OrgId) -> int:
    with in_process(elsewhere):
        return await setting(INVITATION_DAYS, org_id)


@pytest.mark.parametrize("by_platform", [False, True])
async def test_another_process_hears_of_a_change(
    hub: Hub, platform: Person, elsewhere: Cache, by_platform: bool
) -> None:
    school = await hub.school()
    before = await days_there(elsewhere, school.org_id)

    if by_platform:
        done(await change(platform, PLATFORM, {"values": {DAYS: 14}}))
    else:
        done(await change(school.owner, settings_of(school.org_id), {DAYS: 14}))
    await hub.broadcasts_arrived()

    assert (before, await days_there(elsewhere, school.org_id)) == (7, 14)


async def test_the_outbox_tells_what_a_killed_process_did_not(
    hub: Hub, elsewhere: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    school = await hub.school()
    await hub.broadcasts_arrived()
    before = await days_there(elsewhere, school.org_id)

    async def killed(_documents: list[str]) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(broadcast, "_send_at_once", killed)
        done(await change(school.owner, settings_of(school.org_id), {DAYS: 14}))
    unheard = elsewhere.find_outdated(school.org_id)
    await hub.settle()
    await hub.broadcasts_arrived()

    assert before == 7
    assert unheard is not None
    assert unheard.value_of(INVITATION_DAYS) == 7
    assert await days_there(elsewhere, school.org_id) == 14


async def test_an_invitation_lasts_as_the_organization_says(hub: Hub, elsewhere: Cache) -> None:
    school = await hub.school()

    async def days_of_one(**fields: Any) -> int:
        new = {"organization_id": str(school.org_id), **fields}
        made = done(await school.owner.post("/v1/invitations", new), 201)
        return (datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])).days

    with in_process(elsewhere):
        before = await days_of_one()
    done(await change(school.owner, settings_of(school.org_id), {DAYS: 3}))
    await hub.broadcasts_arrived()

    assert [before, await days_of_one(), await days_of_one(expires_in_days=30)] == [7, 3, 30]
    with in_process(elsewhere):
        assert await days_of_one() == 3
