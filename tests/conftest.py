"""Servers and databases of a test run. `./hub test` starts the servers; plain pytest starts its own."""

import os
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from tests.harness import Hub

# How long an example takes says how busy the machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what was captured and is no UTF-8: it could not travel from a worker to the one who reports."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session", autouse=True)
def servers() -> Iterator[None]:
    """Point `HUB_*` at running servers, and give this worker a stack of its own on them."""
    from cluster.servers.home import free_port
    from cluster.servers.testing import running_servers

    with ExitStack() as stack:
        if "HUB_POSTGRES_URL" not in os.environ:
            os.environ.update(stack.enter_context(running_servers()))
        parts = urlsplit(os.environ["HUB_POSTGRES_URL"])
        os.environ["HUB_ADMIN_URL"] = os.environ["HUB_POSTGRES_URL"]
        os.environ["HUB_POSTGRES_URL"] = urlunsplit(parts._replace(path=f"/test_{_WORKER}"))
        os.environ["HUB_STACK"] = f"test-{_WORKER}"
        os.environ["HUB_CALLS_CODEC"] = "1"
        os.environ["HUB_LOCAL_MAIL"] = "1"
        os.environ["HUB_ALLOWED_HOSTS"] = "hub.test"
        os.environ["HUB_LOG_LEVEL"] = "warning"
        os.environ["HUB_OUTBOUND_LOOPBACK_PORT"] = str(free_port())
        yield


@pytest.fixture(scope="session")
async def database(servers: None) -> None:
    """Make this worker's database, migrated."""
    from cluster.data.migrations import migrate

    admin = await asyncpg.connect(os.environ["HUB_ADMIN_URL"])
    try:
        await admin.execute(f'DROP DATABASE IF EXISTS "test_{_WORKER}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "test_{_WORKER}"')
    finally:
        await admin.close()
    await migrate()
    await _let_hosts_analyze()


async def _let_hosts_analyze() -> None:
    """Let the logins of hosts ANALYZE, for tests of plans; without the right PostgreSQL skips it with a warning alone."""
    from cluster.base.services import table
    from cluster.data import roles

    administrator = await asyncpg.connect(os.environ["HUB_POSTGRES_URL"])
    try:
        for schema in (roles.KERNEL, *table()):
            if await administrator.fetchval("SELECT to_regnamespace($1)", f'"{schema}"') is not None:
                await administrator.execute(
                    f'GRANT MAINTAIN ON ALL TABLES IN SCHEMA "{schema}" TO "{roles.runtime(schema)}"'
                )
    finally:
        await administrator.close()


@pytest.fixture(scope="session")
async def hub(database: None) -> AsyncIterator[Hub]:
    """All services, over ASGI."""
    platform = Hub()
    await platform.start()
    yield platform
    await platform.stop()
