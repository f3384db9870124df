"""Routes of a service: what they may raise and an example of what they take stand beside the path."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from functools import cached_property
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from cluster.base.principal import GUEST, Principal
from cluster.base.problems import Problem
from cluster.data import idempotency
from cluster.http.admission import sign_ins
from cluster.http.bodies import JsonRequest, require_json
from cluster.http.documentation import Documentation
from cluster.http.kept import AnswersOfShown, KeptAnswers
from cluster.http.log import method_named
from cluster.http.passage import READ_COST, READING, WRITE_COST, Passage
from cluster.http.reading import Handler, dependants, plain_read
from cluster.http.rendering import problem_of, problem_response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_MOST_MATCHED = 4_000
_LONGEST_MATCHED = 200


async def _caller(request: Request) -> Principal:
    return request.scope.get("state", {}).get("principal", GUEST)


Caller = Annotated[Principal, Depends(_caller)]
"""Who asks. The edge has authenticated it; what it may do is `permit`'s question."""


class Route(APIRoute):
    """A route that reads its body within limits, notes its idempotency key, and answers every error with a problem."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.notices: dict[str, str] = {}
        """Headers of every answer: that the route is going to end."""
        self.read: Handler | None = None
        """What answers a plain read; it needs nothing of FastAPI around it."""
        self.kept: KeptAnswers | AnswersOfShown | None = None
        self.cost = 0
        """Units that a request takes from the caller's buckets; 0: what its method costs."""
        self.timeout_s: float | None = None
        """How long a request may take, once its body is there."""
        self.documentation = Documentation()
        super().__init__(*args, **options)

    def get_route_handler(self) -> Handler:
        plain = plain_read(self)
        handle = plain or super().get_route_handler()
        template = self.path_format
        writes = not READING.issuperset(self.methods or ())
        takes_body = self.body_field is not None
        notices = self.notices
        usual_cost = WRITE_COST if writes else READ_COST
        priced = f"{'/'.join(sorted(self.methods or ()))} {template}"

        async def in_time(request: Request) -> Response:
            if self.timeout_s is None:
                return await handle(request)
            async with asyncio.timeout(self.timeout_s):
                return await handle(request)

        async def answer(request: Request) -> Response:
            response = await answer_or_problem(request)
            if notices:
                response.headers.update(notices)
            return response

        async def answer_or_problem(request: Request) -> Response:
            state: dict[str, Any] = request.scope.setdefault("state", {})
            state["route"] = template
            try:
                passage: Passage | None = state.get("passage")
                if passage is not None:
                    waiting = passage.charge(priced, self.cost or usual_cost)
                    if waiting is not None:
                        await waiting
                if self.kept is not None:
                    return await self.kept.answer(request, handle)
                if not writes:
                    return await in_time(request)
                request = JsonRequest(request.scope, request.receive)
                content = await request.body()
                if takes_body and content:
                    require_json(request)
                    await request.json()
                idempotency.begin(
                    request.headers.get("idempotency-key"),
                    principal=state.get("principal", GUEST),
                    method=request.method,
                    path=request.scope["path"],
                    query=request.scope["query_string"],
                    body=content,
                )
                return await in_time(request)
            except Exception as error:
                return problem_response(problem_of(error))

        if plain is not None:
            self.read = answer
        return answer


class MountedRoute(BaseRoute):
    """Everything at and below a path goes to an ASGI application, untouched. It counts as a stream."""

    def __init__(self, prefix: str, app: App) -> None:
        self.prefix = prefix.rstrip("/")
        self.app = app

    def covers(self, path: str) -> bool:
        return path == self.prefix or path.startswith(self.prefix + "/")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] in ("http", "websocket") and self.covers(scope["path"]):
            return Match.FULL, {}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: dict[str, Any] = scope.setdefault("state", {})
        state["route"] = self.prefix + "/*"
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        become_stream: Callable[[], None] | None = state.get("become_stream")
        try:
            if become_stream is not None:
                become_stream()
            passage: Passage | None = state.get("passage")
            if passage is not None and scope["type"] == "http":
                cost = READ_COST if scope["method"] in READING else WRITE_COST
                waiting = passage.charge(f"{method_named(scope['method'])} {state['route']}", cost)
                if waiting is not None:
                    await waiting
            # The edge answers what a WebSocket raises; each of its thousands of messages takes one step less.
            await self.app(scope, receive, send if scope["type"] == "websocket" else note_start)
        except Exception as error:
            if started or scope["type"] == "websocket":
                raise
            await problem_response(problem_of(error))(scope, receive, send)


