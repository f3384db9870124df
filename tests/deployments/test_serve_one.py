"""One service without Ray."""

import subprocess
import sys
import time

import httpx
import pytest

from cluster.servers.home import free_port
from deployments.serve import REPOSITORY

DRAINS = """
import asyncio, sys
from deployments.serve_one import answer_until_signal
from tests.deployments.toy import ToyHost

async def main():
    await answer_until_signal(ToyHost(("course",)), host="127.0.0.1", port=int(sys.argv[1]))
    sys.stdout.write("drained")

asyncio.run(main())
"""


def test_sigterm_lets_the_hosts_drain() -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", DRAINS, str(port)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as process:
        for _ in range(600):
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/v1/x").json()["services"] == ["course"]
                break
            except httpx.TransportError:
                time.sleep(0.1)
        else:
            process.kill()
            pytest.fail("it did not open its port")
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "drained")


def test_an_unknown_service_is_named_with_the_known_ones() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "deployments.serve_one", "no-such"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert told.returncode == 1
    assert "no-such is not in deployments/: one of " in told.stderr
