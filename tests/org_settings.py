"""Settings of organizations in tests: changing them over HTTP, and what another process keeps of them."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from cluster.people import org_settings
from cluster.people.org_settings import Cache
from tests.harness import Person

PLATFORM = "/v1/organizations/-/settings"


def settings_of(org_id: UUID | str) -> str:
    return f"/v1/organizations/{org_id}/settings"


async def change(by: Person, path: str, changes: Any, **headers: str) -> httpx.Response:
    """Send a change with the present ETag."""
    etag = (await by.get(path)).headers["ETag"]
    return await by.patch(path, changes, headers={"If-Match": etag, **headers})


@contextmanager
def in_process(cache: Cache) -> Generator[None]:
    """Answer as a process does that keeps this of the settings; it hears the same broadcasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(org_settings, "_kept", cache)
        yield
