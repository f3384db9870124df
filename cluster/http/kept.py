"""Answers that many ask for: kept by each process for a second at most, and dropped when what they show changes."""

from collections.abc import Awaitable, Callable, Hashable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from cluster.base.principal import Principal
from cluster.http.reading import Handler
from cluster.signals.kept import Kept

_SIZE_BYTES = 16 * 1024 * 1024
_HEAD_BYTES = 500


async def _same_for_all(caller: Principal) -> None:  # noqa: ARG001
    return None


class KeptAnswers:
    """Keeps the answers of plain reads: `@router.get(..., kept=CATALOG)`.

    One answer serves all callers of a kind (guest, person, ...) with the same scopes for whom `reach` returns the same: what of
    the caller decides about the answer. Transactions that change what is shown call `drop`.
    """

    def __init__(self, topic: str, *, reach: Callable[[Principal], Awaitable[Hashable]] = _same_for_all) -> None:
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
        reach = None if caller.kind == "guest" else await self._reach(caller)
        key = (scope["path"], scope["query_string"], caller.kind, caller.scopes, reach)
        return await self._answers.get(key, partial(handle, request))
