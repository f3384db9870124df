"""HTTP of people."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.core.auth.contract import (
    EmailInvalid,
    EmailTaken,
    LinkOver,
    NotWhileImpersonating,
    PasswordRefused,
    TooManyGuesses,
    TooManyLetters,
    WrongPassword,
)
from api.core.user import logic
from api.core.user.contract import AvatarNotFound, SignUpPaused, SignUpTakenOver, UserNotFound
from api.core.user.privacy_request.routes import router as privacy_requests
from api.media.media.contract import AssetId, AssetNotReady, AssetRejected
from api.platform.moderation.contract import AuthorMuted, TextRefused
from cluster.base.ids import UserId
from cluster.base.problems import Stale
from cluster.data.uses import ThingGone
from cluster.http import Answer, Body, Caller, IfMatch, Language, Page, Paging, Patch, Router, Several, View

router = Router("user")
router.include_router(privacy_requests)

Email = Annotated[str, Field(min_length=1, max_length=320)]
Password = Annotated[str, Field(max_length=1024)]
Name = Annotated[str, Field(max_length=200)]
Locale = Annotated[
    str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35, description="BCP 47", examples=["en"])
]


class NewUser(Body):
    email: Email
    password: Password
    name: Name
    locale: Annotated[
        Locale | None, Field(description="Left out: the first language of Accept-Language, or English")
    ] = None


class AccessibilityPatch(Patch):
    """Accessibility preferences; null resets one."""

    captions: bool | None = None
    transcripts: bool | None = None
    reduced_motion: bool | None = None
    high_contrast: bool | None = None
    screen_reader: bool | None = None
    text_scale: Annotated[float | None, Field(ge=0.5, le=4)] = None


class UserPatch(Patch):
    name: Name = ""
    locale: Locale = "en"
    time_zone: Annotated[str, Field(max_length=64)] = "UTC"
    pronouns: Annotated[str | None, Field(min_length=1, max_length=40, pattern=r"^[^\x00-\x1f\x7f]+$")] = None
    accessibility: AccessibilityPatch = AccessibilityPatch()


class NewAvatar(Body):
    asset_id: AssetId


class EmailChange(Body):
    email: Email
    password: Password


class MailedLink(Body):
    token: Annotated[str, Field(min_length=1, max_length=200)]


class AccessibilityView(View):
    captions: bool | None = None
    transcripts: bool | None = None
    reduced_motion: bool | None = None
    high_contrast: bool | None = None
    screen_reader: bool | None = None
    text_scale: float | None = None


class UserView(View):
    id: UserId
    email: str | None
    email_verified: bool
    name: str
    locale: str
    time_zone: str
    pronouns: str | None
    accessibility: AccessibilityView
    avatar_url: str | None
    """The address of its picture, for those who may see the profile."""
    created_at: datetime


class AvatarView(View):
    """The picture of a profile."""

    asset_id: Annotated[AssetId, Field(validation_alias="avatar_asset_id")]
    url: Annotated[str, Field(validation_alias="avatar_url")]


USER = Answer(get=logic.get_user, view=UserView, etag="version")
SIGNED_UP = Answer(get=logic.get_signed_up, view=UserView, etag="version", path="/v1/users/{id}")


@router.post(
    "/v1/users",
    status_code=201,
    public=True,
    signs_in=True,
    raises=(EmailInvalid, EmailTaken, PasswordRefused, SignUpPaused, SignUpTakenOver, TextRefused),
    example={"email": "ada@school.example", "password": "a few words in a row", "name": "Ada Lovelace"},
)
async def sign_up(caller: Caller, new: NewUser, language: Language, response: Response) -> UserView:
    """Create an account, and mail a link that verifies its address."""
    locale = new.locale or language or "en"
    work = logic.sign_up(caller, email=new.email, password=new.password, name=new.name, locale=locale)
    return await SIGNED_UP.created(response, caller, work)


@router.get("/v1/users")
async def list_users(
    caller: Caller,
    paging: Paging,
    id: Several[UserId] = None,
    email: Annotated[str | None, Query(max_length=320)] = None,
) -> Page[UserView]:
    """List people, newest first. Only for the platform's administrators; for others the list is empty."""
    after = paging.after(id=id, email=email)
    users = await logic.list_users(
        caller, ids=id, email=email, before=UserId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(users, render=UserView.of)


@router.get("/v1/users/{user_id}", raises=(UserNotFound,))
async def get_user(caller: Caller, user_id: Literal["me"] | UserId, response: Response) -> UserView:
    """Return a profile: the caller's own (`me`), or any for the platform's administrators."""
    return USER.show(response, await logic.get_user(caller, _named(caller, user_id)))


@router.patch(
    "/v1/users/{user_id}",
    raises=(UserNotFound, TextRefused, AuthorMuted, Stale),
    example={"pronouns": "she/her", "time_zone": "Europe/London", "accessibility": {"captions": True}},
)
async def change_user(
    caller: Caller, user_id: Literal["me"] | UserId, patch: UserPatch, version: IfMatch, response: Response
) -> UserView:
    """Change the caller's profile. The address is changed with `change-email`, because a new one must be verified."""
    work = logic.change_user(caller, _named(caller, user_id), patch.changes(), version)
    return await USER.once(response, caller, work)


@router.get("/v1/users/me/avatar", raises=(AvatarNotFound,))
async def get_avatar(caller: Caller) -> AvatarView:
    """Return the picture that the caller's profile shows."""
    return AvatarView.of(await logic.get_avatar(caller))


@router.put(
    "/v1/users/me/avatar",
    raises=(ThingGone, AssetNotReady, AssetRejected),
    example={"asset_id": "0198c0de-0000-7000-8000-000000000000"},
)
async def set_avatar(caller: Caller, avatar: NewAvatar) -> AvatarView:
    """Show a picture in the caller's profile: PNG, JPEG or WebP, uploaded for the purpose `avatar` with the target `user:me`."""
    return AvatarView.of(await logic.set_avatar(caller, avatar.asset_id))


@router.delete("/v1/users/me/avatar", status_code=204)
async def remove_avatar(caller: Caller) -> None:
    """Show no picture any more. Nobody else uses the file, so it is deleted a day later."""
    await logic.remove_avatar(caller)


@router.post(
    "/v1/users/me/change-email",
    raises=(EmailInvalid, EmailTaken, WrongPassword, TooManyGuesses, TooManyLetters, NotWhileImpersonating),
    example={"email": "ada@college.example", "password": "a few words in a row"},
)
async def change_email(caller: Caller, change: EmailChange, response: Response) -> UserView:
    """Mail a link that verifies a new address and then replaces the old one. An Idempotency-Key has no effect."""
    return USER.show(response, await logic.request_email(caller, change.email, change.password))


@router.post("/v1/users/me/resend-verification", raises=(TooManyLetters, NotWhileImpersonating))
async def resend_verification(caller: Caller, response: Response) -> UserView:
    """Mail a new verification link to the present address. The previous link stops working."""
    return USER.show(response, await logic.request_verification(caller))


@router.post(
    "/v1/users/me/verify-email",
    raises=(LinkOver, EmailTaken, NotWhileImpersonating),
    example={"token": "the-part-of-the-link-after-the-number-sign"},
)
async def verify_email(caller: Caller, link: MailedLink, response: Response) -> UserView:
    """Verify an address with the token of a mailed link. Repeating changes nothing. All other sessions end."""
    return USER.show(response, await logic.verify_email(caller, link.token))


def _named(caller: Caller, user_id: Literal["me"] | UserId) -> UserId:
    return caller.person() if user_id == "me" else user_id
