"""`./hub new <namespace>/<service>`: write the rooms of a service that already works, with its table, event and test.

What it writes is the smallest service that looks like `api/learning/course`: an organization's things with a title. Rename the
thing, then grow it.
"""

import re
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from cluster.base.services import table
from cluster.base.settings import REPOSITORY

_NAME = re.compile(r"^[a-z][a-z0-9_]{1,30}$")

_INIT = '"""Say here in one sentence what $service is for."""\n'

_ROOMS = {
    "__init__.py": _INIT,
    "contract.py": '''"""What other services may know of $service."""

from dataclasses import dataclass
from datetime import datetime
from typing import NewType
from uuid import UUID

from cluster.events import event
from cluster.base.ids import OrgId
from cluster.base.problems import NotFound

${Thing}Id = NewType("${Thing}Id", UUID)


@dataclass(frozen=True, slots=True, kw_only=True)
class $Thing:
    id: ${Thing}Id
    org_id: OrgId
    title: str
    version: int
    created_at: datetime


@event("$thing.created", subject="${thing}_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class ${Thing}Created:
    ${thing}_id: ${Thing}Id
    org_id: OrgId


class ${Thing}NotFound(NotFound):
    title = "No such $words"
''',
    "offers.py": '''"""What $service contributes."""

from cluster.people.access import Permission

OFFERS = (
    Permission("$thing:read", "See the organization's ${many}", ("member", "org_owner", "org_admin")),
    Permission("$thing:create", "Create ${many}", ("org_owner", "org_admin")),
)
''',
    "privacy.py": '''"""$service keeps nothing about single people: what stands there stands in an organization's name."""

from cluster.people.privacy import FreeText

FREE_TEXT = (FreeText(table="$service.${things}", columns=("title",), holds="what an organization calls its ${many}"),)
''',
    "store.py": '''"""The SQL of $service."""

from api.$namespace.$service.contract import $Thing, ${Thing}Id
from cluster.people.access import Guarded
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction


async def insert_$thing(tx: Transaction, ${thing}_id: ${Thing}Id, org_id: OrgId, title: str) -> $Thing:
    return await tx.one(
        $Thing,
        """INSERT INTO $service.${things} (id, org_id, title, created_at) VALUES ($$1, $$2, $$3, $$4)
           RETURNING id, org_id, title, version, created_at""",
        ${thing}_id,
        org_id,
        title,
        tx.now,
    )


async def find_$thing(db: Connection, ${thing}_id: ${Thing}Id) -> Guarded[$Thing] | None:
    found = await db.maybe(
        $Thing, "SELECT id, org_id, title, version, created_at FROM $service.${things} WHERE id = $$1", ${thing}_id
    )
    return None if found is None else Guarded(found, org_id=found.org_id)


async def list_${things}(db: Connection, org_id: OrgId, *, before: ${Thing}Id | None, limit: int) -> list[$Thing]:
    """List an organization's ${many}, newest first."""
    return await db.all(
        $Thing,
        """SELECT id, org_id, title, version, created_at FROM $service.${things}
           WHERE org_id = $$1 AND ($$2::uuid IS NULL OR id < $$2) ORDER BY id DESC LIMIT $$3""",
        org_id,
        before,
        limit,
    )
''',
    "logic.py": '''"""Use cases of $service."""

from api.$namespace.$service import store
from api.$namespace.$service.contract import $Thing, ${Thing}Created, ${Thing}Id, ${Thing}NotFound
from cluster.people.access import permit, within
from cluster.events import emit
from cluster.base.ids import OrgId, new_id
from cluster.data import read, write
from cluster.base.principal import Principal


async def create_$thing(caller: Principal, org_id: OrgId, title: str) -> $Thing:
    await permit(caller, "$thing:create", within(org_id=org_id))
    ${thing}_id = ${Thing}Id(new_id())
    async with write(caller, result=${thing}_id, status=201) as tx:
        $thing = await store.insert_$thing(tx, ${thing}_id, org_id, title)
        emit(tx, ${Thing}Created(${thing}_id=$thing.id, org_id=org_id), version=$thing.version)
    return $thing


async def get_$thing(caller: Principal, ${thing}_id: ${Thing}Id) -> $Thing:
    async with read() as db:
        guarded = await store.find_$thing(db, ${thing}_id)
    return await permit(caller, "$thing:read", guarded, missing=${Thing}NotFound)


async def list_${things}(caller: Principal, org_id: OrgId, *, before: ${Thing}Id | None, limit: int) -> list[$Thing]:
    await permit(caller, "$thing:read", within(org_id=org_id))
    async with read() as db:
        return await store.list_${things}(db, org_id, before=before, limit=limit + 1)
''',
    "routes.py": '''"""HTTP of $service."""

from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, Field

from api.$namespace.$service import logic
from api.$namespace.$service.contract import $Thing, ${Thing}Id, ${Thing}NotFound
from cluster.http import Body, Caller, Page, Paging, Router, once, set_etag
from cluster.base.ids import OrgId

router = Router("$service")


class New$Thing(Body):
    """A $words to create."""

    organization_id: OrgId
    title: Annotated[str, Field(min_length=1, max_length=200, examples=["A first $words"])]


class ${Thing}View(BaseModel):
    """A $words."""

    id: ${Thing}Id
    organization_id: OrgId
    title: str
    created_at: datetime


@router.post("/v1/$area", status_code=201)
async def create_$thing(caller: Caller, new: New$Thing, response: Response) -> ${Thing}View:
    """Create a $words."""
    work = logic.create_$thing(caller, new.organization_id, new.title)
    $thing = await once(response, work, partial(logic.get_$thing, caller))
    response.headers["Location"] = f"/v1/$area/{$thing.id}"
    return _render($thing, response)


@router.get("/v1/$area")
async def list_${things}(caller: Caller, paging: Paging, organization_id: UUID) -> Page[${Thing}View]:
    """List an organization's ${many}, newest first."""
    after = paging.after(org=organization_id)
    found = await logic.list_${things}(
        caller, OrgId(organization_id), before=${Thing}Id(after[0]) if after else None, limit=paging.limit
    )
    return paging.page(found, render=_view)


@router.get("/v1/$area/{${thing}_id}", raises=(${Thing}NotFound,))
async def get_$thing(caller: Caller, ${thing}_id: UUID, response: Response) -> ${Thing}View:
    """Return a $words."""
    return _render(await logic.get_$thing(caller, ${Thing}Id(${thing}_id)), response)


def _render($thing: $Thing, response: Response) -> ${Thing}View:
    set_etag(response, $thing.version)
    return _view($thing)


def _view($thing: $Thing) -> ${Thing}View:
    return ${Thing}View(
        id=$thing.id, organization_id=$thing.org_id, title=$thing.title, created_at=$thing.created_at
    )
''',
    "migrations/0001_create_$service.sql": """CREATE TABLE $service.${things} (
    id          uuid PRIMARY KEY,
    org_id      uuid NOT NULL,
    title       text NOT NULL,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL
);
COMMENT ON TABLE $service.${things} IS 'org: ${many} of an organization';
CREATE INDEX ${things}_of_organization ON $service.${things} (org_id, id DESC);
""",
}

