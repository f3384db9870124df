"""Loading code while the garbage collector waits."""

import gc
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.base.registry import loading


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name a module that nobody has imported, and makes many objects that stay."""
    (tmp_path / "loaded_late.py").write_text("THINGS = [[] for _ in range(5000)]\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield "loaded_late"
    sys.modules.pop("loaded_late", None)
    gc.unfreeze()


@pytest.fixture
def collections() -> Iterator[list[int]]:
    """Note the generation of each collection."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)


def test_loading_is_not_interrupted_by_the_collector(module: str, collections: list[int]) -> None:
    with loading():
        importlib.import_module(module)

    assert (collections, gc.isenabled()) == ([], True)


def test_the_collector_ignores_what_was_loaded(module: str) -> None:
    before = gc.get_freeze_count()

    with loading():
        importlib.import_module(module)

    assert gc.get_freeze_count() - before >= 5000


def test_loading_what_is_loaded_leaves_the_collector_its_objects(module: str) -> None:
    importlib.import_module(module)
    before = gc.get_freeze_count()

    with loading():
        importlib.import_module(module)

    assert gc.get_freeze_count() == before


def test_the_collector_works_again_after_code_that_does_not_load() -> None:
    with pytest.raises(ModuleNotFoundError), loading():
        importlib.import_module("cluster.no_such_module")

    assert gc.isenabled()


def test_loading_within_loading_lets_the_outer_one_finish() -> None:
    with loading():
        with loading():
            pass

        assert not gc.isenabled()

    assert gc.isenabled()
