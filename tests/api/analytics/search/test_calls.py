"""Other services find what the person may find for whom they ask."""

from typing import Any

import pytest

from api.analytics.search.contract import Named, SearchCalls
from cluster.base.ids import OrgId
from cluster.base.principal import GUEST, Principal
from cluster.people.calls import client
from tests.api.analytics.search.probe import offered
from tests.api.analytics.search.searching import Found
from tests.harness import Hub, Person

pytestmark = pytest.mark.timeout(300)


def as_(person: Person) -> Principal:
    return Principal(kind="person", id=person.id)


async def test_passages_and_similar_documents_obey_the_callers_rights(hub: Hub, found: Found) -> None:
    school, elsewhere = await hub.school(), await hub.school()
    calls = client(SearchCalls)
    with offered("note", permissions=("catalog:read-organization",)) as probe:
        where: dict[str, Any] = {"org_id": school.org_id, "seen_with": "catalog:read-organization"}
        text = "Lichens & mosses grow slowly on basalt."
        one = probe.put("Of stones", text, path=("Nature",), **where)
        like = probe.put("Basalt and lichens", "Mosses again.", **where)
        other = probe.put("Elsewhere", "Lichens on basalt.", org_id=elsewhere.org_id, seen_with=where["seen_with"])
        probe.put("Unlike", "Ferries.", **where)
        await probe.mark()
        await found.settle()

        async def asked(caller: Principal, org_id: OrgId | None = None) -> list[Named]:
            return [each.document for each in await calls.passages(caller, "mosses basalt", org_id, 10)]

        owner, theirs = as_(school.owner), as_(elsewhere.owner)
        told = {each.document.id: each for each in await calls.passages(owner, "mosses basalt", school.org_id, 10)}
        assert set(told) == {one.id, like.id}
        assert (told[one.id].texts, told[one.id].path, told[one.id].url) == ([text], ["Nature"], one.url)
        assert [await asked(each, school.org_id) for each in (theirs, GUEST)] == [[], []]
        assert len(await calls.passages(owner, "mosses basalt", None, 1)) == 1

        name = Named("note", one.id)
        assert [each.document.id for each in await calls.similar(owner, name, 10)] == [like.id]
        assert [await calls.similar(each, name, 10) for each in (theirs, GUEST)] == [[], []]
        assert await calls.similar(owner, Named("note", other.id), 10) == []
