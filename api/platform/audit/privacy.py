"""Personal data of audit: the people behind pseudonyms."""

from cluster.people.privacy import FreeText, PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="audit.people",
        person="user_id",
        columns=("user_id", "pseudonym"),
        purpose="names the people in the trail",
        kept="until the person is erased; then the trail keeps a pseudonym that leads to nobody",
        erasure="delete",
        merge="delete",
    ),
)
FREE_TEXT = (
    FreeText(
        table="audit.entries",
        columns=("actor", "acting_for", "target", "payload"),
        holds="what happened, with people by pseudonyms: events carry no names and no free text",
    ),
)
