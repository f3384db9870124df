"""Only the jars that the lock pins are used."""

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.servers import jars


def test_the_lock_says_the_same_after_reading_and_writing() -> None:
    assert "".join(f"{jar.line()}\n" for jar in jars.locked()) == jars.LOCK.read_text()


def test_the_lock_pins_what_each_server_starts_from() -> None:
    pinned = {(jar.server, f"{jar.group}:{jar.artifact}:{jar.version}") for jar in jars.locked()}
    assert {(server, root) for server, roots in jars.ROOTS.items() for root in roots} <= pinned


def test_a_changed_jar_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = next(jar for jar in jars.locked() if jar.artifact == "slf4j-simple")
    original = jar.path.read_bytes()
    monkeypatch.setattr(jars, "FOLDER", tmp_path)
    assert jars.missing([jar]) == [jar]
    jar.path.parent.mkdir(parents=True)
    jar.path.write_bytes(original)
    assert jars.missing([jar]) == []
    jar.path.write_bytes(original[:-1])
    assert jars.missing([jar]) == [jar]


def test_a_jar_that_is_not_what_was_locked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = next(jar for jar in jars.locked() if jar.artifact == "slf4j-simple")
    original = jar.path.read_bytes()
    forged = replace(jar, sha256="0" * 64)
    monkeypatch.setattr(jars, "FOLDER", tmp_path)
    # It is in the cache already, as after an earlier fetch: nothing is asked of the network.
    forged.path.parent.mkdir(parents=True)
    forged.path.write_bytes(original)
    with pytest.raises(RuntimeError, match=r"is not the file that jars\.lock pins"):
        jars.fetch([forged], arrived=lambda _: None)
    assert not forged.path.exists()
