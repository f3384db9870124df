"""Pages that the gateway serves from its own files; none of them loads anything from another address."""

import gzip
import html
from functools import cache
from importlib.resources import files
from pathlib import Path

import orjson
from starlette.responses import Response

from api.core.gateway.contract import PageNotFound, ProblemTypeNotFound
from api.core.gateway.event_page import events_page
from cluster.base.problems import Problem
from cluster.base.registry import load
from cluster.base.services import table

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
)
_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
}
_START = (
    "window.onload = () => SwaggerUIBundle({url: '/openapi.json', dom_id: '#docs', deepLinking: true, "
    "docExpansion: 'none', tagsSorter: 'alpha', filter: true, persistAuthorization: false, validatorUrl: null});"
)
_DOCS = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>LearningHub API</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="docs"></div><script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>"""
_HOME = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>LearningHub</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body {{ font: 17px/1.6 system-ui, sans-serif; max-width: 44rem; margin: 4rem auto; padding: 0 1rem; color: #1b2430 }}
h1 {{ font-size: 2.2rem; margin-bottom: 0 }} p {{ color: #46515e }} a {{ color: #0b5cad }}
li {{ margin: .4rem 0 }}</style></head><body><h1>LearningHub</h1><p>{services} services behind one door.</p><ul>
<li><a href="/docs">The API, to read and to try</a> (<a href="/openapi.json">OpenAPI 3.1</a>)</li>
<li><a href="/docs/events">The events</a> (<a href="/asyncapi.json">AsyncAPI 3.0</a>)</li>
<li><a href="/v1/catalog">The catalogue</a>, open to everybody</li>
<li><a href="/v1/gateway/-/services">Services and their health</a></li>
<li><a href="/problems/">What problems mean</a></li></ul></body></html>"""


def _page(content: str) -> Response:
    return Response(content, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _CSP})


def home() -> Response:
    return _page(_HOME.format(services=len(table())))


def docs() -> Response:
    return _page(_DOCS)


def docs_asset(name: str, accept_encoding: str) -> Response:
    """Serve a file of Swagger UI.

    Raises:
        PageNotFound: there is no such file.
    """
    if name == "start.js":
        return Response(_START, media_type="text/javascript")
    if name not in _ASSETS:
        raise PageNotFound
    return _compressed(_asset(name), _ASSETS[name], accept_encoding, max_age_s=86_400)


def openapi(accept_encoding: str) -> Response:
    return _compressed(_openapi(), "application/json", accept_encoding, max_age_s=60)


def asyncapi(accept_encoding: str) -> Response:
    return _compressed(_asyncapi(), "application/json", accept_encoding, max_age_s=60)


def events() -> Response:
    """Show every event, with its fields."""
    return _page(_events())


def problem_index() -> Response:
    items = "".join(f"<li><a href='/problems/{slug}'>{slug}</a></li>" for slug in sorted(_problems()))
    return _page(f"<!doctype html><html lang='en'><title>Problems</title><h1>Problems</h1><ul>{items}</ul></html>")


def problem_page(slug: str) -> Response:
    """Explain a problem type (RFC 9457, section 3.1.1: the type leads to its documentation).

    Raises:
        ProblemTypeNotFound: there is none of this name.
    """
    problem = _problems().get(slug)
    if problem is None:
        raise ProblemTypeNotFound("GET /problems/ lists them")
    explanation = html.escape(problem.__doc__ or problem.title)
    return _page(
        f"<!doctype html><html lang='en'><title>{html.escape(problem.title)}</title>"
        f"<h1>{html.escape(problem.title)}</h1><p>Status {problem.status}. {explanation}</p></html>"
    )


def _compressed(content: tuple[bytes, bytes], media_type: str, accept_encoding: str, *, max_age_s: int) -> Response:
    plain, zipped = content
    headers = {"Cache-Control": f"public, max-age={max_age_s}", "Vary": "Accept-Encoding"}
    if "gzip" in accept_encoding:
        return Response(zipped, media_type=media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(plain, media_type=media_type, headers=headers)


@cache
def _asset(name: str) -> tuple[bytes, bytes]:
    content = files("fastapi_offline").joinpath("static", name).read_bytes()
    return content, gzip.compress(content, mtime=0)


def openapi_document() -> bytes:
    return (Path(__file__).parent / "openapi.json").read_bytes()


@cache
def _openapi() -> tuple[bytes, bytes]:
    content = openapi_document()
    return content, gzip.compress(content, mtime=0)


@cache
def _asyncapi() -> tuple[bytes, bytes]:
    content = (Path(__file__).parent / "asyncapi.json").read_bytes()
    return content, gzip.compress(content, mtime=0)


@cache
def _events() -> str:
    return events_page(orjson.loads(_asyncapi()[0]))


@cache
def _problems() -> dict[str, type[Problem]]:
    load(table(), "contract")
    found: dict[str, type[Problem]] = {}
    waiting: list[type[Problem]] = [Problem]
    while waiting:
        for problem in waiting.pop().__subclasses__():
            found.setdefault(problem.slug(), problem)
            waiting.append(problem)
    return found
