"""Exports: what an archive holds, for whom, and for how long."""

import io
import json
import os
import zipfile
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any, ClassVar
from urllib.parse import unquote
from uuid import UUID

import pytest

from api.core.user.privacy_request import archive
from cluster.data.objects import Bucket, bucket
from cluster.people import erasure, export
from cluster.people.privacy import PersonalData
from tests.api.core.user.privacy import known, own_file, rows
from tests.api.learning.course.conftest import Draft
from tests.api.learning.course.conftest import draft as draft
from tests.api.learning.course.conftest import published as published
from tests.api.learning.course.conftest import school as school
from tests.harness import Hub, Person, School, done, problem


async def test_an_export_is_one_archive_for_the_person_alone(hub: Hub, published: Draft) -> None:
    ada = await known(hub, published)
    request = done(await ada.person.post("/v1/privacy-requests", {"kind": "export"}), 201)
    path = f"/v1/privacy-requests/{request['id']}"
    problem(await ada.person.get(f"{path}/archive"), 409, "archive-not-ready")

    done(await ada.person.post(f"{path}/confirm"))
    await hub.settle()

    finished = done(await ada.person.get(path))
    assert (finished["state"], {part["outcome"] for part in finished["parts"]}) == ("done", {"done"})
    answer = await ada.person.get(f"{path}/archive")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archived:
        names = archived.namelist()
        content = {name: json.loads(archived.read(f"data/{name}.json"))["tables"] for name in erasure.services()}
    assert sorted(names) == [*(f"data/{name}.json" for name in erasure.services()), "index.html"]
    (profile,) = next(each["rows"] for each in content["user"] if each["table"] == "user.users")
    assert (profile["name"], profile["email"]) == (ada.name, ada.person.email)
    enrolled = content["enrollment"][0]["rows"]
    assert {each["state"] for each in enrolled} == {"completed", "active"}
    identities = next(each["rows"] for each in content["auth"] if each["table"] == "auth.identities")
    assert [set(each) & {"secret_hash"} for each in identities] == [set()]
    parts = [stored.key async for stored in export.exports().list(f"{request['id']}/")]
    assert parts == []


async def test_a_part_holds_the_declared_columns_alone(hub: Hub, published: Draft) -> None:
    ada = await known(hub, published)
    rows_seen = 0

    for service in erasure.services():
        part = await hub.exported(ada.person.id, service)
        for entry in (each.entry for each in erasure.statements_of(service, for_organization=False)):
            allowed = {name for each in _entries(service, entry.table) for name in each.columns}
            for row in part.rows[entry.table]:
                rows_seen += 1
                assert set(row) <= allowed - set(entry.secret), f"{service}: {entry.table}"

    assert rows_seen > 10


def _entries(service: str, table: str) -> list[PersonalData]:
    found = [each.entry for each in erasure.statements_of(service, for_organization=False)]
    return [each for each in found if each.table == table]


async def exported(hub: Hub, person: Person, owner: Person | None = None, **fields: Any) -> zipfile.ZipFile:
    """Have somebody's data exported, and return the archive as they get it."""
    asker = owner or person
    request = done(await asker.post("/v1/privacy-requests", {"kind": "export", **fields}), 201)
    done(await asker.post(f"/v1/privacy-requests/{request['id']}/confirm"))
    await hub.settle()
    answer = await person.get(f"/v1/privacy-requests/{request['id']}/archive")
    assert answer.status_code == 200, answer.text
    archived = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archived.testzip() is None
    return archived


