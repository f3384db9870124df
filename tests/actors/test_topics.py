"""Topics are made as the service table says."""

from dataclasses import replace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from cluster.base.ids import new_id
from cluster.base.services import PARTITIONS, table
from cluster.events import kafka


async def test_ensure_topics_makes_the_partitions_of_the_service_table(
    servers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide, other = f"wide-{new_id().hex}", f"other-{new_id().hex}"
    services = {wide: replace(table()["course"], name=wide, partitions=6)}
    monkeypatch.setattr(kafka, "table", lambda: services)
    topics = {kafka.topic(wide), kafka.topic(other)}

    await kafka.ensure_topics(topics)

    admin = AIOKafkaAdminClient(**kafka.connection())
    await admin.start()
    try:
        found = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics(sorted(topics))}
        asked = [ConfigResource(ConfigResourceType.TOPIC, each, {"retention.ms": None}) for each in sorted(topics)]
        described: list[Any] = await admin.describe_configs(asked)
    finally:
        await admin.close()
    assert found == {kafka.topic(wide): 6, kafka.topic(other): PARTITIONS}
    kept_ms = [entries[0][1] for *_, entries in described[0].resources]
    assert kept_ms == [str(7 * 24 * 3600 * 1000)] * 2
