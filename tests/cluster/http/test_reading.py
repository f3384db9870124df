"""Plain reads: whatever is asked, the short way answers what FastAPI would."""

from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI, Header, Query
from pydantic import BaseModel
from starlette.responses import Response

from cluster.base.problems import NotFound
from cluster.http import Caller, Edge, IfMatch, Page, Paging, Router, Several, build_app, routing, set_etag
from cluster.http.routing import Route

ID = "0198c0de-0000-7000-8000-000000000000"


class View(BaseModel):
    id: UUID
    said: dict[str, Any] = {}


def _build() -> FastAPI:
    router = Router("plain")

    @router.get("/v1/plain")
    async def listed(
        paging: Paging, ids: Several[UUID] = None, limit_to: Annotated[int, Query(le=9)] = 5
    ) -> Page[View]:  # pyright: ignore[reportUnusedFunction]
        return paging.page([View(id=id) for id in ids or []], key=lambda view: (view.id,))

    @router.get("/v1/plain/{id}")
    async def shown(  # pyright: ignore[reportUnusedFunction]
        id: UUID, caller: Caller, response: Response, x_word: Annotated[str, Header(max_length=5)] = "none"
    ) -> View:
        if id.int % 2:
            raise NotFound()
        set_etag(response, 7)
        return View(id=id, said={"word": x_word, "kind": caller.kind})

    @router.get("/v1/plain/{id}/matched", status_code=203)
    async def matched(id: UUID, version: IfMatch) -> View:  # pyright: ignore[reportUnusedFunction]
        return View(id=id, said={"version": version})

    @router.get("/v1/plain/{id}/bytes")
    async def own_response(id: UUID, response: Response) -> View:  # pyright: ignore[reportUnusedFunction]
        response.status_code = 218
        return View(id=id)

    @router.get("/v1/plain/{id}/wrong")
    async def wrong(id: UUID) -> View:  # pyright: ignore[reportUnusedFunction]
        found: Any = {"id": "no id"}
        return found

    @router.post("/v1/plain/{id}")
    async def written(id: UUID) -> View:  # pyright: ignore[reportUnusedFunction]
        return View(id=id)

    return build_app([router])


def _never(_: Route) -> None:
    return None


async def _ask(app: FastAPI, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
    transport = httpx.ASGITransport(Edge(app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
        answer = await client.request(method, path, headers={"x-request-id": "one", **headers})
    content = answer.json()
    content.pop("trace_id", None)
    return answer.status_code, dict(answer.headers) | {"content-length": ""}, content


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", f"/v1/plain/{ID}", {}, 200),
        ("GET", f"/v1/plain/{ID}", {"x-word": "hello"}, 200),
        ("GET", f"/v1/plain/{ID}", {"x-word": "much too long"}, 422),
        ("GET", f"/v1/plain/{ID[:-1]}1", {}, 404),
        ("GET", "/v1/plain/not-an-id", {"x-word": "also too long"}, 422),
        ("GET", f"/v1/plain/{ID}/matched", {"if-match": '"3"'}, 203),
        ("GET", f"/v1/plain/{ID}/matched", {"if-match": "3"}, 400),
        ("GET", f"/v1/plain/{ID}/matched", {}, 428),
        ("GET", f"/v1/plain/{ID}/bytes", {}, 218),
        ("GET", f"/v1/plain/{ID}/wrong", {}, 500),
        ("GET", f"/v1/plain/{ID}/nothing", {}, 404),
        ("GET", f"/v1/plain?ids={ID},{ID}", {}, 200),
        ("GET", "/v1/plain?ids=no&limit=0&limit_to=x&cursor=%00", {}, 422),
        ("GET", "/v1/plain?limit_to=9", {}, 200),
        ("POST", f"/v1/plain/{ID}", {}, 200),
        ("PUT", f"/v1/plain/{ID}", {}, 405),
        ("DELETE", "/v1/plain", {}, 405),
    ],
)
async def test_a_plain_read_answers_what_fastapi_would(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    short = _build()
    monkeypatch.setattr(routing, "plain_read", _never)
    long = _build()

    reads = [
        [route.read is not None for route in app.router.routes if isinstance(route, Route)] for app in (short, long)
    ]
    assert reads == [[True] * 5 + [False], [False] * 6]
    answer = await _ask(short, method, path, headers)
    assert answer == await _ask(long, method, path, headers)
    assert answer[0] == status


async def test_head_answers_what_get_would_without_the_body() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=_build()), base_url="http://hub.test") as client:
        shown = await client.get(f"/v1/plain/{ID}")
        head = await client.head(f"/v1/plain/{ID}")
        refused = await client.head(f"/v1/plain/{ID[:-1]}1")
    assert (head.status_code, head.content, refused.status_code) == (200, b"", 404)
    assert (head.headers["etag"], head.headers["content-length"]) == (
        shown.headers["etag"],
        shown.headers["content-length"],
    )
