"""Personal data that video_processing keeps: the makers of films."""

from cluster.people.privacy import FreeText, PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="video_processing.videos",
        person="created_by",
        columns=("created_by", "id", "org_id", "course_id", "created_at"),
        purpose="tells an organization who added a film to its course",
        kept="as long as the film",
        erasure="keep",
        ground="the organization's records of its own teaching (GDPR, article 6(1)(f))",
        organization="org_id",
        let_go="clear",
        clear_to={"created_by": None},
        merge="move",
    ),
)
FREE_TEXT = (
    FreeText(
        table="video_processing.videos",
        columns=("renditions", "error_detail"),
        holds="what processing found out about a film",
    ),
    FreeText(
        table="video_processing.videos",
        columns=("held_reason",),
        holds="the reason for which an organization holds a film",
    ),
    FreeText(table="video_processing.streams", columns=("playlists",), holds="playlists of a film"),
)
