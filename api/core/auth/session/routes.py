"""HTTP of sessions.

Answers with tokens are exempt from Idempotency-Key: nothing that opens an account is stored to be repeated.
"""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Cookie
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.core.auth.contract import (
    AccountLocked,
    RefreshRefused,
    SessionId,
    SessionNotFound,
    TooManyGuesses,
    WrongCredentials,
    WrongPassword,
)
from api.core.auth.identity import logic as identities
from api.core.auth.session import logic
from api.core.auth.session.logic import Device, SignedIn
from api.core.auth.session.rules import MAX_LIFETIME
from cluster.base.ids import UserId
from cluster.base.settings import settings
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View
from cluster.people.identity import ACCESS_TOKEN_LIFETIME_S

router = Router("auth")

COOKIE = "hub_refresh"
_COOKIE_PATH = "/v1/sessions/me"

Email = Annotated[str, Field(min_length=1, max_length=320)]
Password = Annotated[str, Field(max_length=1024)]
Token = Annotated[str, Field(min_length=1, max_length=200)]


class Credentials(Body):
    """Credentials to sign in with. With `transport: "cookie"`, for browsers, the refresh token is an HttpOnly cookie."""

    email: Email
    password: Password
    transport: Literal["body", "cookie"] = "body"


class Refresh(Body):
    """The refresh token; omit it if the cookie holds it."""

    refresh_token: Token | None = None


class OwnPassword(Body):
    password: Password


class SignedInView(View):
    id: SessionId
    user_id: UserId
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int
    refresh_token: str | None


class TicketView(View):
    ticket: str
    expires_at: datetime


class SessionView(View):
    id: SessionId
    current: bool
    user_agent: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ended_at: datetime | None


SESSION = Answer(get=logic.get_session, view=SessionView)


@router.post(
    "/v1/sessions",
    status_code=201,
    public=True,
    signs_in=True,
    raises=(WrongCredentials, TooManyGuesses, AccountLocked),
    example={"email": "ada@school.example", "password": "a few words in a row"},
)
async def sign_in(credentials: Credentials, request: Request, response: Response) -> SignedInView:
    """Sign in: open a session. The answer holds secrets: an Idempotency-Key has no effect, and repeating opens another session."""
    signed_in = await logic.sign_in(credentials.email, credentials.password, credentials.transport, device_of(request))
    response.headers["Location"] = f"/v1/sessions/{signed_in.session.id}"
    return _with_tokens(signed_in, response)


@router.post(
    "/v1/sessions/me/refresh",
    public=True,
    raises=(RefreshRefused,),
    example={"refresh_token": "0198c0de000070008000000000000001.0.proof"},
)
async def refresh(
    body: Refresh, response: Response, hub_refresh: Annotated[str | None, Cookie(include_in_schema=False)] = None
) -> SignedInView:
    """Exchange a refresh token for new tokens. Each works once; within ten seconds a repetition gets the same tokens.

    The answer holds secrets, so an Idempotency-Key has no effect.
    """
    token = body.refresh_token or hub_refresh
    if token is None:
        raise RefreshRefused("send refresh_token, or the cookie that signing in set; else sign in again")
    return _with_tokens(await logic.refresh(token), response)


@router.post(
    "/v1/sessions/me/reauthenticate",
    raises=(WrongPassword, TooManyGuesses, SessionNotFound),
    example={"password": "a few words in a row"},
)
async def reauthenticate(caller: Caller, own: OwnPassword, request: Request, response: Response) -> SignedInView:
    """Confirm the password again, for requests that need a recent sign-in. The answer holds secrets: no Idempotency-Key."""
    return _with_tokens(await identities.reauthenticate(caller, own.password, device_of(request).address), response)


@router.post("/v1/sessions/me/tickets")
async def make_ticket(caller: Caller, response: Response) -> TicketView:
    """Make a ticket for `/v1/live/socket?ticket=`, which works once within 30 s: browsers cannot send a token there.

    The answer is a secret, so an Idempotency-Key has no effect.
    """
    response.headers["Cache-Control"] = "no-store"
    ticket, expires_at = await logic.make_ticket(caller)
    return TicketView(ticket=ticket, expires_at=expires_at)


@router.get("/v1/sessions")
async def list_sessions(caller: Caller, paging: Paging, id: Several[SessionId] = None) -> Page[SessionView]:
    """List the caller's sessions, newest first."""
    after = paging.after(id=id)
    sessions = await logic.list_sessions(
        caller, ids=id, before=SessionId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(sessions, render=SessionView.of)


@router.get("/v1/sessions/{session_id}", raises=(SessionNotFound,))
async def get_session(caller: Caller, session_id: Literal["me"] | SessionId, response: Response) -> SessionView:
    """Return a session of the caller; `me` is the session of this request."""
    return SESSION.show(response, await logic.get_session(caller, _named(caller, session_id)))


@router.post("/v1/sessions/{session_id}/end", raises=(SessionNotFound,))
async def end_session(caller: Caller, session_id: Literal["me"] | SessionId, response: Response) -> SessionView:
    """End a session of the caller; `me` is the session of this request. Its access tokens are refused within two seconds."""
    session = await SESSION.once(response, caller, logic.end_session(caller, _named(caller, session_id)))
    if session.current:
        response.delete_cookie(COOKIE, path=_COOKIE_PATH)
    return session


def device_of(request: Request) -> Device:
    """Return the device that sent a request."""
    return Device(
        address=str(request.scope["state"].get("address", "")), user_agent=request.headers.get("user-agent", "")
    )


def _named(caller: Caller, session_id: Literal["me"] | SessionId) -> SessionId:
    caller.person()
    named = caller.session_id if session_id == "me" else session_id
    if named is None:
        raise SessionNotFound
    return SessionId(named)


def _with_tokens(signed_in: SignedIn, response: Response) -> SignedInView:
    """Render the tokens of a session, the refresh token in the body or the cookie as the session's `transport` says."""
    response.headers["Cache-Control"] = "no-store"
    session = signed_in.session
    in_cookie = session.transport == "cookie"
    if in_cookie:
        response.set_cookie(
            COOKIE,
            signed_in.refresh_token,
            max_age=int(MAX_LIFETIME.total_seconds()),
            path=_COOKIE_PATH,
            secure=settings().public_url.startswith("https://"),
            httponly=True,
            samesite="strict",
        )
    return SignedInView(
        id=session.id,
        user_id=session.user_id,
        access_token=signed_in.access_token,
        expires_in=ACCESS_TOKEN_LIFETIME_S,
        refresh_token=None if in_cookie else signed_in.refresh_token,
    )
