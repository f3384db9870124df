"""Answers that many ask for: kept by each process for a second at most, and dropped when what they show changes."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cluster.base.principal import Principal
from cluster.http.reading import Handler
from cluster.signals.kept import Kept

_SIZE_BYTES = 16 * 1024 * 1024
_HEAD_BYTES = 500
_LONGEST_KEY = 1_000
"""Answers to longer paths and queries are not kept: their keys would take more room than is counted."""

Reach = Callable[[Principal], Awaitable[Hashable]]
Shown = Callable[[Principal, Mapping[str, str]], Awaitable[object]]


class KeptAnswers:
    """Keeps the answers of plain reads: `@router.get(..., kept=CATALOG)`.

    One answer serves all callers of a kind (guest, person, ...) with the same scopes for whom `reach` returns the same: what of
    the caller decides about the answer. The route takes it from `reach_of_answer` and asks for no other right, or one caller's
    answer is kept for others. Without `reach`, guests' answers alone are kept. Transactions that change what is shown call `drop`.
    """

    def __init__(self, topic: str, *, reach: Reach | None = None) -> None:
        self._reach = reach
        self._answers: Kept[Hashable, Response] = Kept(
            topic, size=_SIZE_BYTES, weigh=lambda answer: _HEAD_BYTES + len(answer.body)
        )
        self.drop = self._answers.drop
        self.forget = self._answers.forget

    async def answer(self, request: Request, handle: Handler) -> Response:
        """Return the kept answer, else that of `handle`. Problems are raised and not kept."""
        scope = request.scope
        state: dict[str, Any] = scope["state"]
        caller: Principal = state["principal"]
        state["reach"] = reach = None if self._reach is None else await self._reach(caller)
        path, query = scope["path"], scope["query_string"]
        if len(path) + len(query) > _LONGEST_KEY or (self._reach is None and caller.kind != "guest"):
            return await handle(request)
        key = (path, query, caller.kind, caller.scopes, reach)
        return self._answers.find(key) or await self._answers.get(key, partial(handle, request))


class AnswersOfShown:
    """Keeps the answers of plain reads that show one thing: `@router.get(..., kept=LISTINGS)`.

    `shown(caller, parameters of the path)` permits each caller, and returns the thing from where it is kept; None: this answer
    is not one to keep. An answer shows that very object, and is found no more once another one is shown: it needs no `drop`. It
    serves all callers of a kind; nothing else of a caller may decide about it. Requests with a query go to the route.
    """

    def __init__(self, name: str, *, shown: Shown) -> None:
        self._shown = shown
        self._answers: Kept[Hashable, tuple[object, Response]] = Kept(
            name, size=_SIZE_BYTES, weigh=lambda answer: _HEAD_BYTES + len(answer[1].body)
        )

    async def answer(self, request: Request, handle: Handler) -> Response:
        """Return the kept answer, else that of `handle`. Problems are raised and not kept."""
        scope = request.scope
        path: str = scope["path"]
        if scope["query_string"] or len(path) > _LONGEST_KEY:
            return await handle(request)
        caller: Principal = scope["state"]["principal"]
        shown = await self._shown(caller, scope["path_params"])
        if shown is None:
            return await handle(request)
        key = (path, caller.kind)
        answer = self._answers.find(key)
        if answer is None or answer[0] is not shown:
            answer = shown, await handle(request)
            self._answers.put(key, answer)
        return answer[1]


async def reach_of_answer(request: Request) -> Any:
    """Return the reach by which the answer is kept: `Annotated[Reach, Depends(reach_of_answer)]`."""
    return request.scope["state"]["reach"]
