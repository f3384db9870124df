"""Transcoding on Ray: the film's coordinator runs in the worker host, its pieces on whatever machines the cluster has.

A piece is one Ray task. A killed task's worker repeats that piece and nothing else; a killed coordinator takes its tasks with
it (Ray ends what nobody waits for), and its follower begins only what is not done. Without Ray the pieces run on this machine.
"""

import asyncio
import contextlib
import os
import sys
from functools import cache
from typing import Any, cast

from api.media.video_processing.contract import Transcode
from api.media.video_processing.film.encode import EncodedTrack
from api.media.video_processing.film.faults import EncodingFailed
from api.media.video_processing.offers import TRANSCODING
from api.media.video_processing.transcode import coordinator
from api.media.video_processing.transcode.pieces import Cut, Executor, LocalExecutor, Piece, encode_piece
from cluster.base.problems import Unavailable
from cluster.data import objects
from cluster.jobs import JobRun, perform
from cluster.people import flags

CPUS_PER_PIECE = 1.0
SPREAD_FROM_CPUS = 16
"""On clusters of this size a piece is a chunk in one rendition: more decoding, but more workers have something to do."""
_STOP_LIMIT_S = 10.0


@perform(Transcode)
async def transcode(run: JobRun, args: Transcode) -> None:
    """Process a film; while operators have switched that off it waits, as for a server that is away."""
    if not flags.value(TRANSCODING, run.principal):
        raise Unavailable("operators have switched the processing of films off")
    await coordinator.transcode(run, args.video_id, executor())


def executor() -> Executor:
    """Return Ray's executor in a process that is connected to Ray, else this machine's."""
    ray = sys.modules.get("ray")
    if ray is not None and cast(Any, ray).is_initialized():
        return RayExecutor()
    return LocalExecutor(max_concurrent=os.cpu_count() or 1)


class RayExecutor:
    """Encodes pieces as Ray tasks."""

    def __init__(self, cut: Cut | None = None) -> None:
        import ray

        cpus = int(ray.cluster_resources().get("CPU", 1))
        self.cut = cut or Cut(renditions_per_piece=1 if cpus >= SPREAD_FROM_CPUS else None)
        # As many again wait at the workers: nobody idles, and an autoscaler sees that more could be used.
        self.max_concurrent = 2 * cpus

    async def run(self, piece: Piece) -> tuple[EncodedTrack, ...]:
        import ray
        from ray.exceptions import RayError, RayTaskError

        task = _task().remote(piece)
        try:
            return await task
        except asyncio.CancelledError:
            # Killing the worker is certain, and its encoder dies with it.
            with contextlib.suppress(Exception):
                ray.cancel(task, force=True)
                await asyncio.wait([asyncio.ensure_future(_ended(task))], timeout=_STOP_LIMIT_S)
            raise
        except RayTaskError as error:
            raise cast(Exception, error.cause) from None
        except RayError as error:
            raise EncodingFailed("worker-died", repr(error)) from error


async def _ended(task: Any) -> None:
    with contextlib.suppress(Exception):
        await task


@cache
def _task() -> Any:
    import ray

    # The coordinator repeats what fails: it knows what is worth it, and counts.
    return cast(Any, ray).remote(num_cpus=CPUS_PER_PIECE, max_retries=0)(encode)


def encode(piece: Piece) -> tuple[EncodedTrack, ...]:
    """Encode one piece in a Ray worker."""
    return asyncio.run(_encode(piece))


async def _encode(piece: Piece) -> tuple[EncodedTrack, ...]:
    try:
        return await encode_piece(piece)
    finally:
        # Connections belong to the event loop, which ends here.
        await objects.close()
