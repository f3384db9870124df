"""The supervisor alone, with servers that behave badly."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from cluster.servers import Home
from cluster.servers.server import Launch, inherited_environment
from cluster.servers.state import left_behind, read
from cluster.servers.supervisor import Supervisor


@dataclass
class Sleeper:
    """A server whose client library takes the end of its task for an answer."""

    home: Home
    asked: asyncio.Event
    name: str = "sleeper"
    places: tuple[Path, ...] = ()
    ports: tuple[str, ...] = ()
    start_limit_s: float = 60
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10

    async def prepare(self) -> None: ...

    def launch(self) -> Launch:
        return Launch(("/bin/sleep", "60"), self.home.path, inherited_environment())

    async def ready(self) -> None:
        self.asked.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return


@dataclass
class Broken(Sleeper):
    """A server that cannot start once the other is asked whether it serves."""

    name: str = "broken"

    async def prepare(self) -> None:
        await self.asked.wait()
        raise OSError("its disk is gone")


async def test_a_start_fails_and_leaves_nothing_whatever_forgets_that_it_was_cancelled(tmp_path: Path) -> None:
    home, asked = Home(tmp_path), asyncio.Event()
    async with asyncio.timeout(60):
        started = await Supervisor(home, [Sleeper(home, asked), Broken(home, asked)], servers_only=True).run()
    assert not started
    state = read(home)
    assert (state.phase, "its disk is gone" in state.error) == ("failed", True)
    assert left_behind(state) == []
