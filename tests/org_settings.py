"""Settings of organizations in tests: changing them over HTTP, and what another process keeps of them."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from cluster.base.ids import OrgId
from cluster.base.principal import PLATFORM as PLATFORM_PRINCIPAL
from cluster.data import write
from cluster.data.postgres import pool
from cluster.people import org_settings
from cluster.people.org_settings import Cache
from tests.harness import Person

PLATFORM = "/v1/organizations/-/settings"
"""What every organization inherits."""


def settings_of(org_id: UUID | str) -> str:
    return f"/v1/organizations/{org_id}/settings"


async def change(by: Person, path: str, changes: Any, **headers: str) -> httpx.Response:
    """Send a change with the present ETag."""
    etag = (await by.get(path)).headers["ETag"]
    return await by.patch(path, changes, headers={"If-Match": etag, **headers})


async def choose(org_id: UUID, **values: Any) -> None:
    """Choose values (`media__storage_bytes=100`) for an organization that exists in no table."""
    chosen = {name.replace("__", "."): value for name, value in values.items()}
    await pool().execute(
        """INSERT INTO organization.settings (scope_id, chosen, version, updated_at) VALUES ($1, $2, 1, now())
           ON CONFLICT (scope_id) DO UPDATE SET chosen = excluded.chosen, version = settings.version + 1""",
        *(org_id, chosen),
    )
    async with write(PLATFORM_PRINCIPAL) as tx:
        org_settings.drop(tx, OrgId(org_id))


@contextmanager
def in_process(cache: Cache) -> Generator[None]:
    """Answer as a process does that keeps this of the settings; it hears the same broadcasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(org_settings, "_kept", cache)
        yield
