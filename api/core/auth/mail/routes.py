"""HTTP of mails, for a laptop alone."""

from api.core.auth.mail import logic
from api.core.auth.mail.logic import Mail
from cluster.http import Page, Paging, Router

router = Router("auth")


@router.get("/v1/identities/-/mails", public=True, include_in_schema=False)
async def list_mails(paging: Paging) -> Page[Mail]:
    """List the mails of a laptop's platform, newest first; everywhere else this path does not exist."""
    after = paging.after()
    return paging.page(await logic.list_mails(after[0] if after else None, paging.rows))
