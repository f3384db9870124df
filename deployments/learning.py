"""Learning: what is taught, to whom, and how far they are."""

from cluster.base.services import Service

SERVICES = (
    Service(name="course", areas=("courses", "runs", "catalog"), port=3003, rank=4),
    Service(name="content", areas=("blocks", "outlines"), port=3008, rank=3),
    Service(name="enrollment", areas=("enrollments",), port=3004, rank=5),
    Service(
        name="progress",
        areas=("progress", "heartbeats", "completions", "line-items", "scores", "grade-categories", "grade-books"),
        port=3018,
        rank=7,
    ),
)
