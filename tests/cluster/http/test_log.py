"""What is kept of requests to measure them: no client makes it grow."""

import re

import pytest

from cluster.base import telemetry
from cluster.base.ids import new_id
from cluster.people import usage
from tests.cluster.http.conftest import client_of, new_edge


def methods_measured() -> set[str]:
    return set(
        re.findall(r'hub_http_request_duration_seconds_count\{.*?method="([^"]*)"', telemetry.metrics_text().decode())
    )


async def test_methods_that_clients_invent_are_measured_as_one(process: None) -> None:
    edge, address = new_edge(), f"10.3.{new_id().int % 250}.7"
    async with client_of(edge, **{"X-Forwarded-For": address}) as client:
        await client.get("/v1/nowhere")
        telemetry.metrics_text()
        before = len(edge._log._durations)  # pyright: ignore[reportPrivateUsage]

        answers = [await client.request(f"INVENTED-{n}", "/v1/nowhere") for n in range(1000)]

    measured = methods_measured()
    kept = len(edge._log._durations)  # pyright: ignore[reportPrivateUsage]
    assert {each.status_code for each in answers} == {404}
    assert {"GET", "OTHER"} <= measured
    assert not any(each.startswith("INVENTED") for each in measured)
    assert (before, kept) == (1, 2)


async def test_methods_that_clients_invent_are_counted_as_one(process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = usage.Usage()
    monkeypatch.setattr(usage, "_usage", counting)

    async with client_of(new_edge(), **{"X-Forwarded-For": f"10.5.{new_id().int % 250}.7"}) as client:
        for n in range(20):
            await client.request(f"INVENTED-{n}", "/v1/uploads/x")

    counts = counting._counts  # pyright: ignore[reportPrivateUsage]
    assert [(asked[1], count) for asked, count in counts.items()] == [("OTHER /v1/uploads/*", [20, 60])]
