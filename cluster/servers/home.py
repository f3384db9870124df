"""Keep what a set of embedded servers must not lose between starts: its ports, its passwords, its places on disk."""

import fcntl
import json
import os
import random
import secrets
import socket
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cluster.base.settings import REPOSITORY

DEFAULT = REPOSITORY / ".hub"
DEFAULT_HTTP_PORT = 3000
_LOWEST_PORT = 15_000


@dataclass(frozen=True, slots=True)
class Home:
    """A folder with the data, logs and state of one set of servers.

    `volatile` sets (tests) trade durability for speed and are deleted afterwards.
    """

    path: Path
    volatile: bool = False

    def __post_init__(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        # As root PostgreSQL runs as another account, which has to pass through.
        self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def run(self) -> Path:
        return self.path / "run"

    def port(self, name: str) -> int:
        """Return the port of that name; the first call chooses a free one, later calls return the same."""
        with self._kept("servers.json") as kept:
            if name not in kept:
                kept[name] = DEFAULT_HTTP_PORT if name == "http" else free_port(taken=set(kept.values()))
            return kept[name]

    def choose_port(self, name: str, port: int | None = None) -> int:
        """Replace the port of that name by `port`, or by another free one."""
        with self._kept("servers.json") as kept:
            kept[name] = port or free_port(taken=set(kept.values()))
            return kept[name]

    def ports(self) -> dict[str, int]:
        """Return every port chosen so far."""
        with self._kept("servers.json") as kept:
            return dict(kept)

    def secret(self, name: str) -> str:
        """Return the secret of that name: 48 random characters that the first call makes."""
        with self._kept("secrets.json") as kept:
            return kept.setdefault(name, secrets.token_hex(24))

    def place(self, name: str, otherwise: Path) -> Path:
        """Return the folder of that name as first chosen: data stay where they are when circumstances change.

        Relative ones are inside the home, which may be moved.
        """
        with self._kept("places.json") as kept:
            return self.path / kept.setdefault(name, str(otherwise))

    @property
    def lite(self) -> bool:
        """Tell whether OpenSearch is left out, which takes more memory than all other servers together."""
        with self._kept("options.json") as kept:
            return bool(kept.get("lite", False))

    def choose_lite(self, lite: bool) -> None:
        """Leave OpenSearch out from the next start on, or have it."""
        with self._kept("options.json") as kept:
            kept["lite"] = lite

    @contextmanager
    def _kept(self, file: str) -> Generator[dict[str, Any]]:
        """Read a JSON file, let the caller change it, and replace it whole when it changed; one process at a time."""
        target = self.path / file
        with (self.path / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = target.read_text() if target.exists() else "{}"
            kept = cast("dict[str, Any]", json.loads(before))
            yield kept
            after = json.dumps(kept, indent=1, sort_keys=True)
            if after != before:
                write_whole(target, after)


def closed(folder: Path) -> Path:
    """Make a folder that is its owner's alone, or close the one that is there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def write_whole(target: Path, text: str) -> None:
    """Replace a file so that a reader or a crash sees the old text or the new one; only its owner may read it."""
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)


def free_port(taken: Collection[int] = (), *, following: int = 0) -> int:
    """Return a port that nothing listens on, nor on as many of those `following` it.

    It lies below the range from which the system serves outgoing connections: one of those could hold the port
    at the moment when a killed server wants it back.
    """
    highest = _lowest_outgoing_port() - 1
    for _ in range(1000):
        port = random.randint(_LOWEST_PORT, highest - following)  # noqa: S311 - not a secret
        if all(one not in taken and is_free(one) for one in range(port, port + following + 1)):
            return port
    raise RuntimeError(f"no free port between {_LOWEST_PORT} and {highest}: stop some servers and try again")


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _lowest_outgoing_port() -> int:
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        lowest = 32_768
    return lowest if lowest > _LOWEST_PORT + 1000 else 32_768
