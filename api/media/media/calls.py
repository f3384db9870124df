"""Answers `MediaCalls`."""

from collections.abc import Collection

from api.media.media import adopting, logic
from api.media.media.contract import Asset, AssetId, MediaCalls
from api.media.media.upload.headers import parse_target
from cluster.base.ids import UserId


class Calls(MediaCalls):
    async def find_asset(self, asset_id: AssetId) -> Asset | None:
        found = await logic.find_assets([asset_id])
        return found[0] if found else None

    async def find_assets(self, asset_ids: Collection[AssetId]) -> list[Asset]:
        return await logic.find_assets(asset_ids)

    async def adopt(
        self,
        object_key: str,
        target: str,
        purpose: str,
        filename: str,
        owner_id: UserId,
        declared_type: str | None = None,
    ) -> AssetId:
        file = adopting.ServiceFile(object_key, purpose, parse_target(target), filename, owner_id, declared_type)
        return await adopting.adopt(file)

    async def restore_asset(self, asset_id: AssetId) -> None:
        await logic.restore_for_user(asset_id)
