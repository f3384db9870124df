"""How a resource is answered, said once beside its routes."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from starlette.responses import Response

from cluster.base.principal import Principal
from cluster.http.bodies import View
from cluster.http.conditions import set_etag
from cluster.http.once import once

R = TypeVar("R")
V = TypeVar("V", bound=View)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[R, V]):
    """Renders one kind of resource, and answers a repeated request by reading it again."""

    get: Callable[[Principal, Any], Awaitable[R]]
    """Reads the resource by its id, for a request that was done before."""
    view: type[V]
    etag: str | None = None
    """The resource's field with its version."""
    path: str | None = None
    """Where a new one stands: `/v1/courses/{id}`."""

    def show(self, response: Response, resource: R) -> V:
        """Render the resource, with its ETag."""
        if self.etag is not None:
            set_etag(response, getattr(resource, self.etag))
        return self.view.of(resource)

    async def once(self, response: Response, caller: Principal, work: Coroutine[Any, Any, R]) -> V:
        """Run what changes a resource, once per Idempotency-Key, and render the resource."""
        return self.show(response, await once(response, work, partial(self.get, caller)))

    async def created(self, response: Response, caller: Principal, work: Coroutine[Any, Any, R]) -> V:
        """Run what creates a resource, once per Idempotency-Key, render it and say where it stands (`Location`)."""
        resource = await once(response, work, partial(self.get, caller))
        if self.path is not None:
            response.headers["Location"] = self.path.format(id=getattr(resource, "id"))  # noqa: B009
        return self.show(response, resource)
