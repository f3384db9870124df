"""Avatars: a person's own picture, shown with their name."""

from uuid import UUID

from api.core.rbac.contract import RbacCalls
from api.media.media.contract import AssetId, MediaCalls
from cluster.base.ids import new_id
from cluster.data import read, uses
from cluster.data.uses import Ref
from cluster.people.calls import client
from tests.api.core.user.privacy import erased
from tests.files import PNG, upload
from tests.harness import Hub, Person, done, problem


async def picture(hub: Hub, person: Person) -> str:
    asset_id = await upload(person, "user:me", "avatar")
    await hub.settle()
    return asset_id


async def in_use(asset_id: str) -> bool:
    ref = Ref("asset", UUID(asset_id))
    async with read() as db:
        known = await uses.states(db, [ref])
    return ref in known and known[ref].in_use


async def test_a_person_shows_a_picture_and_takes_it_away(hub: Hub) -> None:
    ada = await hub.person("ada")
    one, two = await picture(hub, ada), await picture(hub, ada)

    first = await ada.put("/v1/users/me/avatar", {"asset_id": one})
    second = await ada.put("/v1/users/me/avatar", {"asset_id": two})
    shown, url = await ada.get("/v1/users/me/avatar"), done(await ada.get("/v1/users/me"))["avatar_url"]
    used = [await in_use(one), await in_use(two)]
    kept = problem(await ada.delete(f"/v1/assets/{two}"), 409, "thing-in-use")
    done(await ada.delete("/v1/users/me/avatar"), 204)
    done(await ada.delete("/v1/users/me/avatar"), 204)

    assert [done(each) for each in (first, second)] == [
        {"asset_id": id, "url": f"/v1/assets/{id}/content"} for id in (one, two)
    ]
    assert (done(shown), url) == (done(second), done(second)["url"])
    problem(await ada.get("/v1/users/me/avatar"), 404, "avatar-not-found")
    assert (used, kept["others"], await in_use(two)) == ([False, True], 1, False)
    profile = await ada.get("/v1/users/me")
    assert (done(profile)["avatar_url"], profile.headers["etag"]) == (None, '"4"')
    told = [each for each in await hub.events("user.updated") if each.subject == str(ada.id)]
    assert [each.version for each in told] == [2, 3, 4]


async def test_an_avatar_rejects_what_is_no_picture_of_ones_own(hub: Hub) -> None:
    ada, eve, school = await hub.person("ada"), await hub.person("eve"), await hub.school()
    course = done(
        await school.owner.post(
            "/v1/courses", {"organization_id": str(school.org_id), "title": "Algebra", "language": "en"}
        ),
        201,
    )
    shown = await upload(school.owner, f"course:{course['id']}", "course-file")
    gone = await picture(hub, ada)
    done(await ada.delete(f"/v1/assets/{gone}"), 204)
    text = await upload(ada, "user:me", "avatar", b"no picture at all", name="me.png")
    await hub.settle()

    for person, asset_id in ((ada, await picture(hub, eve)), (school.owner, shown), (ada, gone), (ada, str(new_id()))):
        refused = problem(await person.put("/v1/users/me/avatar", {"asset_id": asset_id}), 422, "thing-gone")
        assert [error["pointer"] for error in refused["errors"]] == ["/asset_id"]
    problem(await ada.put("/v1/users/me/avatar", {"asset_id": text}), 422, "asset-rejected")
    unfinished = await upload(ada, "user:me", "avatar", finish=False)
    problem(await ada.put("/v1/users/me/avatar", {"asset_id": unfinished}), 409, "asset-not-ready")
    assert done(await ada.get("/v1/users/me"))["avatar_url"] is None


async def test_who_sees_a_profile_sees_its_avatar(hub: Hub) -> None:
    ada, eve, admin = [await hub.person(name) for name in ("ada", "eve", "admin")]
    await client(RbacCalls).grant(admin.id, "platform_admin", "platform", None, None)
    await hub.broadcasts_arrived()
    url = done(await ada.put("/v1/users/me/avatar", {"asset_id": await picture(hub, ada)}))["url"]

    answers = {name: await person.get(url) for name, person in (("ada", ada), ("admin", admin), ("eve", eve))}

    assert {name: answer.status_code for name, answer in answers.items()} == {"ada": 200, "admin": 200, "eve": 404}
    assert (answers["admin"].content, answers["admin"].headers["content-type"]) == (PNG, "image/png")


async def test_an_avatar_goes_with_the_account(hub: Hub) -> None:
    ada = await hub.person("ada")
    asset_id = await picture(hub, ada)
    done(await ada.put("/v1/users/me/avatar", {"asset_id": asset_id}))
    before = await hub.exported(ada.id, "media")

    await erased(hub, ada)

    assert (len(before.files), (await hub.exported(ada.id, "media")).files) == (1, [])
    assert not await in_use(asset_id)
    assert await client(MediaCalls).find_asset(AssetId(UUID(asset_id))) is None