_TEST = """from tests.harness import Hub, done, problem


async def test_an_organization_sees_its_${things}_and_nobody_else_does(hub: Hub) -> None:
    school = await hub.school()
    body = {"organization_id": str(school.org_id), "title": "A first $words"}
    created = done(await school.owner.post("/v1/$area", body), 201)
    assert done(await school.owner.get(f"/v1/$area/{created['id']}")) == created
    listed = done(await school.owner.get("/v1/$area", params={"organization_id": str(school.org_id)}))
    assert [each["id"] for each in listed["items"]] == [created["id"]]
    (event,) = await hub.events("$thing.created")
    assert event.payload == {"${thing}_id": created["id"], "org_id": str(school.org_id)}
    stranger = await hub.person()
    problem(await stranger.get(f"/v1/$area/{created['id']}"), 404)
    problem(await stranger.post("/v1/$area", body), 404)
    await hub.settle()
"""


def write_service(namespace: str, service: str, root: Path = REPOSITORY, *, things: str | None = None) -> list[Path]:
    """Write the rooms, the test and the line in the service table; return the files.

    `things` is the plural of the service's name where an "s" does not make it.

    Raises:
        ValueError: a name is not one, or the service exists.
    """
    things = things or f"{service}s"
    for name in (namespace, service, things):
        if not _NAME.match(name):
            raise ValueError(f"'{name}': names are lower-case letters, digits and _: engagement/code_review")
    folder = root / "api" / namespace / service
    if service in table() or folder.exists():
        raise ValueError(f"{service} exists already")
    names = {
        "namespace": namespace,
        "service": service,
        "thing": service,
        "Thing": "".join(word.title() for word in service.split("_")),
        "things": things,
        "words": service.replace("_", " "),
        "many": things.replace("_", " "),
        "area": things.replace("_", "-"),
    }
    tests = root / "tests" / "api" / namespace / service
    files = {folder / Template(name).substitute(names): text for name, text in _ROOMS.items()}
    files[tests / f"test_{service}.py"] = _TEST
    written: list[Path] = []
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(names))
        written.append(path)
    for package in (root / "api" / namespace, tests, tests.parent):
        (package / "__init__.py").touch()
    written.append(_declare(root / "deployments" / f"{namespace}.py", namespace, names))
    python = [str(path) for path in written if path.suffix == ".py"]
    style = ["--quiet", "--config", str(REPOSITORY / "pyproject.toml")]
    subprocess.run([sys.executable, "-m", "ruff", "format", *style, *python], check=True)
    return written


