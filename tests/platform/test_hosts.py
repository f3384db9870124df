"""What the processes of a platform are started with."""

import asyncio
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cluster.base.services import table
from cluster.data.roles import login_of
from deployments import serve


async def test_hosts_start_without_the_administrators_password(
    database: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[dict[str, str]] = []

    def run(*_: object, **__: object) -> int:
        started.append(dict(os.environ))
        return 0

    monkeypatch.setattr(serve, "run", run)
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    monkeypatch.setenv("HUB_POSTGRES_URL", os.environ["HUB_POSTGRES_URL"])
    monkeypatch.delenv("HUB_ADMIN_URL")
    password = urlsplit(os.environ["HUB_POSTGRES_URL"]).password

    assert await asyncio.to_thread(serve.main) == 0

    (environment,) = started
    assert urlsplit(environment["HUB_POSTGRES_URL"]).username == login_of(table())
    assert [name for name, value in environment.items() if str(password) in value] == []
