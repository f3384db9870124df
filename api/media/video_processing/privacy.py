"""Personal data that video_processing keeps: who made a film of an upload."""

from cluster.people.privacy import PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="video_processing.videos",
        person="created_by",
        columns=("created_by",),
        purpose="tells an organization who added a film to its course",
        kept="as long as the film",
        erasure="keep",
        ground="the organization's records of its own teaching (GDPR, article 6(1)(f))",
    ),
)
