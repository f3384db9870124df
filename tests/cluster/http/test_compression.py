"""JSON answers in the coding that the client likes, and pages of other sites."""

import gzip
from collections.abc import AsyncIterator, Callable

import brotli
import httpx
import pytest
import zstandard
from starlette.responses import Response, StreamingResponse

from cluster.http import Edge
from cluster.http.asgi import Receive, Scope, Send
from cluster.http.compression import coding_for
from cluster.people.door import DoorRules, Origin
from tests.cluster.http.conftest import Adopt, client_of

pytestmark = pytest.mark.usefixtures("process")
LONG = b'{"text":"' + b"Numbers, letters and what they have to do with each other. " * 40 + b'"}'
DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": zstandard.ZstdDecompressor().decompress,
    "br": brotli.decompress,
    "gzip": gzip.decompress,
}


def _json(content: bytes, **headers: str) -> Response:
    return Response(content, media_type="application/json", headers={"ETag": '"7"', **headers})


async def _pieces() -> AsyncIterator[bytes]:
    yield LONG
    yield LONG


async def _broken() -> AsyncIterator[bytes]:
    raise RuntimeError("no piece comes")
    yield b""


def _stream(pieces: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(pieces, headers={"Content-Length": str(2 * len(LONG))}, media_type="application/json")


ANSWERS: dict[str, Callable[[], Response]] = {
    "long": lambda: _json(LONG),
    "huge": lambda: _json(LONG * 100),
    "short": lambda: _json(b'{"a":1}'),
    "page": lambda: Response(LONG, media_type="text/html"),
    "kept-back": lambda: _json(LONG, **{"Cache-Control": "private, no-store"}),
    "cookie": lambda: _json(LONG, **{"Set-Cookie": "a=b"}),
    "signed": lambda: _json(LONG[:-1] + b',"access_token":"x"}'),
    "pieces": lambda: _stream(_pieces()),
    "breaks": lambda: _stream(_broken()),
}


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await ANSWERS[scope["path"].rsplit("/", 1)[1]]()(scope, receive, send)


async def raw(edge: Edge, path: str, accepted: str | None, method: str = "GET") -> tuple[httpx.Response, bytes]:
    """Return an answer and its body as it was sent."""
    async with client_of(edge) as client:
        headers = {} if accepted is None else {"Accept-Encoding": accepted}
        async with client.stream(method, path, headers=headers) as response:
            return response, b"".join([piece async for piece in response.aiter_raw()])


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("br, gzip", "br"),
        ("x-gzip", "gzip"),
        ("*", "zstd"),
        ("*;q=0.3, zstd;q=0", "br"),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=0", None),
        ("deflate", None),
        ("", None),
        ("gzip;q=nonsense", None),
    ],
)
def test_coding_is_the_one_that_the_client_likes_best(accepted: str, coding: str | None) -> None:
    assert coding_for(accepted.encode()) == coding


@pytest.mark.parametrize("coding", DECODERS)
@pytest.mark.parametrize("path", ["long", "huge"])
async def test_long_json_is_compressed_under_an_etag_of_its_own(coding: str, path: str) -> None:
    response, body = await raw(Edge(_answer), f"/v1/courses/{path}", coding)

    assert DECODERS[coding](body) == (LONG if path == "long" else LONG * 100)
    assert response.headers["content-encoding"] == coding
    assert response.headers["etag"] == f'"7-{coding}"'
    assert response.headers["vary"] == "Accept-Encoding"
    assert int(response.headers["content-length"]) == len(body) < len(LONG)


@pytest.mark.parametrize(
    "path",
    [
        *("courses/short", "courses/page", "courses/kept-back", "courses/cookie", "courses/signed", "courses/pieces"),
        "sessions/long",
    ],
)
async def test_what_is_short_or_secret_or_streamed_is_not_compressed(path: str) -> None:
    response, body = await raw(Edge(_answer), f"/v1/{path}", "gzip, br, zstd")

    assert "content-encoding" not in response.headers
    assert response.headers.get("etag", '"7"') == '"7"'
    assert int(response.headers["content-length"]) == len(body)


async def test_without_a_wish_the_answer_goes_as_it_is_and_says_that_it_varies() -> None:
    plain, body = await raw(Edge(_answer), "/v1/courses/long", "identity")
    head, nothing = await raw(Edge(_answer), "/v1/courses/long", "br", "HEAD")

    assert (body, plain.headers["etag"], plain.headers["vary"]) == (LONG, '"7"', "Accept-Encoding")
    assert "content-encoding" not in head.headers
    assert nothing in (b"", LONG)


async def test_what_breaks_before_its_first_piece_is_a_problem() -> None:
    response, body = await raw(Edge(_answer), "/v1/courses/breaks", "gzip")

    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert b"internal-error" in body


async def test_the_etag_of_a_compressed_answer_is_taken_as_its_version(toy: httpx.AsyncClient) -> None:
    made = (await toy.post("/v1/things", json={"title": "One"})).json()
    path = f"/v1/things/{made['id']}"

    changed = await toy.patch(path, json={"title": "Two"}, headers={"If-Match": '"1-br"'})
    stale = await toy.patch(path, json={"title": "Three"}, headers={"If-Match": '"1-zstd"'})
    foreign = await toy.patch(path, json={"title": "Three"}, headers={"If-Match": '"2-deflate"'})

    assert [each.status_code for each in (changed, stale, foreign)] == [200, 412, 400]


async def test_pages_of_registered_origins_may_ask_and_no_others(adopt: Adopt) -> None:
    ours, trusted = (
        Origin(origin="https://learn.school.example"),
        Origin(origin="https://app.example", credentials=True),
    )
    edge, path = Edge(_answer), "/v1/courses/short"
    asks = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,if-match"}
    async with client_of(edge) as client:
        before = await client.get(path, headers={"Origin": ours.origin})
        adopt(DoorRules(version=1, origins=[ours, trusted]))
        preflight = await client.options(path, headers={"Origin": ours.origin, **asks})
        answer = await client.get("/v1/courses/short", headers={"Origin": ours.origin})
        with_cookies = await client.get("/v1/courses/short", headers={"Origin": trusted.origin})
        others = [
            await client.request(method, "/v1/courses/short", headers={"Origin": origin, **asks})
            for origin in (
                "https://school.example",
                "https://evil.learn.school.example",
                "http://learn.school.example",
                "null",
            )
            for method in ("GET", "OPTIONS")
        ]

    assert not [name for name in before.headers if name.startswith("access-control") or name == "vary"]
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == ours.origin
    assert preflight.headers["access-control-allow-headers"] == "authorization,if-match"
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-max-age"] == "7200"
    assert answer.headers["access-control-allow-origin"] == ours.origin
    assert "access-control-allow-credentials" not in answer.headers
    assert "ETag" in answer.headers["access-control-expose-headers"]
    assert with_cookies.headers["access-control-allow-credentials"] == "true"
    assert all(each.headers["vary"] == "Origin" for each in (answer, *others))
    assert not [name for each in others for name in each.headers if name.startswith("access-control")]
