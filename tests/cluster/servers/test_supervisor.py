"""The supervisor alone, with servers that behave badly."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.servers import Home
from cluster.servers.server import Launch, inherited_environment
from cluster.servers.state import Phase, left_behind, read
from cluster.servers.supervisor import Supervisor


@dataclass
class Sleeper:
    """A server that answers at the moment when it is told to stop, or whose client library takes that for an answer."""

    home: Home
    asked: asyncio.Event
    answer: asyncio.Event
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
            await self.answer.wait()
        except asyncio.CancelledError:
            return


@dataclass
class Broken(Sleeper):
    """A server that cannot start once the other is asked whether it serves."""

    name: str = "broken"

    async def prepare(self) -> None:
        await self.asked.wait()
        raise OSError("its disk is gone")


@pytest.mark.parametrize("answers", [True, False])
async def test_a_failed_start_leaves_nothing_even_if_a_part_swallows_the_cancel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    home, asked, answer = Home(tmp_path), asyncio.Event(), asyncio.Event()
    tell = Supervisor._tell  # pyright: ignore[reportPrivateUsage]

    def tell_and_answer(self: Supervisor, phase: Phase) -> None:
        if phase == "stopping" and answers:
            answer.set()
        tell(self, phase)

    monkeypatch.setattr(Supervisor, "_tell", tell_and_answer)
    servers = [Sleeper(home, asked, answer), Broken(home, asked, answer)]
    async with asyncio.timeout(60):
        started = await Supervisor(home, servers, servers_only=True).run()
    assert not started
    state = read(home)
    assert (state.phase, "its disk is gone" in state.error) == ("failed", True)
    assert left_behind(state) == []
