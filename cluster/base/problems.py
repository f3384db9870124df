"""Problem documents (RFC 9457): every error a client sees is one of these, rendered in one place.

    Problem
    |-- BadRequest 400, Unauthorized 401, Forbidden 403, NotFound 404, RequestTimeout 408, Conflict 409, Stale 412
    |-- TooLarge 413, UnsupportedMediaType 415, MisdirectedRequest 421, Invalid 422, PreconditionRequired 428, TooManyRequests 429
    `-- Unavailable 503

Services subclass the nearest one in their contract; the slug of `type` is the class name in kebab case.
"""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of a request: where (`pointer`, RFC 6901), which (`code`, for translation), and what to do about it."""

    pointer: str
    code: str
    detail: str
    params: dict[str, Any] = field(default_factory=dict[str, Any])


class Problem(Exception):
    """An error that a client is told about. Subclasses state the fact in their name."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"
    type_uri: ClassVar[str | None] = None
    """The type that a standard registered; None: the page of this problem."""

    def __init__(
        self,
        detail: str = "",
        *,
        pointer: str | None = None,
        errors: tuple[FieldError, ...] = (),
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = errors or (
            (FieldError(pointer, self.slug(), detail or self.title),) if pointer is not None else ()
        )
        self.headers = headers or {}
        self.extra = extra
        """Further members of the document (RFC 9457, section 3.2)."""

    @classmethod
    def slug(cls) -> str:
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    @classmethod
    def type(cls) -> str:
        return cls.type_uri or f"/problems/{cls.slug()}"

    def document(self, trace_id: str) -> dict[str, Any]:
        """Return the members of the problem document."""
        return {
            "type": self.type(),
            "title": self.title,
            "status": self.status,
            "detail": self.detail or self.title,
            "trace_id": trace_id,
            "errors": [
                {"pointer": error.pointer, "code": error.code, "params": error.params, "detail": error.detail}
                for error in self.errors
            ],
            **self.extra,
        }


class BadRequest(Problem):
    status = 400
    title = "The request cannot be read"


class Unauthorized(Problem):
    status = 401
    title = "Sign in first"


class Forbidden(Problem):
    status = 403
    title = "Not allowed"


class NotFound(Problem):
    status = 404
    title = "Not found"


class RequestTimeout(Problem):
    """The request's body did not arrive in time (RFC 9110, section 15.5.9)."""

    status = 408
    title = "The request did not arrive in time"


class Conflict(Problem):
    status = 409
    title = "The present state does not allow this"


class Stale(Problem):
    """The resource changed since the client read it (RFC 9110, section 13.1.1)."""

    status = 412
    title = "Somebody else changed this first"

    def __init__(self, current_version: int) -> None:
        super().__init__(
            "read the resource again, apply your change to what it says now, and send the new ETag in If-Match",
            headers={"ETag": f'"{current_version}"'},
            current_version=current_version,
        )


class TooLarge(Problem):
    status = 413
    title = "The request is too large"


class UnsupportedMediaType(Problem):
    status = 415
    title = "The media type of the body is not supported"


class MisdirectedRequest(Problem):
    """The request was sent to a name that is not ours (RFC 9110, section 15.5.20)."""

    status = 421
    title = "This server does not go by that name"


class Invalid(Problem):
    status = 422
    title = "Some fields need attention"


class PreconditionRequired(Problem):
    status = 428
    title = "If-Match is required"


class TooManyRequests(Problem):
    status = 429
    title = "Too many requests"

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})


class Unavailable(Problem):
    """Something that this needs is away; nothing was lost (RFC 9110, section 15.6.4)."""

    status = 503
    title = "Not available right now"

    def __init__(self, detail: str, *, retry_after_s: int = 2) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})
