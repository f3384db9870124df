"""OpenSearch from its jars, as `./hub up` runs it."""

import re
from collections.abc import Generator

import httpx
import pytest

from cluster.servers import Home, embedded_servers, environment, jars
from cluster.servers.account import account
from cluster.servers.opensearch import OpenSearch
from cluster.servers.testing import fetch_jars, own_home
from tests.own_server import OwnServer


@pytest.fixture
def home() -> Generator[Home]:
    with own_home() as made:
        fetch_jars("opensearch")
        yield made


async def test_opensearch_keeps_after_a_kill_what_it_acknowledged(home: Home) -> None:
    server = OpenSearch(home)
    running = OwnServer(server)
    await running.start()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30) as client:
        text = {"type": "text", "analyzer": "thai"}
        body = {"settings": {"number_of_replicas": 0}, "mappings": {"properties": {"title": text}}}
        (await client.put("/books", json=body)).raise_for_status()
        (await client.put("/books/_doc/1", json={"title": "ภาษาไทย"})).raise_for_status()
        refused = await client.put("/typo/_doc/1", json={})

        await running.kill()
        await running.start()
        found = (await client.get("/books/_doc/1")).raise_for_status().json()
    await running.kill()

    assert found["_source"] == {"title": "ภาษาไทย"}
    assert refused.status_code == 404


async def test_opensearch_runs_as_an_account_other_than_root(home: Home) -> None:
    server = OpenSearch(home)
    await server.prepare()

    launch = server.launch()

    assert launch.uid == account()
    assert server.places[0].stat().st_uid == (account() or home.path.stat().st_uid)


def test_every_jar_that_belongs_to_a_module_is_locked() -> None:
    names = [jar.path.name for jar in jars.locked() if jar.server == "opensearch"]

    assert len(names) > 100
    assert [name for name in names if re.match(r"lang-painless-|netty-transport-4|opensearch-3\.8", name)]


def test_a_lite_home_has_no_opensearch_and_no_address_of_it(home: Home) -> None:
    assert [server.name for server in embedded_servers(home)] == ["postgres", "valkey", "kafka", "s3"]
    assert environment(home)["HUB_OPENSEARCH_URL"] == ""

    home.choose_lite(False)

    assert [server.name for server in embedded_servers(home)][-1] == "opensearch"
    assert environment(home)["HUB_OPENSEARCH_URL"] == OpenSearch(home).url
