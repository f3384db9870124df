"""People who work while things break: they repeat what was not acknowledged, and remember what was."""

import asyncio
import base64
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from cluster.base.ids import new_id

PASSWORD = "a long enough sentence"
TUS = {"Tus-Resumable": "1.0.0"}
_PATIENCE_S = 180.0


class Unexpected(Exception):
    """An answer that no fault excuses."""


@dataclass(slots=True)
class Trouble:
    """What clients saw besides success."""

    seen: Counter[str] = field(default_factory=Counter[str])


class Someone:
    """A client as we tell people to write one: a key with every write, patience with 503 and broken connections."""

    def __init__(self, url: str, trouble: Trouble) -> None:
        self.http = httpx.AsyncClient(base_url=url, timeout=15, trust_env=False)
        self.trouble = trouble
        self.id = ""
        self._email = f"{new_id().hex}@people.example"

    async def sign_up(self, name: str) -> "Someone":
        account = {"email": self._email, "password": PASSWORD, "name": name}
        self.id = (await self.ask("POST", "/v1/users", account))["id"]
        await self._sign_in()
        return self

    async def _sign_in(self) -> None:
        credentials = {"email": self._email, "password": PASSWORD}
        self.http.headers.pop("Authorization", None)
        session = await self.ask("POST", "/v1/sessions", credentials)
        self.http.headers["Authorization"] = f"Bearer {session['access_token']}"

    async def ask(self, method: str, path: str, json: Any = None, **params: Any) -> Any:
        """Send a request until it is acknowledged; return what was answered.

        Raises:
            Unexpected: an answer that repeating does not help.
        """
        key = {} if method == "GET" else {"Idempotency-Key": str(new_id())}
        response = await self._patiently(method, path, json=json, headers=key, params=params or None)
        if response.is_success:
            return response.json() if response.content else None
        raise Unexpected(f"{method} {path}: {response.status_code} {response.text[:500]}")

    async def attempt(self, method: str, path: str, json: Any, key: str) -> str | None:
        """Send a request a single time; return the id of what was acknowledged."""
        try:
            response = await self.http.request(method, path, json=json, headers={"Idempotency-Key": key}, timeout=5)
        except httpx.TransportError:
            return None
        return response.json()["id"] if response.is_success else None

    async def http_status(self, method: str, path: str) -> int:
        """Return what a patient client is answered."""
        return (await self._patiently(method, path)).status_code

    async def upload(self, course_id: str, content: bytes, *, step: int, pause_s: float) -> str:
        """Upload a film by tus, a step at a time, going on where the server says it stands; return the asset's id."""
        fields = {"filename": "film.mp4", "filetype": "video/mp4", "purpose": "course-media"}
        fields["target"] = f"course:{course_id}"
        metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
        creation = TUS | {"Upload-Length": str(len(content)), "Upload-Metadata": metadata}
        created = await self._patiently("POST", "/v1/uploads", headers=creation)
        if created.status_code != 201:
            raise Unexpected(f"POST /v1/uploads: {created.status_code} {created.text[:500]}")
        where = httpx.URL(created.headers["location"]).path
        offset = 0
        while offset < len(content):
            headers = TUS | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            try:
                await self.http.patch(where, content=content[offset : offset + step], headers=headers)
            except httpx.TransportError as error:
                self.trouble.seen[type(error).__name__] += 1
            stands = await self._patiently("HEAD", where, headers=TUS)
            if "upload-offset" not in stands.headers:
                raise Unexpected(f"HEAD {where}: {stands.status_code}")
            offset = int(stands.headers["upload-offset"])
            await asyncio.sleep(pause_s)
        return where.rpartition("/")[2]

    async def until(self, path: str, *states: str, limit_s: float = _PATIENCE_S) -> dict[str, Any]:
        """Ask until the answer's state is one of these."""
        async with asyncio.timeout(limit_s):
            while (found := await self.ask("GET", path))["state"] not in states:
                await asyncio.sleep(0.5)
        return found

    async def all(self, path: str, **params: str) -> list[dict[str, Any]]:
        """Return every item of a list."""
        items: list[dict[str, Any]] = []
        page: dict[str, Any] = {"next_cursor": ""}
        while page["next_cursor"] is not None:
            page = await self.ask("GET", path, limit="100", cursor=page["next_cursor"] or None, **params)
            items += page["items"]
        return items

    async def _patiently(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Repeat a request while nobody answers, or the answer is that it should be repeated."""
        if (params := options.get("params")) is not None:
            options["params"] = {name: value for name, value in params.items() if value is not None}
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    response = await self.http.request(method, path, **options)
                except httpx.TransportError as error:
                    self.trouble.seen[type(error).__name__] += 1
                else:
                    if response.status_code == 401 and "Authorization" in self.http.headers:
                        self.trouble.seen["401: signed in again"] += 1
                        await self._sign_in()
                        continue
                    in_flight = response.status_code == 409 and b"key-in-flight" in response.content
                    if response.status_code != 503 and not in_flight:
                        return response
                    self.trouble.seen["409 in flight" if in_flight else "503"] += 1
                await asyncio.sleep(0.3)
