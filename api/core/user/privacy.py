"""Personal data that user keeps: the profile."""

from cluster.people.privacy import PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="user.users",
        person="id",
        columns=(
            *("id", "email", "email_verified", "name", "locale", "time_zone", "pronouns", "accessibility"),
            *("created_at", "updated_at"),
        ),
        purpose="shows who somebody is, in their language and as they need it",
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
            "state": "erased",
        },
        merge="delete",
    ),
)
