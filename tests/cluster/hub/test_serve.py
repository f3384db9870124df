import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.hub.serve import service_named
from cluster.hub.up import Failed

WATCH = """
import sys
from pathlib import Path
from cluster.hub.serve import rerun

folder = Path(sys.argv[1])
rerun((sys.executable, str(folder / "program.py")), [folder])
"""
PROGRAM = """
import os, signal
from pathlib import Path

with (Path(__file__).parent / "started.txt").open("a") as log:
    log.write(f"{os.getpid()} VERSION\\n")
signal.pause()
"""


def started(folder: Path, count: int) -> list[str]:
    """Return the lines of those who started, once there are so many."""
    for _ in range(600):
        log = folder / "started.txt"
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) >= count:
            return lines
        time.sleep(0.1)
    raise AssertionError(f"{count} starts never came")


def test_a_process_is_replaced_on_changed_code_and_ends_with_the_watcher(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("VERSION", "first"))
    with subprocess.Popen([sys.executable, "-c", WATCH, str(tmp_path)]) as watcher:
        try:
            (first,) = started(tmp_path, 1)
            # The watch may begin after the program: write until it is seen.
            for attempt in range(20):
                program.write_text(PROGRAM.replace("VERSION", f"second{attempt}"))
                time.sleep(3)
                if len(started(tmp_path, 1)) > 1:
                    break
            *_, last = started(tmp_path, 2)
        finally:
            watcher.terminate()
            watcher.wait(60)
    assert first.endswith("first")
    assert "second" in last
    for line in (first, last):
        assert not Path(f"/proc/{line.split()[0]}").exists()


def test_a_service_that_is_not_there_is_named_with_the_nearest() -> None:
    assert service_named("course").port == 3003
    with pytest.raises(Failed, match=r"Did you mean course\?"):
        service_named("cuorse")
    with pytest.raises(Failed, match=r"There are .*, course, "):
        service_named("nothing-like-it")