def _declare(path: Path, namespace: str, names: dict[str, str]) -> Path:
    port = max([3047, *(service.port for service in table().values())]) + 1
    line = f'    Service(name="{names["service"]}", areas=("{names["area"]}",), port={port}, rank=7),\n'
    if not path.exists():
        path.write_text(
            f'"""{namespace.title()}."""\n\nfrom cluster.base.services import Service\n\nSERVICES = (\n{line})\n'
        )
        return path
    text = path.read_text().rstrip()
    if text.endswith(",)"):
        text = re.sub(r"SERVICES = \((.*),\)$", r"SERVICES = (\n    \1,\n)", text, flags=re.S)
    path.write_text(text.removesuffix(")") + line + ")\n")
    return path


def main(
    service: Annotated[str, typer.Argument(help="<namespace>/<service>, like engagement/forum")],
    things: Annotated[str | None, typer.Option(help="The plural, where an s does not make it: quizzes.")] = None,
) -> None:
    """Write the rooms of a new service, with one passing test."""
    namespace, _, name = service.partition("/")
    if not name:
        typer.echo(f"hub new: say NAMESPACE/{namespace}, like engagement/forum", err=True)
        sys.exit(2)
    try:
        written = write_service(namespace, name, things=things)
    except ValueError as error:
        typer.echo(f"hub new: {error}", err=True)
        sys.exit(2)
    for path in written:
        typer.echo(f"wrote {path.relative_to(REPOSITORY)}")
    typer.echo(
        f"Next: ./hub generate, then ./hub test tests/api/{namespace}/{name}.\n"
        f"Then say in api/{namespace}/{name}/__init__.py what it is for, set its rank in deployments/{namespace}.py\n"
        f"(it may call lower ranks only), and read docs/contribute.md. ./hub serve {name} runs it beside ./hub up."
    )


if __name__ == "__main__":
    typer.run(main)
