"""Keys by purpose: the same as before secrets had ids, another one for each purpose, and former ones while they are listed."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from starlette.responses import Response

from api.core.auth.session import logic as sessions
from api.core.auth.session.rules import RefreshToken
from api.media.video_streaming import tokens
from api.media.video_streaming.contract import PlaybackRefused
from api.platform.audit import checkpoints
from api.platform.audit.store import End
from cluster.base import sealing, secrets, settings
from cluster.base.ids import UserId, new_id
from cluster.base.principal import PLATFORM
from cluster.data import idempotency, write
from cluster.http import once

OLD, NEW = "o" * 40, "n" * 40


def listed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let this process have these secrets."""
    found = settings._secrets(text)  # pyright: ignore[reportPrivateUsage]
    pointed = replace(settings.settings(), secrets=found)
    monkeypatch.setattr(secrets, "settings", lambda: pointed)


def test_a_key_is_hkdf_sha256_of_the_secret_and_its_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, OLD)

    expected = HKDF(hashes.SHA256(), 32, salt=None, info=b"audit checkpoint").derive(OLD.encode())

    assert secrets.key("audit checkpoint") == expected
    assert secrets.key("audit checkpoints") != expected


def test_the_newest_secret_makes_and_all_of_them_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, OLD)
    before = secrets.key("mail")
    listed(monkeypatch, f"2:{NEW},{OLD}")
    after = secrets.keys("mail")

    assert list(after) == ["2", ""]
    assert after[""] == before
    assert secrets.key("mail") == after["2"] != before


def test_data_without_a_key_id_keep_their_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, f"2:{NEW},{OLD}")

    found = secrets.keys("idempotency", plain_digest=True)

    assert found[""] == hashlib.sha256(f"idempotency {OLD}".encode()).digest()
    assert found["2"] == secrets.key("idempotency")


@pytest.mark.parametrize("text", ["", "short", f"1:{OLD},1:{NEW}", f"{OLD},{NEW}", f"1:{OLD},", f"1:{OLD},2:short"])
def test_a_malformed_list_of_secrets_is_refused(text: str) -> None:
    with pytest.raises(RuntimeError, match="at least 32 characters"):
        settings._secrets(text)  # pyright: ignore[reportPrivateUsage]


def test_what_was_sealed_under_a_former_secret_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    # As the release before keys had ids sealed it.
    former = HKDF(hashes.SHA256(), 32, salt=None, info=b"auth mail").derive(OLD.encode())
    sealed = bytes(12) + AESGCM(former).encrypt(bytes(12), b"content", b"mail")

    for text in (OLD, f"2:{NEW},{OLD}"):
        listed(monkeypatch, text)
        assert sealing.unseal("auth", "mail", sealed) == b"content"
    listed(monkeypatch, f"2:{NEW}")
    with pytest.raises(sealing.SealBroken):
        sealing.unseal("auth", "mail", sealed)


def test_a_session_is_refreshed_over_a_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = type("Session", (), {"id": new_id(), "salt": b"s" * 16, "generation": 3})()
    listed(monkeypatch, OLD)
    text = sessions._refresh_token(session)  # pyright: ignore[reportPrivateUsage]
    token = RefreshToken.parse(text)
    assert token is not None

    genuine: list[bool] = []
    for secret in (f"2:{NEW},{OLD}", f"2:{NEW}"):
        listed(monkeypatch, secret)
        genuine.append(sessions._is_genuine(token, session))  # pyright: ignore[reportPrivateUsage]

    assert genuine == [True, False]


def test_a_playback_goes_on_over_a_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    playback: Any = type(
        "Playback",
        (),
        {
            "id": new_id(),
            "user_id": UserId(new_id()),
            "enrollment_id": None,
            "video_id": new_id(),
            "expires_at": now + timedelta(hours=1),
        },
    )()
    listed(monkeypatch, OLD)
    token = tokens.issue(playback)

    listed(monkeypatch, f"2:{NEW},{OLD}")
    assert tokens.verify(token, now).playback_id == playback.id
    listed(monkeypatch, f"2:{NEW}")
    with pytest.raises(PlaybackRefused):
        tokens.verify(token, now)


def test_a_checkpoint_is_verified_over_a_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    end = End(new_id(), 7, b"h" * 32)
    listed(monkeypatch, OLD)
    body = checkpoints.encode([end], datetime.now(UTC))

    listed(monkeypatch, f"2:{NEW},{OLD}")
    assert checkpoints.decode(body) == [end]
    listed(monkeypatch, f"2:{NEW}")
    with pytest.raises(ValueError, match="not signed by this platform"):
        checkpoints.decode(body)


def test_an_idempotency_key_is_found_over_a_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    request: dict[str, Any] = {"principal": PLATFORM, "method": "POST", "path": "/x", "query": b"", "body": b"1"}
    seen: list[idempotency.Key] = []

    for text in (OLD, f"2:{NEW},{OLD}"):
        listed(monkeypatch, text)
        idempotency.begin("a-key", **request)
        key = idempotency.current()
        assert key is not None
        seen.append(key)
    idempotency.begin(None, **request)

    before, after = seen
    assert (before.former, after.former) == ([], [(before.hash, before.fingerprint)])
    assert after.hash != before.hash


async def test_a_request_is_replayed_over_a_rotation(process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_id()
    request: dict[str, Any] = {"principal": PLATFORM, "method": "POST", "path": "/x", "query": b"", "body": b"1"}

    async def send(result: UUID) -> UUID:
        idempotency.begin(str(made), **request)

        async def work() -> UUID:
            async with write(PLATFORM, result=result, status=201):
                return result

        try:
            return await once(Response(), work, None)
        finally:
            idempotency.begin(None, **request)

    listed(monkeypatch, OLD)
    assert await send(made) == made
    listed(monkeypatch, f"2:{NEW},{OLD}")
    assert await send(new_id()) == made
