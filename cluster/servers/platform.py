"""The platform's own processes, as the supervisor starts them once the servers are ready."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from cluster.base.settings import REPOSITORY
from cluster.servers.home import Home
from cluster.servers.server import Launch, NotReady


@dataclass(frozen=True, slots=True)
class Serve:
    """Ray Serve with the services and the ingress in front of them."""

    home: Home
    env: dict[str, str]
    name: str = "serve"
    ports: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 45
    start_limit_s: float = 300

    @property
    def places(self) -> tuple[Path, ...]:
        return ()

    async def prepare(self) -> None:
        return

    def launch(self) -> Launch:
        return step(self.env, "deployments.serve")

    async def ready(self) -> None:
        # Requests to this machine never pass a proxy.
        async with httpx.AsyncClient(trust_env=False, timeout=3) as client:
            answer = await client.get(f"http://127.0.0.1:{self.home.port('http')}/readyz")
        if answer.status_code != 200:
            raise NotReady(f"/readyz answers {answer.status_code}")


def step(env: dict[str, str], module: str, *arguments: str) -> Launch:
    """Return how to run one of our modules with the settings `env`."""
    # What is on this machine is never asked through a proxy.
    direct = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1", "localhost")))
    proxy = {"NO_PROXY": direct, "no_proxy": direct}
    return Launch((sys.executable, "-m", module, *arguments), REPOSITORY, dict(os.environ) | env | proxy)
