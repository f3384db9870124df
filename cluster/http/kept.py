"""Answers that many ask for: kept by each process for a second at most, and dropped when what they show changes."""

from collections.abc import Awaitable, Callable, Hashable
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
        caller: Principal = scope["state"]["principal"]
        reach = None if self._reach is None else await self._reach(caller)
        scope["state"]["reach"] = reach
        length = len(scope["path"]) + len(scope["query_string"])
        if length > _LONGEST_KEY or (self._reach is None and caller.kind != "guest"):
            return await handle(request)
        key = (scope["path"], scope["query_string"], caller.kind, caller.scopes, reach)
        return await self._answers.get(key, partial(handle, request))


async def reach_of_answer(request: Request) -> Any:
    """Return the reach by which the answer is kept: `Annotated[Reach, Depends(reach_of_answer)]`."""
    return request.scope["state"]["reach"]
