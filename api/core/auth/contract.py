"""Events, the job, problems, values and calls of auth."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.base.problems import Conflict, Forbidden, Invalid, NotFound, TooManyRequests, Unauthorized
from cluster.events import event
from cluster.jobs import job

DEFAULT_LOCALE = "en"
"""Of letters to people whose language nobody knows."""
SessionId = NewType("SessionId", UUID)
IdentityId = NewType("IdentityId", UUID)
LinkPurpose = Literal["verify", "reset"]
SessionEnd = Literal[
    "signed_out", "reuse", "password_changed", "password_reset", "email_verified", "released", "crowded_out"
]


@event("session.created", subject="session_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCreated:
    session_id: SessionId
    user_id: UserId
    org_id: OrgId | None = None


@event("session.on_new_device", subject="session_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOnNewDevice:
    """Somebody with earlier sessions signed in with a browser or program that none of these had."""

    session_id: SessionId
    user_id: UserId
    org_id: OrgId | None = None


@event("session.ended", subject="session_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """`reuse`: a refresh token was used after its successor; somebody else may have it. `crowded_out`: by many newer sessions.

    `released`: the person's identity was deleted, or their account locked.
    """

    session_id: SessionId
    user_id: UserId
    reason: SessionEnd
    org_id: OrgId | None = None


@event("identity.created", subject="identity_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityCreated:
    identity_id: IdentityId
    user_id: UserId
    org_id: OrgId | None = None


@event("identity.email_verified", subject="identity_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EmailVerified:
    """The person proved that they read the mail of the identity's present address."""

    identity_id: IdentityId
    user_id: UserId
    org_id: OrgId | None = None


@event("identity.password_changed", subject="identity_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChanged:
    """`reset`: by a mailed link, which verified the address too."""

    identity_id: IdentityId
    user_id: UserId
    reset: bool
    org_id: OrgId | None = None


@job("auth.mail_reset", attempts=5, timeout_s=30, lane="quick")
@dataclass(frozen=True, slots=True, kw_only=True)
class MailReset:
    """`sealed` is the address: operators see jobs, and the address does not concern them."""

    sealed: str
    locale: str = DEFAULT_LOCALE


@job("auth.mail_link", attempts=20, timeout_s=30, lane="quick")
@dataclass(frozen=True, slots=True, kw_only=True)
class MailLink:
    """Hands the letter with a link to email."""

    mail_id: UUID


class WrongCredentials(Unauthorized):
    """The answer does not tell whether the account exists."""

    title = "E-mail or password is wrong"


class AccountLocked(Forbidden):
    """Carries `until`; null: the lock has no end. It is told to those alone who know the password."""

    title = "The account is locked"


class RefreshRefused(Unauthorized):
    title = "The session cannot be refreshed"


class SessionNotFound(NotFound):
    title = "There is no such session"


class TooManyGuesses(TooManyRequests):
    title = "Too many failed attempts"


class TooManyLetters(TooManyRequests):
    title = "Too many letters were sent"


class EmailInvalid(Invalid):
    title = "This is not an e-mail address"


class EmailTaken(Conflict):
    title = "The e-mail address has an account"


class PasswordRefused(Invalid):
    title = "Choose another password"


class WrongPassword(Forbidden):
    title = "The password is wrong"


class LinkOver(Conflict):
    title = "The link is no longer valid"


class NotWhileImpersonating(Forbidden):
    title = "Credentials cannot be changed while impersonating"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """`created` is False when the address had an identity: `user_id` has it then, and `same_password` compares the two."""

    user_id: UserId
    email: str
    created: bool
    same_password: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    email: str
    verified: bool


class AuthCalls(Protocol):
    async def create_identity(
        self, user_id: UserId, email: str, password: str, locale: str = DEFAULT_LOCALE
    ) -> Registered:
        """Let a person sign in by e-mail and password, and mail a link that verifies the address, in their language.

        Raises:
            EmailInvalid, PasswordRefused
        """
        ...

    async def release_identity(self, user_id: UserId) -> None:
        """Delete the identities of a person, and end their sessions. A repetition changes nothing."""
        ...

    async def find_people(self, emails: list[str]) -> dict[str, UserId]:
        """Return the owner of each of these verified addresses, at most 1,000; an address without an owner is missing."""
        ...

    async def address_of(self, user_id: UserId) -> Address | None: ...

    async def request_email(self, caller: Principal, email: str, password: str, locale: str = DEFAULT_LOCALE) -> None:
        """Mail a link to a new address; it counts once that link is used.

        Raises:
            EmailInvalid, EmailTaken, WrongPassword, TooManyGuesses, TooManyLetters, NotWhileImpersonating
        """
        ...

    async def request_verification(self, caller: Principal, locale: str = DEFAULT_LOCALE) -> None:
        """Mail the link again, unless the address is verified.

        Raises:
            TooManyLetters, NotWhileImpersonating
        """
        ...

    async def verify_email(self, caller: Principal, token: str) -> Address:
        """Use a mailed link: its address becomes the person's. Every other session ends.

        Raises:
            LinkOver, EmailTaken, NotWhileImpersonating
        """
        ...

    async def list_identities(self, after: UserId | None, until: datetime, limit: int) -> list[UserId]:
        """List people whose identity was made before `until`, in the order of their ids."""
        ...
