"""Answers `MediaCalls`."""

from collections.abc import Collection

from api.media.media import logic
from api.media.media.contract import Asset, AssetId, MediaCalls


class Calls(MediaCalls):
    async def find_asset(self, asset_id: AssetId) -> Asset | None:
        found = await logic.find_assets([asset_id])
        return found[0] if found else None

    async def find_assets(self, asset_ids: Collection[AssetId]) -> list[Asset]:
        return await logic.find_assets(asset_ids)

    async def restore_asset(self, asset_id: AssetId) -> None:
        await logic.restore_for_user(asset_id)