class Router:
    """The routes of one service. Paths are written in full.

    Declaring a route costs nothing; building it takes milliseconds, most of them for the validators of its parameters. So
    the import of a service builds none.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.mounts: list[MountedRoute] = []
        self._declared: deque[Callable[[], Route]] = deque()
        self._built: list[Route] = []

    def build(self) -> Iterator[None]:
        """Build the routes that are declared and not built yet, one at each step.

        Raises:
            ValueError: a route keeps answers and is no plain read.
        """
        while self._declared:
            self._built.append(self._declared[0]())
            self._declared.popleft()
            yield

    def routes(self) -> list[Route]:
        """Return all routes, built; see `build`."""
        for _ in self.build():
            pass
        return self._built

    def get(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Answer GET; see `route` for the options."""
        return self.route("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Answer POST; see `route` for the options."""
        return self.route("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Answer PUT; see `route` for the options."""
        return self.route("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Answer PATCH; see `route` for the options."""
        return self.route("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Answer DELETE; see `route` for the options."""
        return self.route("DELETE", path, **options)

    def route(
        self,
        method: str,
        path: str,
        *,
        raises: Sequence[type[Problem]] = (),
        example: Any = None,
        public: bool = False,
        signs_in: bool = False,
        status_code: int = 200,
        deprecated_since: datetime | None = None,
        sunset: datetime | None = None,
        kept: KeptAnswers | AnswersOfShown | None = None,
        cost: int = 0,
        timeout_s: float | None = None,
        **options: Any,
    ) -> Callable[[Endpoint], Endpoint]:
        """Register the decorated function.

        `raises` are the problems beyond the usual ones; `example` is a request body (default: the first example of
        the body's model, else made of its fields' examples); `public`: guests are welcome; `signs_in`: guests may guess
        passwords or make accounts here, so that an address may ask less often; `deprecated_since` and `sunset` are told
        with every answer (RFC 9745, RFC 8594); `kept`: answers are kept for a second; `cost`: units of the caller's
        rate limits (default: 1 to read, 3 to write); `timeout_s`: what takes longer is undone and
        answered with 503. Further options are FastAPI's
        (`response_model`, ...). `kept` is for plain reads alone.
        """
        if signs_in:
            sign_ins.add((method, path))

        def register(endpoint: Endpoint) -> Endpoint:
            self._declared.append(lambda: build(endpoint))
            return endpoint

        def build(endpoint: Callable[..., Any]) -> Route:
            made = Route(
                path,
                endpoint,
                tags=[self.service],
                methods=[method],
                status_code=status_code,
                operation_id=f"{self.service}_{endpoint.__name__}",
                # A body without a Content-Type is taken for JSON, as `require_json` does.
                strict_content_type=False,
                deprecated=deprecated_since is not None,
                **options,
            )
            by_headers = any(each.header_params for each in dependants(made.dependant))
            if kept is not None and (made.read is None or by_headers):
                raise ValueError(f"{path}: only answers of plain reads are kept, which ask for no header")
            made.kept, made.cost, made.timeout_s = kept, cost, timeout_s
            if cost:
                made.openapi_extra = {**(made.openapi_extra or {}), "x-cost": cost}
            if deprecated_since is not None:
                made.notices["Deprecation"] = f"@{int(deprecated_since.timestamp())}"
            if sunset is not None:
                made.notices["Sunset"] = format_datetime(sunset, usegmt=True)
            made.documentation = Documentation(raises=tuple(raises), example=example, public=public)
            return made

        return register

    def include_router(self, other: "Router") -> None:
        """Take over what another router of the same service declares so far: a part of the service keeps its own module."""
        self._declared.extend(other._declared)
        self.mounts.extend(other.mounts)

    def mount_asgi(self, path_prefix: str, app: App) -> None:
        """Give everything at and below `path_prefix` to an ASGI application: uploads, films, live streams."""
        self.mounts.append(MountedRoute(path_prefix, app))


class ServiceApp(FastAPI):
    """FastAPI, a short way past it for plain reads and WebSockets, and HEAD for whatever answers GET.

    Source: RFC 9110, section 9.3.2 (HEAD).
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and (mount := self._mount(scope["path"])) is not None:
            await mount.handle(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "HEAD" and self._mount(scope["path"]) is None:
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        if scope["type"] == "http" and scope["method"] == "GET" and (read := self._plain_read(scope)):
            response = await read(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def _mount(self, path: str) -> MountedRoute | None:
        return next((mount for mount in self._mounts if mount.covers(path)), None)

    @cached_property
    def _mounts(self) -> list[MountedRoute]:
        return [route for route in self.router.routes if isinstance(route, MountedRoute)]

    @cached_property
    def _reads(self) -> dict[tuple[int, str], list[BaseRoute]]:
        """Return the routes that a GET may find, in their order, by the number of slashes and the area of its path."""
        reads = [
            route
            for route in self.router.routes
            if isinstance(route, MountedRoute) or (isinstance(route, Route) and "GET" in (route.methods or ()))
        ]
        by_shape = {_shape(route.path_format) for route in reads if isinstance(route, Route)}
        return {
            shape: [route for route in reads if isinstance(route, MountedRoute) or _shape(route.path_format) == shape]
            for shape in by_shape
        }

    @cached_property
    def _matched(self) -> dict[str, tuple[Handler, dict[str, Any]]]:
        """Return what answers the paths that were asked for lately, with the parameters in them."""
        return {}

    def _plain_read(self, scope: Scope) -> Handler | None:
        """Return what answers, if the first route that takes this GET is a plain read."""
        path: str = scope["path"]
        matched = self._matched.get(path)
        if matched is None:
            matched = self._match(path)
            if matched is None:
                return None
            if len(path) <= _LONGEST_MATCHED:
                if len(self._matched) >= _MOST_MATCHED:
                    self._matched.clear()
                self._matched[path] = matched
        scope["path_params"] = matched[1].copy()
        return matched[0]

    def _match(self, path: str) -> tuple[Handler, dict[str, Any]] | None:
        for route in self._reads.get(_shape(path), ()):
            if isinstance(route, Route):
                if found := route.path_regex.match(path):
                    convert = route.param_convertors
                    parameters = {name: convert[name].convert(text) for name, text in found.groupdict().items()}
                    return None if route.read is None else (route.read, parameters)
            elif isinstance(route, MountedRoute) and route.covers(path):
                return None
        return None


def _shape(path: str) -> tuple[int, str]:
    """Return the number of slashes in a path or a template, and the segment after `/v1`."""
    segments = path.split("/", 3)
    return path.count("/"), segments[2] if len(segments) > 2 else ""


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


def build_app(routers: Sequence[Router]) -> FastAPI:
    """Build the application of one service."""
    app = ServiceApp(
        title=routers[0].service,
        openapi_url=None,
        redirect_slashes=False,
        # The edge traces and measures; a second time here would only cost.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        exception_handlers={HTTPException: _render_http_exception},
    )
    for router in routers:
        # Not include_router: it would match every route twice per request.
        app.router.routes.extend(router.routes())
        app.router.routes.extend(router.mounts)
    return app


class LateApp:
    """The application of one service, which the first request builds that finds it missing."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._app: FastAPI | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            self._app = build_app([self._router])
        await self._app(scope, receive, send)


async def _render_http_exception(request: Request, error: Exception) -> Response:
    """Render what routing refuses; Allow names every method of the path, not only the first route's."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        scope = dict(request.scope)
        methods: set[str] = set()
        for route in request.app.router.routes:
            if isinstance(route, APIRoute) and route.matches(scope)[0] is not Match.NONE:
                methods |= route.methods or set()
        error = HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
    return problem_response(problem_of(error))
