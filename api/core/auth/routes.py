"""HTTP of sessions and of what one signs in with.

Answers with tokens are exempt from Idempotency-Key: nothing that opens an account is kept to be told again.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Cookie
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from api.core.auth import identities, jobs, mails, sessions
from api.core.auth.contract import (
    LinkOver,
    NotWhileImpersonating,
    PasswordRefused,
    RefreshRefused,
    SessionId,
    SessionNotFound,
    TooManyGuesses,
    WrongCredentials,
    WrongPassword,
)
from api.core.auth.identity_store import Identity
from api.core.auth.mails import Letter
from api.core.auth.rules import LONGEST
from api.core.auth.sessions import Device, SignedIn
from api.core.auth.store import Session
from cluster.base.ids import UserId
from cluster.base.settings import settings
from cluster.http import Body, Caller, Page, Paging, Router, Several, once
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


class PasswordChange(Body):
    password: Password
    new_password: Password


class Forgotten(Body):
    email: Email


class Reset(Body):
    token: Token
    password: Password


class SignedInView(BaseModel):
    id: SessionId
    user_id: UserId
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int
    refresh_token: str | None


class SessionView(BaseModel):
    id: SessionId
    current: bool
    user_agent: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class IdentityView(BaseModel):
    id: UUID
    kind: str
    email: str | None
    email_verified: bool
    created_at: datetime


def _device(request: Request) -> Device:
    return Device(
        address=str(request.scope["state"].get("address", "")), user_agent=request.headers.get("user-agent", "")
    )


def _render(signed_in: SignedIn, response: Response) -> SignedInView:
    """Put the refresh token where its session wants it."""
    response.headers["Cache-Control"] = "no-store"
    session = signed_in.session
    in_cookie = session.transport == "cookie"
    if in_cookie:
        response.set_cookie(
            COOKIE,
            signed_in.refresh_token,
            max_age=int(LONGEST.total_seconds()),
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


def _render_session(caller: Caller, session: Session) -> SessionView:
    return SessionView(
        id=session.id,
        current=session.id == caller.session_id,
        user_agent=session.user_agent,
        address=session.address,
        created_at=session.created_at,
        last_used_at=session.rotated_at,
        expires_at=session.expires_at,
        ended_at=session.ended_at,
    )


@router.post(
    "/v1/sessions",
    status_code=201,
    public=True,
    signs_in=True,
    raises=(WrongCredentials, TooManyGuesses),
    example={"email": "ada@school.example", "password": "a few words in a row"},
)
async def sign_in(credentials: Credentials, request: Request, response: Response) -> SignedInView:
    """Sign in: open a session. The answer holds secrets: an Idempotency-Key has no effect, and repeating opens another session."""
    signed_in = await sessions.sign_in(credentials.email, credentials.password, credentials.transport, _device(request))
    response.headers["Location"] = f"/v1/sessions/{signed_in.session.id}"
    return _render(signed_in, response)


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
    return _render(await sessions.refresh(token), response)


@router.post(
    "/v1/sessions/me/reauthenticate",
    raises=(WrongPassword, TooManyGuesses, SessionNotFound),
    example={"password": "a few words in a row"},
)
async def reauthenticate(caller: Caller, own: OwnPassword, request: Request, response: Response) -> SignedInView:
    """Confirm the password again, for requests that need a recent sign-in. The answer holds secrets: no Idempotency-Key."""
    return _render(await identities.reauthenticate(caller, own.password, _device(request).address), response)


@router.get("/v1/sessions")
async def list_sessions(caller: Caller, paging: Paging, id: Several[UUID] = None) -> Page[SessionView]:
    """List the caller's sessions, newest first."""
    after = paging.after(id=id)
    rows = await sessions.list_sessions(caller, ids=id, after=after[0] if after else None, limit=paging.limit + 1)
    return paging.page(rows, render=lambda session: _render_session(caller, session))


@router.get("/v1/sessions/{session_id}", raises=(SessionNotFound,))
async def get_session(caller: Caller, session_id: Literal["me"] | UUID) -> SessionView:
    """Return a session of the caller; `me` is the session of this request."""
    return _render_session(caller, await sessions.get_session(caller, _named(caller, session_id)))


@router.post("/v1/sessions/{session_id}/end", raises=(SessionNotFound,))
async def end_session(caller: Caller, session_id: Literal["me"] | UUID, response: Response) -> SessionView:
    """End a session of the caller; `me` is the session of this request. Its access tokens are refused within two seconds."""
    named = _named(caller, session_id)
    session = await once(
        response,
        sessions.end_session(caller, named),
        again=lambda id: sessions.get_session(caller, SessionId(id)),
    )
    if session.id == caller.session_id:
        response.delete_cookie(COOKIE, path=_COOKIE_PATH)
    return _render_session(caller, session)


def _named(caller: Caller, session_id: Literal["me"] | UUID) -> SessionId:
    caller.person()
    named = caller.session_id if session_id == "me" else session_id
    if named is None:
        raise SessionNotFound
    return SessionId(named)


def _render_identity(identity: Identity) -> IdentityView:
    return IdentityView(
        id=identity.id,
        kind=identity.issuer,
        email=identity.email,
        email_verified=identity.email_verified_at is not None,
        created_at=identity.created_at,
    )


@router.get("/v1/identities/me")
async def get_identity(caller: Caller) -> IdentityView:
    """Return the caller's identity: address, verification, password."""
    return _render_identity(await identities.get_identity(caller))


@router.post(
    "/v1/identities/me/change-password",
    raises=(WrongPassword, PasswordRefused, TooManyGuesses, NotWhileImpersonating),
    example={"password": "a few words in a row", "new_password": "other words in another row"},
)
async def change_password(caller: Caller, change: PasswordChange, request: Request) -> IdentityView:
    """Change the password. All other sessions end. An Idempotency-Key has no effect: no trace of a password is kept."""
    address = _device(request).address
    return _render_identity(await identities.change_password(caller, change.password, change.new_password, address))


@router.post("/v1/identities/-/forgot", public=True, status_code=204, example={"email": "ada@school.example"})
async def forgot(forgotten: Forgotten) -> None:
    """Mail a link that resets the password. The answer is the same whether or not the address has an account."""
    await jobs.request_reset(forgotten.email)


@router.post(
    "/v1/identities/-/reset",
    public=True,
    status_code=204,
    raises=(LinkOver, PasswordRefused),
    example={"token": "the-part-of-the-link-after-the-number-sign", "password": "other words in another row"},
)
async def reset(body: Reset) -> None:
    """Set a new password with the token of a mailed link, which works once. All sessions end. An Idempotency-Key has no effect."""
    await identities.reset_password(body.token, body.password)


@router.get("/v1/identities/-/mails", public=True, include_in_schema=False)
async def list_mails(paging: Paging) -> Page[Letter]:
    """Show the letters of a laptop's platform, newest first; everywhere else this path does not exist."""
    after = paging.after()
    rows = await mails.read_letters(after[0] if after else None, paging.limit + 1)
    return paging.page(rows)
