"""What a home keeps."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster.servers.home import Home, free_port, is_free
from cluster.servers.logs import open_log
from cluster.servers.state import State


def test_ports_and_secrets_stay_as_first_chosen(tmp_path: Path) -> None:
    first = Home(tmp_path)
    port, secret = first.port("kafka"), first.secret("hub")
    again = Home(tmp_path)
    assert (again.port("kafka"), again.secret("hub")) == (port, secret)
    assert again.port("valkey") != port
    assert len(secret) >= 32


def test_all_who_ask_at_once_get_one_answer(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(Home(tmp_path).port, "postgres") for _ in range(64)]
    assert len({answer.result() for answer in answers}) == 1


def test_others_cannot_read_secrets(tmp_path: Path) -> None:
    Home(tmp_path).secret("hub")
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_home_and_its_logs_and_state_are_closed_to_others(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for folder in (home.path, home.logs, home.run):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)

    Home(home.path)
    open_log(home.logs, "web").close()
    State().write(home)

    others = {folder.name: folder.stat().st_mode & 0o077 for folder in (home.path, home.logs, home.run)}
    # As root PostgreSQL's account passes through, and lists nothing.
    assert others == {"home": 0o011 if os.geteuid() == 0 else 0, "logs": 0, "run": 0}
    files = [*home.logs.iterdir(), *home.run.iterdir()]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600] * 2


def test_a_place_moves_with_its_home_unless_it_lies_outside(tmp_path: Path) -> None:
    before = Home(tmp_path / "before")
    assert before.place("inside", Path("inside")) == tmp_path / "before" / "inside"
    assert before.place("outside", tmp_path / "far") == tmp_path / "far"
    before.path.rename(tmp_path / "after")
    after = Home(tmp_path / "after")
    assert after.place("inside", tmp_path / "other") == tmp_path / "after" / "inside"
    assert after.place("outside", tmp_path / "other") == tmp_path / "far"


def test_a_free_port_is_no_port_that_an_outgoing_connection_may_hold() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(free_port() < lowest for _ in range(20))


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)
