"""Logs stay small while their processes write on."""

from pathlib import Path

from cluster.servers.logs import open_log, rotate


def test_a_log_that_grew_too_large_starts_again_and_its_writer_goes_on(tmp_path: Path) -> None:
    with open_log(tmp_path, "kafka") as log:
        log.write(b"old\n" * 100)
        log.flush()
        rotate(tmp_path, largest_bytes=100)
        log.write(b"new\n")
        log.flush()
        rotate(tmp_path, largest_bytes=100)
    assert (tmp_path / "kafka.log").read_bytes() == b"new\n"
    assert (tmp_path / "kafka.log.1").read_bytes() == b"old\n" * 100


def test_a_log_is_its_owners_alone(tmp_path: Path) -> None:
    open_log(tmp_path, "serve").close()
    assert (tmp_path / "serve.log").stat().st_mode & 0o777 == 0o600


def test_a_rotated_log_is_its_owners_alone(tmp_path: Path) -> None:
    with open_log(tmp_path, "web") as log:
        log.write(b"old\n" * 100)
    rotated = tmp_path / "web.log.1"
    rotated.touch(mode=0o644)
    rotated.chmod(0o644)

    rotate(tmp_path, largest_bytes=100)

    assert (rotated.stat().st_mode & 0o777, rotated.read_bytes()) == (0o600, b"old\n" * 100)
