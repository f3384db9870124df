"""Answers that no service should give."""

from typing import Any

import pytest

from api.engagement.notification.delivery.answers import Answer, Asking
from api.engagement.notification.device import fcm
from api.engagement.notification.device.replies import json_of, retry_after_s
from cluster.http.outbound_urls import Reply


@pytest.mark.parametrize(
    "text",
    [
        *("", "²", "१२", "-5", "soon", "1e400", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"),
        *(
            "Mon, 01 Jan 0001 00:00:00 +2300",
            "Mon, 99 Foo 2026 99:99:99 GMT",
            "0 0 0 0 0 0",
            ",,,,",
            "Mon, 1 Jan 2026 0:0:0 +9999999999",
        ),
    ],
)
def test_a_wait_that_is_none_is_no_wait(text: str) -> None:
    assert not retry_after_s(Reply(status=503, headers={"retry-after": text}, body=b""))


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 5000, b"[]", b"7", b"null"])
def test_an_answer_without_an_object_holds_nothing(body: bytes) -> None:
    assert json_of(Reply(status=200, headers={}, body=body)) == {}


@pytest.mark.parametrize(
    "details",
    [7, [7], [{"fieldViolations": 7}], [{"fieldViolations": [7]}], [{"errorCode": {"a": 1}}]],
)
def test_a_fault_of_fcm_in_another_shape_is_a_refusal(details: Any) -> None:
    reply = fcm._answer(400, {"error": {"details": details}}, None)  # pyright: ignore[reportPrivateUsage]

    assert reply == Answer("failed", "refused", status=400)


async def test_a_fault_of_ours_is_an_attempt_and_closes_no_host() -> None:
    async def fail() -> Answer:
        raise LookupError("a fault of ours")

    asking = Asking(5.0, replaces=True)
    answers = [await asking("ours.example", fail) for _ in range(20)]

    assert answers == [Answer("planned", "retried")] * 20
