"""Contracts between releases: the lock refuses what another release does not understand, and every event decodes."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cluster.base.registry import load
from cluster.base.services import table
from cluster.events import Envelope, event_type, event_types
from deployments.contracts import Lock, breaks, lock
from deployments.generate import CONTRACTS, GOLDEN, broken_contracts, main

load(table(), "contract")
TYPES = [kind.name for kind in event_types() if kind.service in table()]
FIELDS = {"course_id": "UUID", "revision": "int", "note": "str = default"}


def locked(fields: dict[str, Any]) -> Lock:
    return {"events": {"course.published": fields}, "jobs": {}, "calls": {}, "values": {}}


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"course_id": "UUID", "note": "str = default"}, ".revision was removed"),
        (FIELDS | {"revision": "str"}, ".revision was int and is str"),
        (FIELDS | {"note": "str"}, ".note lost its default"),
        (FIELDS | {"colour": "str"}, ".colour is new and has no default"),
    ],
)
def test_breaks_names_what_another_release_cannot_read(fields: dict[str, str], line: str) -> None:
    assert breaks(locked(FIELDS), locked(fields)) == [f"events: course.published{line}"]


def test_breaks_names_a_removed_event() -> None:
    now: Lock = {"events": {}, "jobs": {}, "calls": {}, "values": {}}

    assert breaks(locked(FIELDS), now) == ["events: course.published was removed"]


@pytest.mark.parametrize("fields", [FIELDS | {"colour": "str = default"}, FIELDS | {"revision": "int = default"}])
def test_breaks_allows_what_both_releases_can_read(fields: dict[str, str]) -> None:
    assert breaks(locked(FIELDS), locked(fields)) == []


def test_lock_holds_fields_of_events_jobs_calls_and_values() -> None:
    now = lock()

    assert now["events"]["run.ended"] == {"run_id": "UUID", "course_id": "UUID", "org_id": "UUID"}
    assert now["jobs"]["course.publish_at"] == {"course_id": "UUID", "publish_at": "datetime"}
    assert now["calls"]["course.CourseCalls.find_open_run"] == {
        "run_id": "UUID",
        "now": "datetime",
        "return": "None | course.OpenRun",
    }
    assert now["values"]["course.OpenRun"]["run"] == "course.Run"


def test_generate_refuses_to_lock_a_break(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    before = json.loads(CONTRACTS.read_text())
    before["events"]["run.ended"]["reason"] = "str"
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(before))
    monkeypatch.setattr("deployments.generate.CONTRACTS", path)
    monkeypatch.setattr("sys.argv", ["generate"])

    code = main()

    assert code == 1
    assert "events: run.ended.reason was removed" in capsys.readouterr().out
    assert json.loads(path.read_text()) == before


def test_generate_locks_nothing_before_it_is_committed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    now = CONTRACTS.read_text()
    written = json.loads(now)
    written["events"]["entry.written"] = {"book_id": "UUID"}
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(written))
    monkeypatch.setattr("deployments.generate.CONTRACTS", path)
    assert broken_contracts(now) == ["events: entry.written was removed"]

    def as_committed(_path: Path) -> str:
        return now

    monkeypatch.setattr("deployments.generate.committed", as_committed)

    assert broken_contracts(now) == []


@pytest.mark.parametrize("name", TYPES)
def test_event_decodes_the_document_that_its_first_release_wrote(name: str) -> None:
    path = GOLDEN / f"{name}.json"
    assert path.exists(), "./hub generate writes it; commit it, and leave it as it is from then on"
    envelope = Envelope.decode(path.read_text())
    kind = event_type(name)
    assert kind is not None

    decoded = json.loads(msgspec.json.encode(kind.decode(envelope)))

    assert (envelope.type, envelope.source) == (name, kind.service)
    assert {field: decoded.get(field) for field in envelope.payload} == envelope.payload


def test_no_event_was_removed() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(TYPES)
