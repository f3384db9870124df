"""Calls between services: a method call when the service lives in this process, HTTP when it does not.

`client(CourseCalls)` answers the Protocol of the contract. Over HTTP it is `POST /v1/<area>/-/calls/<method>` with
a MessagePack body, a service token of 60 s, the trace and a deadline. Nothing is retried here: the caller knows what is
safe to repeat.

A leaf Protocol is answered by services that read their own tables for it and call nobody, so anybody may ask, whatever the
ranks: each of them offers `Answers(P)`, and `client(P, of="course")` asks one of them.
"""

import importlib
import inspect
import logging
import os
import time
import typing
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from cluster.base import problems, telemetry
from cluster.base.principal import Principal, platform
from cluster.base.problems import FieldError, Problem, Unavailable
from cluster.base.registry import offers_by_service, room
from cluster.base.services import Service, service_of, table
from cluster.base.settings import settings
from cluster.data import idempotency, postgres
from cluster.people import identity

if TYPE_CHECKING:
    import aiohttp

P = TypeVar("P")
log = logging.getLogger(__name__)

DEADLINE_S = 5.0
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
_caller: ContextVar[Principal | None] = ContextVar("caller", default=None)
_local: dict[str, object] = {}
_hosted: set[str] = set()
_session: "aiohttp.ClientSession | None" = None
_PROBLEM_HEADER = "x-problem-class"
_BY_STATUS: dict[int, type[Problem]] = {
    problem.status: problem
    for problem in vars(problems).values()
    if isinstance(problem, type) and issubclass(problem, Problem)
}


class RemoteUnavailable(Unavailable):
    """A service that this needs does not answer."""

    title = "A part of the platform does not answer"


@dataclass(frozen=True, slots=True)
class Answers:
    """An offer: this service's `calls.Calls` answers a leaf Protocol, from its own tables, and calls nobody for it."""

    protocol: type


@dataclass(frozen=True, slots=True)
class Method:
    """How one method travels: a MessagePack map of its arguments there, its result back."""

    arguments: type[msgspec.Struct]
    result: Any


@cache
def method_of(declaring: type, name: str) -> Method:
    """Derive the wire form of a method from its annotations.

    Raises:
        LookupError: there is no such method.
    """
    function = inspect.getattr_static(declaring, name, None)
    if function is None or name.startswith("_") or not inspect.iscoroutinefunction(function):
        raise LookupError(f"{declaring.__module__}.{declaring.__name__} has no call {name}")
    hints = typing.get_type_hints(function)
    fields: list[Any] = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        field: tuple[Any, ...] = (parameter.name, hints[parameter.name])
        fields.append(field if parameter.default is parameter.empty else (*field, parameter.default))
    return Method(msgspec.defstruct(f"{name}_arguments", fields, kw_only=True), hints["return"])


def client(protocol: type[P], *, of: str | None = None) -> P:
    """Return something that answers `protocol`, wherever its service runs; `of`: which of a leaf Protocol's answerers.

    Raises:
        RuntimeError: called while a connection is held, see `postgres.holds_connection`.
        LookupError: `of` does not offer to answer it, or several services do and `of` names none.
    """
    if postgres.holds_connection():
        raise RuntimeError(f"{protocol.__name__} called while a connection is held: call before or after")
    return cast(P, _client(protocol, of))


def answerers(protocol: type) -> list[str]:
    """Return the names of the services that answer a leaf Protocol, in the order of the service table."""
    return [service for service, offer in offers_by_service(Answers) if offer.protocol is protocol]


@cache
def _client(protocol: type, of: str | None) -> "_Client":
    found = answerers(protocol)
    if of is None and not found:
        return _Client(protocol, service_of(protocol))
    chosen = found if of is None else [name for name in found if name == of]
    if len(chosen) != 1:
        raise LookupError(
            f"{protocol.__name__} is answered by {', '.join(found) or 'nobody'}: name one of these in `of`"
        )
    return _Client(protocol, table()[chosen[0]])


class _Client:
    def __init__(self, protocol: type, service: Service) -> None:
        self._protocol = protocol
        self._service = service
        self._methods: dict[str, Callable[..., Awaitable[Any]]] = {}

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = self._methods.get(name)
        if method is None:
            method = self._methods[name] = self._bind(name)
        return method

    def _bind(self, name: str) -> Callable[..., Awaitable[Any]]:
        wire = method_of(self._protocol, name)
        names = wire.arguments.__struct_fields__
        service = self._service
        through_codec = os.environ.get("HUB_CALLS_CODEC") == "1"

        async def call(*args: Any, **kwargs: Any) -> Any:
            local = _local.get(service.name)
            with idempotency.outside():
                if local is not None and not through_codec:
                    return await getattr(local, name)(*args, **kwargs)
                body = msgspec.msgpack.encode({**dict(zip(names, args, strict=False)), **kwargs})
                if local is not None:
                    return msgspec.msgpack.decode(await answer(service.name, name, body), type=wire.result)
                return msgspec.msgpack.decode(await _post(service, name, body), type=wire.result)

        return call


