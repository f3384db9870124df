"""What content contributes: its own types of blocks, and who attends a run."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator

from api.learning.content.contract import ROOT, BlockType
from cluster.events import Snapshots
from cluster.http import Body
from cluster.people.access import Permission
from cluster.people.calls import Answers

MAX_MARKDOWN_BYTES = 200_000


def _fits(markdown: str) -> str:
    if len(markdown.encode()) > MAX_MARKDOWN_BYTES:
        raise ValueError(f"a text has at most {MAX_MARKDOWN_BYTES} bytes: split it into several blocks")
    return markdown


class TextBody(Body):
    markdown: Annotated[str, AfterValidator(_fits)] = ""


class VideoBody(Body):
    video_id: UUID


OFFERS = (
    Answers(Snapshots),
    BlockType(name="module", title="Module", parents=(ROOT,)),
    BlockType(name="lesson", title="Lesson", parents=("module",)),
    BlockType(name="text", title="Text", parents=("lesson",), completes="marked", body=TextBody),
    BlockType(
        name="video",
        title="Film",
        parents=("lesson",),
        completes="watched",
        min_ratio=0.9,
        body=VideoBody,
        things={"video_id": "video"},
    ),
    Permission(
        "run:attend",
        "Open what a run teaches",
        ("learner", "instructor", "assistant", "org_owner", "org_admin"),
    ),
)
