"""Who may have the content of a file: who may download it, and who may open what shows it."""

from api.media.media import store
from api.media.media.contract import (
    Asset,
    AssetId,
    AssetNotFound,
    ShowingSource,
    UploadPurpose,
    asset_ref,
)
from cluster.base.principal import Principal
from cluster.base.registry import offers
from cluster.data import read, uses
from cluster.people.access import LearnerSource, Reach, lacking, permit, reach_of, within
from cluster.people.calls import client

_STAFF_READS = (("block", "course:read"), ("outline", "run:attend"))
"""Kinds of users that show files, and the permission that opens them for staff."""


async def readable(caller: Principal, asset_id: AssetId) -> Asset:
    """Return a file whose content the caller may have.

    Raises:
        AssetNotFound, Forbidden, Unauthorized
    """
    async with read() as db:
        found = await store.list_assets_by_id(db, [asset_id])
    if found and caller.id is not None and await _is_shown(caller, found[0]):
        return found[0]
    return await permit(caller, "asset:download", found[0].guarded() if found else None, missing=AssetNotFound)


async def _is_shown(caller: Principal, asset: Asset) -> bool:
    """Tell whether the caller may have the content because of what the file was uploaded for."""
    purpose = next((each for each in offers(UploadPurpose) if each.name == asset.purpose), None)
    if purpose is None:
        return False
    if purpose.seen_with is not None and not await lacking(caller, [purpose.seen_with], asset.guarded()):
        return True
    return purpose.shown and await _reads_what_shows(caller, asset)


async def _reads_what_shows(caller: Principal, asset: Asset) -> bool:
    ref = asset_ref(asset.id)
    attending = Reach()
    for kind, permission in _STAFF_READS:
        attending = await reach_of(caller, permission)
        async with read() as db:
            if await uses.is_used_within(db, ref, kind, attending):
                return True
    run_ids = set(attending.run_ids)
    if caller.bound_org is not None:
        # The reach of a bound session leaves out where its person learns; below each run is permitted by itself.
        run_ids.update(await client(LearnerSource).runs_of(caller.person()))
    if not run_ids:
        return False
    for run in await client(ShowingSource).shown_in(asset.id, sorted(run_ids)):
        place = within(org_id=run.org_id, course_id=run.course_id, run_id=run.run_id)
        if not await lacking(caller, ["run:attend" if run.released else "course:edit"], place):
            return True
    return False
