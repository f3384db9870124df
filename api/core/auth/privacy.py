"""Personal data of auth: the credentials of a person, and the devices of their sessions."""

from api.core.auth.identity import logic as identities
from cluster.jobs import JobRun
from cluster.people.erasure import Erasing
from cluster.people.privacy import PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="auth.identities",
        person="user_id",
        columns=("user_id", "issuer", "subject", "email", "email_verified_at", "secret_hash", "created_at"),
        purpose="lets a person sign in",
        kept="as long as the account",
        erasure="delete",
        merge="move_unless_present",
        secret=("secret_hash",),
    ),
    PersonalData(
        table="auth.sessions",
        person="user_id",
        columns=("user_id", "user_agent", "address", "amr", "end_reason", "created_at", "rotated_at", "ended_at"),
        purpose="shows a person where they are signed in, and ends sessions that are not theirs",
        kept="until 30 days after the session's end",
        erasure="delete",
        merge="delete",
    ),
    PersonalData(
        table="auth.locks",
        person="user_id",
        columns=("user_id", "decision_id", "banned", "reversed", "until_at", "created_at"),
        purpose="keeps a person from signing in by a moderator's decision",
        kept="as long as the account",
        erasure="delete",
        merge="move",
    ),
    PersonalData(
        table="auth.mail_tokens",
        person="user_id",
        columns=("user_id", "purpose", "email", "subject", "created_at", "used_at"),
        purpose="proves that a person reads the mail of an address",
        kept="a day beyond the link's expiry",
        erasure="delete",
        merge="delete",
    ),
    PersonalData(
        table="auth.mails",
        person="user_id",
        columns=("user_id", "purpose", "sealed", "created_at"),
        purpose="brings links to the address of a person, and bounds how many",
        kept="a day",
        erasure="delete",
        merge="delete",
        secret=("sealed",),
    ),
)


async def erase(run: JobRun, request: Erasing) -> None:
    """End the person's sessions everywhere before their rows go."""
    if request.org_id is None:
        await identities.release_identity(run.principal, request.user_id)
