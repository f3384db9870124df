"""What the walks over all operations need of the outside world."""

from typing import Any

import pytest

from api.engagement.notification.delivery.answers import Answer
from api.engagement.notification.texting import providers


class _TakesAll:
    host = "texts.example"

    async def send(self, *_: Any) -> Answer:
        return Answer("delivered", status=201)


@pytest.fixture(autouse=True)
def _texting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be somebody who takes text messages, so that phones can be asked for codes."""
    monkeypatch.setattr(providers, "provider", _TakesAll)
