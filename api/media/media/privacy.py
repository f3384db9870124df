"""Personal data that media keeps: the owners of files."""

from collections.abc import AsyncIterator

from api.media.media import logic, store
from api.media.media.contract import AssetId
from cluster.data import read
from cluster.data.objects import bucket
from cluster.jobs import JobRun
from cluster.people.erasure import Erasing
from cluster.people.export import ExportRequested, OwnFile
from cluster.people.privacy import ERASED, FreeText, PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="media.assets",
        person="owner_id",
        columns=("owner_id", "org_id", "filename", "purpose", "content_type", "size_bytes", "created_at"),
        purpose="lets people go on with their uploads and find their files",
        kept="until the file is deleted, and 30 days longer",
        erasure="delete",
        keep_where="org_id IS NOT NULL",
        ground="an organization's files are its own teaching material (GDPR, article 6(1)(f))",
        organization="org_id",
        let_go="clear",
        clear_to={"owner_id": ERASED},
        merge="move",
    ),
    PersonalData(
        table="media.assets",
        person="holder_id",
        columns=("holder_id",),
        purpose="tells whose quota a file counts against",
        kept="as long as the file",
        erasure="delete",
        merge="move",
    ),
    PersonalData(
        table="media.quotas",
        person="holder_id",
        columns=("holder_id", "used_bytes", "limit_bytes"),
        purpose="limits how much one person stores",
        kept="as long as the account",
        erasure="delete",
        merge="move_unless_present",
    ),
)
FREE_TEXT = (
    FreeText(table="media.assets", columns=("held_reason",), holds="the reason for which an organization holds a file"),
    FreeText(table="media.claims", columns=("claimant",), holds="which thing of a service uses a file"),
)


async def erase(run: JobRun, request: Erasing) -> None:
    """Delete the files that are the person's own, not an organization's: bytes go with them.

    Raises:
        ThingInUse: what uses one is erased first, and this is tried again.
    """
    if request.org_id is None:
        await logic.remove_personal(run.principal, request)


async def files(request: ExportRequested) -> AsyncIterator[OwnFile]:
    """List the files that the person uploaded as their own, or to the organization."""
    after: AssetId | None = None
    while True:
        async with read() as db:
            uploaded = await store.list_uploaded(db, request.user_id, request.org_id, after)
        for _, name, key in uploaded:
            yield OwnFile(name, bucket("media").name, key)
        if not uploaded:
            return
        after = uploaded[-1][0]
