"""HTTP of identities.

Requests with a password are exempt from Idempotency-Key: no trace of a password is stored.
"""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from starlette.requests import Request

from api.core.auth.contract import (
    IdentityId,
    LinkOver,
    NotWhileImpersonating,
    PasswordRefused,
    TooManyGuesses,
    WrongPassword,
)
from api.core.auth.identity import logic
from api.core.auth.session.routes import Email, Password, Token, device_of
from cluster.http import Body, Caller, Language, Router, View

router = Router("auth")


class PasswordChange(Body):
    password: Password
    new_password: Password


class Forgotten(Body):
    email: Email


class Reset(Body):
    token: Token
    password: Password


class IdentityView(View):
    id: IdentityId
    kind: Annotated[str, Field(validation_alias="issuer")]
    email: str | None
    email_verified: bool
    created_at: datetime


@router.get("/v1/identities/me")
async def get_identity(caller: Caller) -> IdentityView:
    """Return the caller's identity: address, verification, password."""
    return IdentityView.of(await logic.get_identity(caller))


@router.post(
    "/v1/identities/me/change-password",
    raises=(WrongPassword, PasswordRefused, TooManyGuesses, NotWhileImpersonating),
    example={"password": "a few words in a row", "new_password": "other words in another row"},
)
async def change_password(caller: Caller, change: PasswordChange, request: Request) -> IdentityView:
    """Change the password. All other sessions end. An Idempotency-Key has no effect: no trace of a password is kept."""
    address = device_of(request).address
    return IdentityView.of(await logic.change_password(caller, change.password, change.new_password, address))


@router.post("/v1/identities/-/forgot", public=True, status_code=204, example={"email": "ada@school.example"})
async def forgot(forgotten: Forgotten, language: Language) -> None:
    """Mail a link that resets the password, in the first language of Accept-Language.

    The answer is the same whether or not the address has an account.
    """
    await logic.request_reset(forgotten.email, language)


@router.post(
    "/v1/identities/-/reset",
    public=True,
    status_code=204,
    raises=(LinkOver, PasswordRefused),
    example={"token": "the-part-of-the-link-after-the-number-sign", "password": "other words in another row"},
)
async def reset(body: Reset) -> None:
    """Set a new password with the token of a mailed link, which works once. All sessions end. An Idempotency-Key has no effect."""
    await logic.reset_password(body.token, body.password)
