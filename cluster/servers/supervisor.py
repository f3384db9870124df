"""Start the embedded servers and the platform, restart what dies, stop everything in reverse order.

Runs as one background process in its own session: `python -m cluster.servers.supervisor HOME`.
"""

import argparse
import asyncio
import logging
import resource
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from cluster.servers import Home, Server, embedded_servers, environment
from cluster.servers.logs import last_line, open_log, rotate_logs
from cluster.servers.platform import Serve, step
from cluster.servers.server import Launch, as_account
from cluster.servers.state import MARK, Phase, ProcessState, Progress, State, belonging, kill, mark, stop_left_behind

_log = logging.getLogger("supervisor")
_PROBE_INTERVAL_S = 0.1
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.2, 10.0
_SETTLED_S = 30
"""A process that lived this long starts again at once when it dies."""


class Supervisor:
    """Keeps processes alive; tells `run/state.json` after every change."""

    def __init__(self, home: Home, servers: Sequence[Server], *, servers_only: bool) -> None:
        self._home = home
        self._servers = servers
        self._env = environment(home)
        me = psutil.Process()
        self._state = State(uuid.uuid4().hex, me.pid, me.create_time(), servers_only, "starting")
        self._keepers: list[asyncio.Task[None]] = []
        self._leaving = asyncio.Event()
        self._stopping = False

    async def run(self) -> bool:
        """Start everything, keep it alive until told to leave, stop it; return whether it all started."""
        self._state.write(self._home)
        rotation = asyncio.create_task(rotate_logs(self._home.logs))
        start = asyncio.create_task(self._start())
        leaving = asyncio.create_task(self._leaving.wait())
        await asyncio.wait((start, leaving), return_when=asyncio.FIRST_COMPLETED)
        started = start.done() and start.exception() is None
        if started:
            self._tell("ready")
            await leaving
        elif start.done():
            self._state.error = "; ".join(_messages(start.exception()))
            _log.error("start failed: %s", self._state.error)
        start.cancel()
        await self._stop(failed=not started and not self._leaving.is_set())
        rotation.cancel()
        return started

    def leave(self) -> None:
        """Stop everything, soon."""
        self._leaving.set()

    async def _start(self) -> None:
        async with asyncio.TaskGroup() as group:
            for server in self._servers:
                group.create_task(self._keep(server))
        if self._state.servers_only:
            return
        await self._run_step("migrate")
        await self._keep(Serve(self._home, {**self._env, "HUB_LOG_FOLDER": str(self._home.logs)}))
        try:
            await self._run_step("seed")
        except RuntimeError as error:
            # A school without its demo is open all the same.
            _log.error("%s", error)

    async def _run_step(self, name: str) -> None:
        """Run `./hub <name>` to its end."""
        process = await self._spawn(name, step(self._env, "cluster.hub", name))
        state = self._state.processes[name]
        began = time.monotonic()
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await self._end(name, process, signal.SIGTERM, 10)
            raise
        if code != 0:
            self._update(name, "down", f"ended with {code}")
            raise RuntimeError(f"{name} failed: {last_line(self._home.logs, name)}. See ./hub logs {name}")
        state.ready_after_s = time.monotonic() - began
        self._update(name, "done")

    async def _keep(self, server: Server) -> None:
        """Start a server and return when it is ready; a task goes on to keep it alive."""
        first = asyncio.get_running_loop().create_future()
        self._keepers.append(asyncio.create_task(self._keep_alive(server, first), name=server.name))
        await first

    async def _keep_alive(self, server: Server, first: asyncio.Future[None]) -> None:
        backoff_s = _FIRST_BACKOFF_S
        while True:
            began = time.monotonic()
            try:
                process = await self._launch(server)
            except Exception as error:
                self._update(server.name, "down", str(error))
                if not first.done():
                    first.set_exception(RuntimeError(f"{server.name}: {error}. See ./hub logs {server.name}"))
                    return
                _log.warning("%s does not start: %s", server.name, error)
            else:
                self._state.processes[server.name].ready_after_s = time.monotonic() - began
                self._update(server.name, "ready")
                if not first.done():
                    first.set_result(None)
                await self._watch(server, process)
            if time.monotonic() - began > _SETTLED_S:
                backoff_s = _FIRST_BACKOFF_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _LONGEST_BACKOFF_S)
            self._state.processes[server.name].restarts += 1

    async def _launch(self, server: Server) -> asyncio.subprocess.Process:
        """Start the process and wait until it serves; on the way to failure leave nothing running."""
        self._update(server.name, "preparing")
        await server.prepare()
        process = await self._spawn(server.name, server.launch())
        ended = asyncio.create_task(process.wait())
        deadline = time.monotonic() + server.start_limit_s
        error: Exception | None = None
        try:
            while not ended.done() and time.monotonic() < deadline:
                try:
                    # Not wait_for: before Python 3.12 it forgets a cancellation that comes together with the answer.
                    async with asyncio.timeout(10):
                        await server.ready()
                    if self._stopping:
                        # A client library forgot it.
                        raise asyncio.CancelledError
                    return process
                except Exception as latest:
                    error = latest
                await asyncio.wait((ended,), timeout=_PROBE_INTERVAL_S)
        except asyncio.CancelledError:
            await self._end(server.name, process, server.stop_signal, server.stop_grace_s)
            raise
        if ended.done():
            said = last_line(self._home.logs, server.name)
            raise RuntimeError(f"it ended with {process.returncode} instead of starting: {said}")
        await self._end(server.name, process, server.stop_signal, server.stop_grace_s)
        raise RuntimeError(f"it was not ready after {server.start_limit_s:.0f} s ({error!r})")

    async def _watch(self, server: Server, process: asyncio.subprocess.Process) -> None:
        """Return when the process has died; stop it when this task is cancelled."""
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await self._end(server.name, process, server.stop_signal, server.stop_grace_s)
            self._update(server.name, "stopped")
            raise
        _log.warning("%s died with %s: starting it again", server.name, code)
        # Whatever it leaves behind may hold its port.
        kill(belonging(self._state, server.name))
        self._update(server.name, "down", f"died with {code}")

    async def _spawn(self, name: str, launch: Launch) -> asyncio.subprocess.Process:
        with open_log(self._home.logs, name) as log:
            process = await asyncio.create_subprocess_exec(
                *launch.argv,
                cwd=launch.cwd,
                env={**launch.env, MARK: mark(self._state, name)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_account(launch.uid),
            )
        state = self._state.processes.setdefault(name, ProcessState())
        state.pid, state.started_at = process.pid, time.time()
        with suppress(psutil.Error):
            state.started_at = psutil.Process(process.pid).create_time()
        self._update(name, "starting")
        return process

    async def _end(
        self, name: str, process: asyncio.subprocess.Process, polite: signal.Signals, grace_s: float
    ) -> None:
        """Stop a process and what it leaves behind."""
        with suppress(ProcessLookupError):
            process.send_signal(polite)
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            _log.warning("%s did not stop within %s s: killed", name, grace_s)
            process.kill()
            await process.wait()
        kill(belonging(self._state, name))

    async def _stop(self, *, failed: bool) -> None:
        self._stopping = True
        self._tell("stopping")
        if len(self._keepers) > len(self._servers):
            # The platform first: it uses the servers until its last request.
            await _cancelled(self._keepers.pop())
        await asyncio.gather(*(_cancelled(keeper) for keeper in self._keepers))
        # A process whose start was cut short is recorded nowhere, but it carries the mark.
        await asyncio.to_thread(stop_left_behind, self._home)
        self._tell("failed" if failed else "stopped")

    def _update(self, name: str, progress: Progress, error: str = "") -> None:
        process = self._state.processes.setdefault(name, ProcessState())
        process.state, process.error = progress, error
        self._write()

    def _tell(self, phase: Phase) -> None:
        self._state.phase = phase
        self._write()

    def _write(self) -> None:
        """Tell the world; on a full disk what runs is worth more than what is known of it."""
        try:
            self._state.write(self._home)
        except OSError as error:
            _log.error("cannot write the state: %s", error)


def _messages(error: BaseException | None) -> list[str]:
    """Return what went wrong, each part of a group by itself."""
    if isinstance(error, BaseExceptionGroup):
        return [message for part in error.exceptions for message in _messages(part)]
    return [str(error)]


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    except Exception:
        _log.exception("%s was not kept alive any more", task.get_name())


async def _main() -> bool:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--servers-only", action="store_true", help="leave the platform to its developer")
    parser.add_argument("--volatile", action="store_true", help="for tests: fast, and nothing survives a power cut")
    parser.add_argument("--only", help="names of servers, separated by commas")
    parser.add_argument("--while-stdin", action="store_true", help="leave when standard input ends: with the parent")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    # What is not ready yet is no news: the state says it.
    for name in ("aiokafka", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    home = Home(arguments.home.resolve(), volatile=arguments.volatile)
    servers = embedded_servers(home)
    if arguments.only is not None:
        servers = [server for server in servers if server.name in arguments.only.split(",")]
    supervisor = Supervisor(home, servers, servers_only=arguments.servers_only)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.leave)
    if arguments.while_stdin:
        loop.add_reader(sys.stdin.fileno(), supervisor.leave)
    return await supervisor.run()


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(_main()) else 1)
