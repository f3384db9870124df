"""Killed servers come back with everything that they acknowledged."""

import os
import signal
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, cast

import asyncpg
import boto3
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed
from botocore.config import Config
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import AuthenticationError

from cluster.servers import Home, environment
from cluster.servers.state import alive, belonging, read
from tests.cluster.servers.conftest import eventually, until

Write = Callable[[dict[str, str], str], Awaitable[None]]
Read = Callable[[dict[str, str], str], Awaitable[bool]]


async def _write_postgres(env: dict[str, str], value: str) -> None:
    connection = await asyncpg.connect(env["HUB_POSTGRES_URL"])
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
    await connection.execute("INSERT INTO kept VALUES ($1)", value)
    await connection.close()


async def _read_postgres(env: dict[str, str], value: str) -> bool:
    connection = await asyncpg.connect(env["HUB_POSTGRES_URL"])
    try:
        return bool(await connection.fetchval("SELECT true FROM kept WHERE value = $1", value))
    finally:
        await connection.close()


async def _write_valkey(env: dict[str, str], value: str) -> None:
    async with RedisCluster.from_url(env["HUB_REDIS_URL"]) as client:
        await client.set(value, "kept")


async def _read_valkey(env: dict[str, str], value: str) -> bool:
    async with RedisCluster.from_url(env["HUB_REDIS_URL"]) as client:
        return await client.get(value) == b"kept"


def _kafka(env: dict[str, str]) -> dict[str, Any]:
    return {
        "bootstrap_servers": env["HUB_KAFKA_BOOTSTRAP"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": env["HUB_KAFKA_USER"],
        "sasl_plain_password": env["HUB_KAFKA_PASSWORD"],
    }


async def _write_kafka(env: dict[str, str], value: str) -> None:
    admin = AIOKafkaAdminClient(**_kafka(env))
    await admin.start()
    await admin.create_topics([NewTopic(value, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(**_kafka(env), acks="all") as producer:
        await producer.send_and_wait(value, value.encode())


async def _read_kafka(env: dict[str, str], value: str) -> bool:
    async with AIOKafkaConsumer(value, **_kafka(env), auto_offset_reset="earliest") as consumer:
        return (await consumer.getone()).value == value.encode()


def _s3(env: dict[str, str]) -> Any:
    return cast("Any", boto3).client(
        "s3",
        endpoint_url=env["HUB_S3_ENDPOINT"],
        aws_access_key_id=env["HUB_S3_ACCESS_KEY"],
        aws_secret_access_key=env["HUB_S3_SECRET_KEY"],
        region_name=env["HUB_S3_REGION"],
        config=Config(request_checksum_calculation="when_required", retries={"total_max_attempts": 1}),
    )


async def _write_s3(env: dict[str, str], value: str) -> None:
    _s3(env).create_bucket(Bucket=value)
    _s3(env).put_object(Bucket=value, Key="folder/kept", Body=value.encode())


async def _read_s3(env: dict[str, str], value: str) -> bool:
    return _s3(env).get_object(Bucket=value, Key="folder/kept")["Body"].read() == value.encode()


_WAYS: dict[str, tuple[Write, Read]] = {
    "postgres": (_write_postgres, _read_postgres),
    "valkey": (_write_valkey, _read_valkey),
    "kafka": (_write_kafka, _read_kafka),
    "s3": (_write_s3, _read_s3),
}


@pytest.mark.parametrize("name", _WAYS)
async def test_a_killed_server_is_back_with_what_it_acknowledged(started: Home, name: str) -> None:
    write, read_back = _WAYS[name]
    env, value = environment(started), f"kept-{uuid.uuid4()}"
    await eventually(lambda: write(env, value))
    before = read(started).processes[name]
    os.kill(before.pid, signal.SIGKILL)
    after = until(
        started, lambda state: state.processes[name].state == "ready" and state.processes[name].pid != before.pid
    )
    assert after.processes[name].restarts == before.restarts + 1
    assert environment(started) == env
    assert await eventually(lambda: read_back(env, value))


async def test_nothing_of_a_killed_server_runs_beside_its_successor(started: Home) -> None:
    before = read(started)
    workers = [process for process in belonging(before, "postgres") if process.pid != before.processes["postgres"].pid]
    assert workers
    os.kill(before.processes["postgres"].pid, signal.SIGKILL)
    restarts = before.processes["postgres"].restarts + 1
    until(
        started,
        lambda state: (state.processes["postgres"].restarts, state.processes["postgres"].state) == (restarts, "ready"),
    )
    assert [worker for worker in workers if alive(worker)] == []


async def test_strangers_are_refused(started: Home) -> None:
    env = environment(started)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(env["HUB_POSTGRES_URL"].replace(started.secret("postgres"), "guess"))
    async with Redis.from_url(env["HUB_REDIS_URL"].replace(started.secret("valkey"), "guess")) as client:
        with pytest.raises(AuthenticationError):
            await client.get("key")
    with pytest.raises(Exception, match=r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied"):
        _s3(env | {"HUB_S3_SECRET_KEY": "guess"}).list_buckets()
    for port in (started.port("kafka"), started.port("kafka-controller")):
        guess = _kafka({**env, "HUB_KAFKA_BOOTSTRAP": f"127.0.0.1:{port}", "HUB_KAFKA_PASSWORD": "guess"})
        with pytest.raises((KafkaConnectionError, SaslAuthenticationFailed)):
            await AIOKafkaAdminClient(**guess).start()
    nameless = AIOKafkaAdminClient(bootstrap_servers=env["HUB_KAFKA_BOOTSTRAP"], request_timeout_ms=2000)
    with pytest.raises(KafkaConnectionError):
        await nameless.start()
