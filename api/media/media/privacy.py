"""Personal data that media keeps: who uploaded what."""

from cluster.people.privacy import PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="media.assets",
        person="owner_id",
        columns=("owner_id", "filename"),
        purpose="lets people go on with their uploads and find their files",
        kept="until the file is deleted, and 30 days longer",
        erasure="keep",
        ground="an organization's files are its own teaching material (GDPR, article 6(1)(f))",
    ),
)
