"""Write the bytes of one request as objects and make them count, part by part.

While one part travels to S3 the next one fills: two parts are all that an upload holds in memory, and when S3 is slower than
the client, nobody reads from the client. A part counts when its row and the new offset have committed, under the fence of the
request's epoch. Every object has a name of its own, so a fenced request overwrites nothing; its objects are removed by the sweep.
"""

import asyncio
import logging
from datetime import UTC, datetime

from api.media.media import rules
from api.media.media import store as assets
from api.media.media.contract import AssetId, CheckAsset, UploadTakenOver
from api.media.media.upload import store
from api.media.media.upload.store import Part
from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.base.problems import Unavailable
from cluster.data import write
from cluster.data.objects import ObjectRefused, bucket
from cluster.jobs import enqueue

log = logging.getLogger(__name__)

PART_BYTES = 4 * 1024 * 1024
"""Never change it while uploads are unfinished: a part's number says where it begins."""


class PartWriter:
    """Take bytes from `offset` on. `tail` are the bytes before it that do not fill a part yet, as `replaces` holds them: their
    part is written anew.

    `atomic`: nothing counts before `finish`.
    """

    def __init__(
        self,
        asset_id: AssetId,
        *,
        epoch: int,
        size_bytes: int,
        offset: int,
        tail: bytes = b"",
        replaces: str | None = None,
        atomic: bool = False,
    ) -> None:
        self.offset = offset
        """How many bytes of the upload count."""
        self.received = offset
        """How many bytes were taken, counting or not."""
        self._asset_id = asset_id
        self._epoch = epoch
        self._size_bytes = size_bytes
        self._atomic = atomic
        self._replaces = replaces
        self._buffer = bytearray(tail)
        self._fresh = 0
        self._staged: list[Part] = []
        self._flight: asyncio.Task[None] | None = None

    async def add(self, chunk: bytes) -> None:
        """Take bytes; waits while two parts are full.

        Raises:
            UploadTakenOver, Unavailable
        """
        rest = memoryview(chunk)
        while rest:
            room = PART_BYTES - len(self._buffer)
            self._buffer += rest[:room]
            taken = min(room, len(rest))
            self.received += taken
            self._fresh += taken
            rest = rest[taken:]
            # The last part waits for `finish`: a body that turns out too long must not have completed the upload.
            if len(self._buffer) == PART_BYTES and self.received < self._size_bytes:
                await self._launch()

    async def finish(self) -> None:
        """Make everything that was taken count.

        Raises:
            UploadTakenOver, Unavailable
        """
        await self._land()
        if self._fresh:
            await self._launch()
            await self._land()
        if self._staged:
            # Let go of before: when the answer to COMMIT is lost they may count, and must not be deleted.
            staged, self._staged = self._staged, []
            await self._commit(staged, self.received)

    async def abandon(self) -> None:
        """Let nothing more count, and delete the staged parts."""
        if self._flight is not None:
            await asyncio.gather(self._flight, return_exceptions=True)
            self._flight = None
        await self._delete([part.object_key for part in self._staged])
        self._staged = []

    async def _launch(self) -> None:
        """Send the buffer on its way, once the part before has arrived."""
        await self._land()
        body, self._buffer, self._fresh = self._buffer, bytearray(), 0
        end = self.received
        self._flight = asyncio.create_task(self._store(body, end), name=f"part of {self._asset_id}")

    async def _land(self) -> None:
        """Wait for the part on its way. One that does not arrive stays in its place: nothing may count behind a hole."""
        if self._flight is not None:
            await asyncio.shield(self._flight)
            self._flight = None

    async def _store(self, body: bytearray, end: int) -> None:
        number = (end - len(body)) // PART_BYTES
        part = Part(number, len(body), f"{self._asset_id}/parts/{number:06d}-{new_id().hex}")
        await bucket("media").put(part.object_key, body)
        if self._atomic:
            self._staged.append(part)
        else:
            await self._commit([part], end)

    async def _commit(self, parts: list[Part], end: int) -> None:
        expires_at = datetime.now(UTC) + rules.UNFINISHED_FOR
        async with write(platform("media")) as tx:
            mine = await store.upsert_parts(
                tx,
                self._asset_id,
                parts,
                epoch=self._epoch,
                from_bytes=self.offset,
                offset_bytes=end,
                expires_at=expires_at,
            )
            if mine and end == self._size_bytes:
                await store.delete_upload(tx, self._asset_id)
                await assets.update_checking(tx, self._asset_id)
                enqueue(tx, CheckAsset(asset_id=self._asset_id))
        if not mine:
            await self._delete([part.object_key for part in parts])
            raise UploadTakenOver("ask with HEAD where the upload stands")
        self.offset = end
        if self._replaces is not None:
            replaced, self._replaces = self._replaces, None
            await self._delete([replaced])

    async def _delete(self, keys: list[str]) -> None:
        try:
            await bucket("media").delete(keys)
        except (Unavailable, ObjectRefused):
            # The sweep of unreferenced objects finds them.
            log.info("objects left for the sweep", extra={"asset": str(self._asset_id), "objects": len(keys)})
