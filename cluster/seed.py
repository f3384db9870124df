"""The demo school: each service's `seed.py` makes its part of it, over HTTP like any client.

A seed module has `async def seed(school: School) -> None`, safe to repeat, and `AFTER`, the services whose part it needs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

import httpx

from cluster.base.registry import room
from cluster.base.services import table

PASSWORD = "learning is a hub"  # noqa: S105 (shown to everybody who starts the demo)


@dataclass(slots=True)
class DemoPerson:
    """Somebody of the demo school; `client` is signed in once user has made them."""

    email: str
    name: str
    client: httpx.AsyncClient
    id: str = ""


@dataclass(slots=True)
class School:
    """What the seeds share: people, and the ids of what was made, by name."""

    owner: DemoPerson
    teacher: DemoPerson
    learner: DemoPerson
    made: dict[str, str] = field(default_factory=dict[str, str])

    def people(self) -> tuple[DemoPerson, ...]:
        return (self.owner, self.teacher, self.learner)


async def seed(base_url: str, report: Callable[[str], None]) -> dict[str, Any]:
    """Make the demo school through the public API and return its people and what was made.

    Raises:
        httpx.HTTPError: the platform does not answer or refuses a step.
    """

    def person(email: str, name: str) -> DemoPerson:
        return DemoPerson(email, name, httpx.AsyncClient(base_url=base_url, timeout=60))

    school = School(
        owner=person("ada@school.example", "Ada Lovelace"),
        teacher=person("grace@school.example", "Grace Hopper"),
        learner=person("alan@school.example", "Alan Turing"),
    )
    modules = {name: module for name in table() if (module := room(name, "seed")) is not None}
    order = TopologicalSorter({name: set(module.AFTER) & set(modules) for name, module in modules.items()})
    try:
        for name in order.static_order():
            report(name)
            await modules[name].seed(school)
    finally:
        for each in school.people():
            await each.client.aclose()
    return {
        "password": PASSWORD,
        "people": [{"name": each.name, "email": each.email, "id": each.id} for each in school.people()],
        "made": school.made,
    }


async def made(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON of a successful answer.

    Raises:
        RuntimeError: it was refused; the message has the problem's detail.
    """
    if response.is_success:
        return response.json()
    raise RuntimeError(
        f"{response.request.method} {response.request.url.path}: {response.status_code} {response.text[:500]}"
    )
