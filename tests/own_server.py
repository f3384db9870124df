"""A server of a test's own, that may be frozen and killed while others use theirs."""

import asyncio
import signal

from cluster.servers.server import Server, as_account


class OwnServer:
    """One process; `server` says how it is started and when it is ready."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        await self._server.prepare()
        launch = self._server.launch()
        self._process = await asyncio.create_subprocess_exec(
            *launch.argv,
            cwd=launch.cwd,
            env=dict(launch.env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            **as_account(launch.uid),
        )
        async with asyncio.timeout(90):
            while True:
                try:
                    return await self._server.ready()
                except Exception:
                    await asyncio.sleep(0.1)

    def freeze(self) -> None:
        """Let it answer nothing, and keep its connections."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    async def kill(self) -> None:
        self._send(signal.SIGKILL)
        assert self._process is not None
        await self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
