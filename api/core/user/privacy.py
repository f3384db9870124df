"""Personal data that user keeps: the profile, and requests about personal data."""

from api.core.user.privacy_request import archive
from cluster.jobs import JobRun
from cluster.people.erasure import Erasing
from cluster.people.privacy import FreeText, PersonalData

_PROOF = "the proof that a request was met, with ids and numbers alone (GDPR, article 5(2))"

PERSONAL_DATA = (
    PersonalData(
        table="user.users",
        person="id",
        columns=(
            *("id", "email", "email_verified", "name", "locale", "time_zone", "pronouns", "accessibility"),
            *("avatar_asset_id", "hidden_name", "hidden_pronouns", "created_at", "updated_at"),
        ),
        purpose="shows a person to others, and the platform to the person in their language and as they need it",
        kept="as long as the account; afterwards the id alone",
        erasure="clear",
        ground="the id alone, so that nothing can be recorded under it again (GDPR, article 5(2))",
        clear_to={
            "email": None,
            "email_verified": False,
            "name": None,
            "locale": "en",
            "time_zone": "UTC",
            "pronouns": None,
            "accessibility": "{}",
            "avatar_asset_id": None,
            "hidden_name": None,
            "hidden_pronouns": None,
            "state": "erased",
        },
        merge="delete",
    ),
    PersonalData(
        table="user.members",
        person="user_id",
        columns=("member_id", "org_id", "user_id", "active"),
        purpose="lets those find a person who may see the members of an organization",
        kept="as long as the account",
        erasure="delete",
        organization="org_id",
        merge="delete",
    ),
    PersonalData(
        table="user.privacy_requests",
        person="user_id",
        columns=(
            *("user_id", "org_id", "kind", "state", "failure", "created_at", "confirmed_at", "finished_at"),
            "signed_report",
        ),
        purpose="shows the state of a request to its person, and to the organization that asked",
        kept="for good, as the proof that it was done; it holds ids and numbers alone",
        erasure="keep",
        ground=_PROOF,
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="user.privacy_requests",
        person="requested_by",
        columns=("requested_by", "created_at"),
        purpose="names the person that asked",
        kept="for good, as the proof that it was asked for",
        erasure="keep",
        ground=_PROOF,
        organization="org_id",
        merge="move",
    ),
)
FREE_TEXT = (FreeText(table="user.privacy_parts", columns=("grounds",), holds="why rows are kept, as the code says"),)


async def erase(run: JobRun, request: Erasing) -> None:
    """Delete the archives of exports: they hold all that is erased."""
    if request.org_id is None:
        await archive.delete_of(run.principal, request.user_id)
