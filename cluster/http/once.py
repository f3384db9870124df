"""A request that is repeated with its Idempotency-Key is done once and answered again."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

from starlette.responses import Response

from cluster.data import idempotency
from cluster.data.idempotency import Replayed

T = TypeVar("T")


async def once(
    response: Response,
    work: Coroutine[Any, Any, T] | Callable[[], Awaitable[T]],
    again: Callable[[Any], Awaitable[T]] | None,
) -> T:
    """Run `work`, or when this request was done before, render its result by `again(result_id)` with the status it had.

    None: the id itself is the result.

    Raises:
        KeyInFlight, KeyReused
    """
    key = idempotency.current()
    if key is None:
        return await (work() if callable(work) else work)
    try:
        seen = await idempotency.find(key)
    except BaseException:
        _drop(work)
        raise
    if seen is None:
        key.active = True
        try:
            return await (work() if callable(work) else work)
        except Replayed as replayed:
            seen = replayed
        finally:
            key.active = False
    else:
        _drop(work)
    if not isinstance(seen, Replayed):
        raise seen
    result = cast(T, seen.result) if again is None else await again(seen.result)
    response.status_code = seen.status
    response.headers["Idempotent-Replayed"] = "true"
    return result


def _drop(work: Coroutine[Any, Any, Any] | Callable[[], Awaitable[Any]]) -> None:
    if not callable(work):
        work.close()
