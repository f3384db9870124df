"""How this process reaches Kafka, and the names of topics and groups."""

import logging
import struct
from collections.abc import Sequence
from datetime import timedelta
from ssl import create_default_context
from typing import Any

from cluster.base.services import PARTITIONS, table
from cluster.base.settings import settings

# The client logs a line per connection attempt while the broker is away; our loops say it once instead.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

LOG_KEPT_FOR = timedelta(days=7)
"""How long topics keep events; reports on erasures promise it."""
_KEPT = {"retention.ms": str(LOG_KEPT_FOR // timedelta(milliseconds=1))}


def connection() -> dict[str, Any]:
    """Return what every client is constructed with.

    Raises:
        ValueError: `HUB_KAFKA_MECHANISM` is none of the two.
    """
    ours = settings()
    where = {"bootstrap_servers": ours.kafka_bootstrap, "client_id": ours.stack, "retry_backoff_ms": 50}
    if not ours.kafka_user:
        return where
    login = {
        "sasl_mechanism": ours.kafka_mechanism,
        "sasl_plain_username": ours.kafka_user,
        "sasl_plain_password": ours.kafka_password,
    }
    match ours.kafka_mechanism:
        case "PLAIN":
            return {**where, **login, "security_protocol": "SASL_PLAINTEXT"}
        case "SCRAM-SHA-512":
            return {**where, **login, "security_protocol": "SASL_SSL", "ssl_context": create_default_context()}
        case other:
            raise ValueError(f"HUB_KAFKA_MECHANISM is PLAIN or SCRAM-SHA-512, not {other}")


_MIX, _WORD = 0x5BD1E995, 0xFFFFFFFF


def partition_of(key: bytes, partitions: Sequence[int], available: Sequence[int]) -> int:  # noqa: ARG001  the client's
    """Return the partition of a key, as every Kafka client does (murmur2). The client's own function takes twice as long."""
    whole = len(key) & ~3
    mixed = 0x9747B28C ^ len(key)
    for word in struct.unpack(f"<{whole // 4}I", key[:whole]):
        word = word * _MIX & _WORD
        mixed = (mixed * _MIX & _WORD) ^ ((word ^ word >> 24) * _MIX & _WORD)
    if rest := key[whole:]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * _MIX & _WORD
    mixed = (mixed ^ mixed >> 13) * _MIX & _WORD
    mixed ^= mixed >> 15
    return partitions[(mixed & 0x7FFFFFFF) % len(partitions)]


def topic(service: str) -> str:
    """Name the topic that a service speaks on; its consumer group has the same name."""
    return f"{settings().stack}.{service}"


async def ensure_topics(names: set[str]) -> None:
    """Create the topics that are missing; brokers do not create them by themselves.

    Raises:
        KafkaError: the brokers do not answer or refuse.
    """
    # Web hosts know topics by name alone, and start sooner without the client.
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

    admin = AIOKafkaAdminClient(**connection(), request_timeout_ms=10_000)
    try:
        await admin.start()
        missing = sorted(names - set(await admin.list_topics()))
        if not missing:
            return
        partitions = {topic(service.name): service.partitions for service in table().values()}
        # -1 and no assignments: the brokers' default replication, 1 on a laptop and 3 in production.
        response: Any = await admin.create_topics(
            [
                NewTopic(name, partitions.get(name, PARTITIONS), -1, replica_assignments={}, topic_configs=_KEPT)
                for name in missing
            ]
        )
        for name, code, *_ in response.topic_errors:
            error: type[Exception] = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise KafkaError(f"topic {name} cannot be created: {error.__name__}")
    finally:
        await admin.close()
