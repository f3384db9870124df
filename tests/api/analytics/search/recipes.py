"""How to ask each operation of search for something that it grants; see `tests.platform.recipes`."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

from api.analytics.search.statistic import rules, store
from api.analytics.search.statistic.store import Asked
from cluster.base.ids import OrgId
from cluster.base.principal import platform
from cluster.data import write
from cluster.data.opensearch import index_name, opensearch
from tests.api.analytics.search.searching import searching
from tests.harness import done
from tests.platform.recipes import Ask, recipe
from tests.platform.world import World

_number = count(1)


async def _indexed(world: World) -> None:
    await searching()
    await world.hub.run_cron("search.keep")
    await world.hub.settle()
    await opensearch().indices.refresh(index=index_name("search", "*"))


async def _members_only(world: World) -> Ask:
    """Publish a course for members alone, and ask for its title."""
    title = f"Zymology {next(_number)}"
    await world.published(title=title, visibility="organization")
    await _indexed(world)
    return Ask(by=world.owner, query={"q": f'"{title}"', "organization_id": world.org_id})


@recipe("search_search", "insider", hidden=False)
async def _(world: World) -> Ask:
    return await _members_only(world)


@recipe("search_suggest", "insider", hidden=False)
async def _(world: World) -> Ask:
    return await _members_only(world)


async def _new_pin(world: World) -> dict[str, object]:
    title = f"Pinned {next(_number)}"
    course_id = (await world.published(title=title)).id
    await _indexed(world)
    return {"organization_id": world.org_id, "q": title, "documents": [{"kind": "course", "id": course_id}]}


async def _pin(world: World) -> Ask:
    pin = done(await world.owner.post("/v1/search-pins", await _new_pin(world)), 201)
    return Ask(by=world.owner, ids={"id": pin["id"]})


@recipe("search_create_pin")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body=await _new_pin(world))


@recipe("search_list_pins")
async def _(world: World) -> Ask:
    await _pin(world)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("search_change_pin")
async def _(world: World) -> Ask:
    return replace(await _pin(world), body={"q": f"Repinned {next(_number)}"}, headers={"If-Match": '"1"'})


recipe("search_get_pin")(_pin)
recipe("search_delete_pin")(_pin)


@recipe("search_click", private=True)
async def _(world: World) -> Ask:
    title = f"Opened {next(_number)}"
    await world.published(title=title, visibility="organization")
    await _indexed(world)
    query = {"q": f'"{title}"', "organization_id": world.org_id}
    found = done(await world.insider.get("/v1/search", params=query))
    item = found["items"][0]
    body = {"answer_id": found["answer_id"], "kind": item["kind"], "id": item["id"], "position": 1}
    return Ask(by=world.insider, body=body)


@recipe("search_report")
async def _(world: World) -> Ask:
    day, org_id = datetime.now(UTC).date(), OrgId(UUID(world.org_id))
    rows = [
        Asked(org_id=org_id, day=day, language="en", query="beer", asker=bytes([number] * 16), asked=1)
        for number in range(rules.FEWEST_PEOPLE)
    ]
    async with write(platform("search")) as tx:
        await store.upsert_asked(tx, rows)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("search_list_indexes")
async def _(world: World) -> Ask:
    await _indexed(world)
    return Ask(by=world.operator, ids={"kind": "course"})


@recipe("search_rebuild")
async def _(world: World) -> Ask:
    await _indexed(world)
    return Ask(by=world.operator, ids={"kind": "course"})
