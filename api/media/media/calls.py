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

    async def claim_asset(self, asset_id: AssetId, claimant: str) -> Asset:
        return await logic.claim(asset_id, claimant)

    async def release_asset(self, asset_id: AssetId, claimant: str) -> None:
        await logic.release(asset_id, claimant)