class Page(HTMLParser):
    """What a page is made of. It refuses what is not closed in its order."""

    VOID: ClassVar = {"meta"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.append((self._open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.found if each == tag]

    def text_in(self, tag: str) -> list[str]:
        return [text for each, text in self.texts if each == tag]


async def test_the_page_of_an_export_shows_rows_as_escaped_tables(hub: Hub, published: Draft) -> None:
    ada = await known(hub, published)
    name = '<script>alert("1")</script></table>&amp;'
    await rows('UPDATE "user".users SET name = $2 WHERE id = $1', ada.person.id, name)

    archived = await exported(hub, ada.person)

    page = Page(archived.read("index.html").decode())
    assert name in page.text_in("td")
    assert {"completed", "active"} <= set(page.text_in("td"))
    tags = [tag for tag, _ in page.found]
    assert (tags.count("h1"), tags.count("main"), page.all("html")) == (1, 1, [{"lang": "en"}])
    assert page.text_in("h2") == [name.replace("_", " ").capitalize() for name in erasure.services()]
    assert page.all("script") + page.all("img") + page.all("link") == []
    assert tags.count("table") == tags.count("caption") > 5
    assert {each.get("scope") for each in page.all("th")} == {"col"}
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {attributes["aria-labelledby"] for _, attributes in page.found if "aria-labelledby" in attributes}
    assert labels <= set(ids)
    targets = {unquote(each["href"] or "") for each in page.all("a")}
    assert targets == {f"#{name}" for name in erasure.services()} | (set(archived.namelist()) - {"index.html"})


async def test_an_export_holds_the_persons_own_files_under_safe_names(hub: Hub, school: School) -> None:
    ada = await hub.person("ada")
    names = ["../../etc/passwd", "Ünï & <b>.txt", "a.txt", "a.txt", "..", "C:\\con\n.exe", "x" * 300 + ".pdf"]
    big = os.urandom(300_000)
    for number, name in enumerate(names):
        await own_file(ada, name, big + bytes([number]))
    await own_file(ada, "theirs.txt", b"the school's", school.org_id)

    archived = await exported(hub, ada)

    files = json.loads(archived.read("data/media.json"))["files"]
    assert [each["name"] for each in files] == names
    assert [each["path"] for each in files] == [
        "files/media/1-.._.._etc_passwd",
        "files/media/2-Ünï _ _b_.txt",
        "files/media/3-a.txt",
        "files/media/4-a.txt",
        "files/media/5-",
        "files/media/6-C_con_.exe",
        f"files/media/7-{'x' * 50}.pdf",
    ]
    assert [archived.read(each["path"]) for each in files] == [big + bytes([number]) for number in range(len(names))]
    assert [name for name in archived.namelist() if name.startswith("files/")] == [each["path"] for each in files]
    page = Page(archived.read("index.html").decode())
    assert {each["path"] for each in files} <= {unquote(each["href"] or "") for each in page.all("a")}


async def test_an_organizations_export_holds_what_was_uploaded_to_it(hub: Hub, school: School) -> None:
    ada = await hub.person("ada")
    await own_file(ada, "mine.txt", b"my own")
    await own_file(ada, "theirs.txt", b"the school's", school.org_id)

    part = await hub.exported(ada.id, "media", org_id=school.org_id)
    archived = await exported(hub, ada, school.owner, user_id=str(ada.id), organization_id=str(school.org_id))

    assert [(file.path, await Bucket(file.bucket).read(file.key)) for file in part.files] == [
        ("files/media/1-theirs.txt", b"the school's")
    ]
    files = {name: archived.read(name) for name in archived.namelist() if name.startswith("files/")}
    assert files == {"files/media/1-theirs.txt": b"the school's"}


async def test_a_file_that_is_deleted_meanwhile_is_named_as_missing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await hub.person("ada")
    await own_file(ada, "kept.txt", b"kept")
    gone = await own_file(ada, "gone.txt", b"gone")
    pack = archive.pack

    async def late(*args: Any) -> None:
        await bucket("media").delete([gone])
        await pack(*args)

    monkeypatch.setattr(archive, "pack", late)

    archived = await exported(hub, ada)

    assert [name for name in archived.namelist() if name.startswith("files/")] == ["files/media/1-kept.txt"]
    page = Page(archived.read("index.html").decode())
    assert page.text_in("li")[-1] == "gone.txt: was deleted while this was made"


async def test_an_archive_goes_after_seven_days(hub: Hub) -> None:
    ada = await hub.person("ada")
    request = done(await ada.post("/v1/privacy-requests", {"kind": "export"}), 201)
    path = f"/v1/privacy-requests/{request['id']}"
    done(await ada.post(f"{path}/confirm"))
    await hub.settle()
    assert (await ada.get(f"{path}/archive")).status_code == 200

    await rows('UPDATE "user".privacy_requests SET archive_until = now() WHERE id = $1', UUID(request["id"]))
    await archive.delete_old(datetime.now(UTC) + timedelta(days=9))

    problem(await ada.get(f"{path}/archive"), 409, "archive-not-ready")
    assert await export.exports().head(f"{request['id']}.zip") is None
