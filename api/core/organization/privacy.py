"""Personal data that organization keeps: who its people are to it."""

from cluster.people.privacy import PersonalData

_RECORDS = "the organization's records of its own people (GDPR, article 6(1)(f)); it lets members go itself"

PERSONAL_DATA = (
    PersonalData(
        table="organization.members",
        person="user_id",
        columns=("user_id", "display_name", "external_id", "email"),
        purpose="tells an organization who its members are",
        kept="while they are members; afterwards that they were, until the organization lets them go",
        erasure="keep",
        ground=_RECORDS,
    ),
    PersonalData(
        table="organization.organizations",
        person="created_by",
        columns=("created_by",),
        purpose="tells who founded an organization",
        kept="as long as the organization",
        erasure="keep",
        ground=_RECORDS,
    ),
    PersonalData(
        table="organization.invitations",
        person="created_by",
        columns=("created_by", "email"),
        purpose="lets the person with an address in, and tells who invited them",
        kept="as long as the organization",
        erasure="keep",
        ground=_RECORDS,
    ),
    PersonalData(
        table="organization.invitation_uses",
        person="user_id",
        columns=("user_id",),
        purpose="tells how somebody became a member",
        kept="as long as the membership",
        erasure="delete",
    ),
)
