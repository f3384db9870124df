"""What content contributes: its own types of blocks, and who attends a run."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator

from api.learning.content import text
from api.learning.content.contract import ROOT, BlockType, LessonDocumentsChanged
from api.learning.content.moderated.rules import MODERATED_KIND
from api.learning.content.rules import FILE_PURPOSE
from api.media.media.contract import AssetId, ShowingSource, UploadPurpose, asset_ref
from api.platform.moderation.contract import Moderated, ModeratedKind
from cluster.data.uses import Ref
from cluster.events import Snapshots
from cluster.http import Body
from cluster.people.access import Permission
from cluster.people.calls import Answers
from cluster.people.documents import DocumentSource, SearchDocument

MAX_MARKDOWN_BYTES = 200_000


def _fits(markdown: str) -> str:
    if len(markdown.encode()) > MAX_MARKDOWN_BYTES:
        raise ValueError(f"a text has at most {MAX_MARKDOWN_BYTES} bytes: split it into several blocks")
    return markdown


class TextBody(Body):
    markdown: Annotated[str, AfterValidator(_fits)] = ""


class VideoBody(Body):
    video_id: UUID


def _files_in(body: Mapping[str, Any]) -> dict[Ref, str]:
    return {asset_ref(AssetId(id)): "/markdown" for id in text.files_in(body.get("markdown", ""))}


_FILE_TYPES = (
    *("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "audio/*"),
    *("application/pdf", "application/epub+zip", "application/zip", "application/rtf", "application/json"),
    *("application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"),
    *("application/vnd.openxmlformats-officedocument.*", "application/vnd.oasis.opendocument.*"),
    *("text/plain", "text/markdown", "text/csv", "text/vtt"),
)

OFFERS = (
    Answers(Snapshots),
    Answers(ShowingSource),
    Answers(Moderated),
    ModeratedKind(name=MODERATED_KIND, title="Block of a course", actions=("remove",)),
    Answers(DocumentSource),
    SearchDocument(
        kind="lesson",
        title="Lesson",
        permissions=("run:attend",),
        events={LessonDocumentsChanged: "document_ids"},
        facets=("type",),
        verified=True,
        verified_with=("course:edit",),
    ),
    UploadPurpose(
        name=FILE_PURPOSE,
        max_bytes=200 * 1000**2,
        content_types=_FILE_TYPES,
        permission="course:edit",
        targets=("course",),
        shown=True,
    ),
    BlockType(name="module", title="Module", parents=(ROOT,)),
    BlockType(name="lesson", title="Lesson", parents=("module",)),
    BlockType(name="text", title="Text", parents=("lesson",), completes="marked", body=TextBody, things_in=_files_in),
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
