"""Personal data that user keeps: the profile."""

from cluster.people.privacy import PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="user.users",
        person="id",
        columns=("id", "email", "name", "locale", "time_zone", "pronouns", "accessibility"),
        purpose="shows who somebody is, in their language and as they need it",
        kept="as long as the account",
        erasure="delete",
    ),
)
