"""What `./hub bench` judges by: its own client, the answers of wrk, and when a goal is reached."""

import asyncio
import shutil
from dataclasses import replace

import pytest

from bench.figures import Figure, document
from bench.load import load, of_wrk

WRK = """Running 1s test @ http://127.0.0.1:3000/edged
  1 threads and 32 connections
  9731 requests in 1.00s, 1.50MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
  Non-2xx or 3xx responses: 40
Requests/sec:   9705.12
Transfer/sec:      1.50MB
"""


@pytest.fixture(scope="session", autouse=True)
def servers() -> None:
    """Replace the servers of the whole suite: nothing here talks to one."""


async def test_our_own_client_counts_answers_and_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = 0
    authorized: set[bytes] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        while request := await _request(reader):
            authorized.update(line for line in request.split(b"\r\n") if line.startswith(b"Authorization"))
            answered += 1
            status = b"404 No" if answered % 3 == 0 else b"200 OK"
            # In two pieces: a client must not take the head for the whole.
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nhe")
            await asyncio.sleep(0)
            writer.write(b"llo")
        writer.close()

    monkeypatch.setattr(shutil, "which", _not_installed)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        found = await load(f"http://127.0.0.1:{port}/", seconds=0.5, token="secret")
    assert answered > 64
    assert authorized == {b"Authorization: Bearer secret"}
    # What was on its way at the end is not counted.
    assert answered // 3 - 32 <= found.failed <= answered // 3
    assert 0 < found.per_s <= answered / 0.5
    assert found.why == "HTTP/1.1 404 No"


async def test_a_broken_client_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", _not_installed)
    with pytest.raises(RuntimeError, match="ConnectionRefused"):
        await load("http://127.0.0.1:1/", seconds=0.1)


def test_what_wrk_says_is_read_with_its_failures() -> None:
    assert (of_wrk(WRK).per_s, of_wrk(WRK).failed) == (9705.12, 43)
    quiet = "\n".join(line for line in WRK.splitlines() if "errors" not in line and "Non" not in line)
    assert (of_wrk(quiet).per_s, of_wrk(quiet).failed) == (9705.12, 0)


def test_a_goal_is_of_the_ratio_where_there_is_a_peer() -> None:
    alone = Figure(name="up", value=41, unit="s", goal=40, better="less")
    beside = Figure(name="reads", value=700, unit="1/s", peer=1000, goal=0.7)
    assert (alone.ratio, alone.met, replace(alone, value=40).met, replace(alone, goal=None).met) == (
        None,
        False,
        True,
        None,
    )
    assert (beside.ratio, beside.met, replace(beside, value=699).met) == (0.7, True, False)
    assert document({"x": [beside]})["x"][0] == {
        "name": "reads",
        "value": 700,
        "unit": "1/s",
        "peer": 1000,
        "goal": 0.7,
        "better": "more",
        "ratio": 0.7,
        "met": True,
    }


def _not_installed(_: str) -> None:
    return None


async def _request(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