async def answer(service: str, name: str, body: bytes) -> bytes:
    """Run a call that came for a service of this process and return its encoded result.

    Raises:
        RemoteUnavailable: no such call here, or its arguments do not fit: the two are of different releases, which ends
            with the rollout. A fault of the call itself stays what it is.
    """
    calls = _local.get(service)
    try:
        arguments = msgspec.msgpack.decode(body, type=method_of(type(calls), name).arguments)
    except (LookupError, msgspec.MsgspecError) as error:
        log.warning("call refused", extra={"service": service, "call": name, "error": repr(error)})
        raise RemoteUnavailable(
            f"this release of {service} does not answer the call {name}; try again later"
        ) from error
    result = await getattr(calls, name)(**{field: getattr(arguments, field) for field in arguments.__struct_fields__})
    return msgspec.msgpack.encode(result)


@contextmanager
def called_by(principal: Principal) -> Generator[None]:
    """Run the body as a call of another host."""
    token = _caller.set(principal)
    try:
        yield
    finally:
        _caller.reset(token)


def caller(service: str) -> Principal:
    """Return the platform as the one who writes for a call that names no person: acting through the services of the host that
    called, so that the audit trail tells it, or through `service` when the call stayed in this process."""
    found = _caller.get()
    return platform(service) if found is None or found.service is None else found


async def _post(service: Service, name: str, body: bytes) -> bytes:
    import aiohttp

    left = remaining_s()
    headers = {
        "Authorization": f"Bearer {identity.issue_service_token(service.name, tuple(sorted(_hosted)))}",
        "Content-Type": "application/msgpack",
        "X-Deadline-Ms": str(int(left * 1000)),
    }
    traceparent = telemetry.traceparent()
    if traceparent:
        headers["traceparent"] = traceparent
    try:
        async with _http().post(
            f"{_base(service)}/v1/{service.areas[0]}/-/calls/{name}",
            data=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=left),
        ) as response:
            content = await response.read()
            if response.status == 200:
                return content
            raise _problem(response.headers.get(_PROBLEM_HEADER, ""), response.status, service, name, content)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise RemoteUnavailable(f"{service.name} does not answer; try again in a moment") from error


async def is_healthy(service: Service, limit_s: float) -> bool:
    """Tell whether a service answers: at once for those of this process, by its health route for others."""
    if service.name in _hosted:
        return True
    import aiohttp

    url = f"{_base(service)}/v1/{service.areas[0]}/-/health"
    try:
        async with _http().get(url, timeout=aiohttp.ClientTimeout(total=limit_s)) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _http() -> "aiohttp.ClientSession":
    import aiohttp

    global _session
    if _session is None or _session.closed:
        _session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100, keepalive_timeout=30))
    return _session


def _base(service: Service) -> str:
    return settings().service_url.format(service=service.name, namespace=service.namespace, port=service.port)


def remaining_s() -> float:
    """Return the seconds that the current request's calls may still take."""
    deadline = _deadline.get()
    if deadline is None:
        return DEADLINE_S
    left = deadline - time.monotonic()
    if left <= 0:
        raise RemoteUnavailable("the time for this request is used up; try again")
    return min(left, DEADLINE_S)


def set_deadline(milliseconds: str | None) -> None:
    """Take over the deadline that a caller sent along."""
    if milliseconds is not None and milliseconds.isdigit():
        _deadline.set(time.monotonic() + int(milliseconds) / 1000)


def encode_problem(problem: Problem) -> tuple[bytes, dict[str, str]]:
    """Return body and headers that carry a problem to the calling service."""
    body = msgspec.msgpack.encode(
        {
            "title": problem.title,
            "detail": problem.detail,
            "errors": problem.errors,
            "headers": problem.headers,
            "extra": problem.extra,
        }
    )
    return body, {_PROBLEM_HEADER: f"{type(problem).__module__}:{type(problem).__qualname__}"}


def _problem(name: str, status: int, service: Service, method: str, content: bytes) -> Problem:
    module, _, qualname = name.partition(":")
    if module.split(".")[0] not in ("api", "cluster"):
        return RemoteUnavailable(f"{service.name} refused the call {method}")
    carried = msgspec.msgpack.decode(content)
    unknown = {"status": status, "title": carried.get("title", Problem.title)}
    found: type[Problem] = _problem_class(module, qualname) or type(
        qualname, (_BY_STATUS.get(status, Problem),), unknown
    )
    problem = found.__new__(found)
    Problem.__init__(
        problem,
        carried["detail"],
        errors=tuple(FieldError(**error) for error in carried["errors"]),
        headers=carried["headers"],
        **carried["extra"],
    )
    return problem


def _problem_class(module: str, qualname: str) -> type[Problem] | None:
    """Find a problem's class; None: the answering service is of a release that has a problem which this one lacks."""
    try:
        found = getattr(importlib.import_module(module), qualname, None)
    except ModuleNotFoundError:
        return None
    return found if isinstance(found, type) and issubclass(found, Problem) else None


def install(services: tuple[str, ...]) -> None:
    """Make the services of this process answer in it."""
    _hosted.update(services)
    if not _hosted.issuperset(table()):
        # Others answer over HTTP. Imported now, because it takes 0.2 s and the first call would wait for it.
        importlib.import_module("aiohttp")
    for service in services:
        module = room(service, "calls")
        if module is not None:
            _local[service] = module.Calls()


async def close() -> None:
    """Forget the local services and close the connections to others."""
    global _session
    _local.clear()
    _hosted.clear()
    session, _session = _session, None
    if session is not None:
        await session.close()
