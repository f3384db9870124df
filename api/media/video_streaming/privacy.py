"""Personal data that video streaming keeps: playbacks of films by people."""

from cluster.people.privacy import PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="video_streaming.playbacks",
        person="user_id",
        columns=("user_id", "org_id", "course_id", "run_id", "enrollment_id", "block_id", "video_id", "created_at"),
        purpose="ties a film's address to the one person it was made for, and what they watch to their progress",
        kept="30 days after the address expired",
        erasure="delete",
        organization="org_id",
        merge="move",
    ),
)
