"""Run one service by itself, without Ray: `python -m deployments.serve_one course --port 3003`.

For developers, and wherever a service should stand alone: its calls to others go over HTTP (`HUB_SERVICE_URL`). Its
web host and its worker host share this process. SIGTERM drains both.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from typing import Any, cast

import uvicorn

from actors.worker import WorkerHost
from cluster.base import registry
from cluster.base.services import table
from cluster.data.migrations import migrate
from cluster.host import ServiceHost
from cluster.people.requests import register


async def serve_one(service: str, *, port: int, host: str = "127.0.0.1") -> None:
    """Serve until a signal comes: start the web host, then the worker host; stop them in the other order.

    Raises:
        LookupError: no namespace declares the service.
    """
    if service not in table():
        raise LookupError(f"{service} is not in deployments/: one of {', '.join(sorted(table()))}")
    web = ServiceHost((service,))
    worker = WorkerHost((service,))
    await web.start()
    try:
        registry.load((service,), "contract", "handlers", "jobs", "process")
        register((service,))
        worker.start_parts()
        try:
            await answer_until_signal(web, host=host, port=port)
        finally:
            await worker.stop_parts()
    finally:
        await web.stop()


async def answer_until_signal(application: object, *, host: str, port: int) -> None:
    """Answer HTTP until SIGTERM or SIGINT, then finish what is begun and return."""
    config = uvicorn.Config(
        cast(Any, application),
        host=host,
        port=port,
        lifespan="off",
        access_log=False,
        log_config=None,
        # At "info" it writes a line for each WebSocket, which shows the ticket.
        log_level="warning",
        timeout_graceful_shutdown=20,
    )
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, setattr, server, "should_exit", True)
    # uvicorn would raise the signal again when it is done, and so end the process before our hosts have drained.
    cast(Any, server).capture_signals = contextlib.nullcontext
    await server.serve()


def main() -> None:
    parser = argparse.ArgumentParser(description="Run one service without Ray.")
    parser.add_argument("service")
    parser.add_argument("--port", type=int, help="default: the service's port in the table")
    parser.add_argument("--migrate", action="store_true", help="bring the database to the newest schema first")
    arguments = parser.parse_args()
    service: str = arguments.service
    port: int | None = arguments.port
    known = table().get(service)
    if arguments.migrate:
        for name in asyncio.run(migrate()):
            sys.stderr.write(f"ran {name}\n")
    asyncio.run(serve_one(service, port=port or (known.port if known else 0)))


if __name__ == "__main__":
    main()
