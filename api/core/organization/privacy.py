"""Personal data that organization keeps: memberships, invitations, and who founded an organization."""

from api.core.organization.member import logic
from cluster.jobs import JobRun
from cluster.people.erasure import Erasing
from cluster.people.privacy import ERASED, FreeText, PersonalData

_RECORDS = "the organization's records of its own people (GDPR, article 6(1)(f)), until it lets them go itself"

PERSONAL_DATA = (
    PersonalData(
        table="organization.members",
        person="user_id",
        columns=(
            "user_id",
            "org_id",
            "display_name",
            "external_id",
            "email",
            "state",
            "removed",
            "joined_at",
            "left_at",
        ),
        purpose="tells an organization who its members are",
        kept="while they are members; afterwards that they were, without their address, until the organization lets them go",
        erasure="clear",
        clear_to={"email": None},
        ground=_RECORDS,
        organization="org_id",
        let_go="delete",
        merge="move_unless_present",
    ),
    PersonalData(
        table="organization.bans",
        person="user_id",
        columns=(
            "user_id",
            "org_id",
            "decision_id",
            "banned",
            "reversed",
            "until_at",
            "suspends",
            "refused",
            "created_at",
        ),
        purpose="keeps a person out of an organization by a moderator's decision",
        kept="as long as the account",
        erasure="delete",
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="organization.organizations",
        person="created_by",
        columns=("created_by", "id", "created_at"),
        purpose="tells who founded an organization",
        kept="as long as the organization",
        erasure="keep",
        ground=_RECORDS,
        organization="id",
        let_go="clear",
        clear_to={"created_by": ERASED},
        merge="move",
    ),
    PersonalData(
        table="organization.invitations",
        person="created_by",
        columns=("created_by", "org_id", "email", "sealed", "created_at"),
        purpose="lets the person with an address in, and tells who invited them",
        kept="as long as the organization; an address until the person with this verified address is erased",
        erasure="keep",
        ground=_RECORDS,
        organization="org_id",
        let_go="clear",
        clear_to={"created_by": ERASED},
        merge="move",
        secret=("sealed",),
    ),
    PersonalData(
        table="organization.invitation_uses",
        person="user_id",
        columns=("user_id", "org_id", "accepted_at"),
        purpose="tells how somebody became a member",
        kept="as long as the membership",
        erasure="delete",
        organization="org_id",
        merge="move_unless_present",
    ),
)
FREE_TEXT = (
    FreeText(table="organization.organizations", columns=("name",), holds="an organization's name"),
    FreeText(table="organization.settings", columns=("chosen", "locked"), holds="values of settings by their names"),
)


async def erase(run: JobRun, request: Erasing) -> None:
    """End memberships and their grants, and delete the person's address in invitations, used or not."""
    await logic.end_memberships(run.principal, request)
