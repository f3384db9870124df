"""What cutting a film into pieces costs: the pieces on two workers against one ffmpeg that makes the same renditions.

Both decode once per process and encode the same ladder with the same preset, quality, bit rates, keyframe distance and threads;
the pieces also become segments and are measured from the probe to the last segment. Object stores are left out.
"""

import asyncio
import resource
import tempfile
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from api.media.video_processing.film.encode import EncodeLimits, encode_audio, encode_chunk
from api.media.video_processing.film.ladder import AUDIO_BIT_RATE, Rendition, ladder
from api.media.video_processing.film.probe import probe
from api.media.video_processing.film.sample import Recipe, make_film
from api.media.video_processing.film.segments import SEGMENT_S, plan
from bench.figures import Figure, hand_over, progress, quick, typical
from cluster.base.settings import REPOSITORY

_FILM = REPOSITORY.parent / "shared" / "data" / "big_buck_bunny_480p_30s.mp4"
"""A real film where there is one; a generated one is simpler to encode."""
_WORKERS = 2
_TURNS = 2
_GOAL = 0.9
_LIMITS = EncodeLimits()


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by the clock and of all processors together, and how many bytes came out."""

    wall_s: float
    cpu_s: float
    size_bytes: int


async def run() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        if _FILM.exists() and not quick():
            film.symlink_to(_FILM)
        else:
            await make_film(film, Recipe(width=854, height=480, duration_s=10 if quick() else 30))
        renditions = ladder(await probe(film))
        progress(f"{', '.join(rendition.name for rendition in renditions)}; {_WORKERS} workers")
        pieces: list[Cost] = []
        alone: list[Cost] = []
        for turn in range(1 if quick() else _TURNS):
            progress(f"turn {turn + 1}")
            out = Path(folder) / f"pieces-{turn}"
            pieces.append(await _measured(_by_pieces(film, out), out))
            out = Path(folder) / f"alone-{turn}"
            out.mkdir()
            alone.append(await _measured(_by_one(film, renditions, out), out))
    wall_s, wall_alone_s = typical([cost.wall_s for cost in pieces]), typical([cost.wall_s for cost in alone])
    cpu_s, cpu_alone_s = typical([cost.cpu_s for cost in pieces]), typical([cost.cpu_s for cost in alone])
    return [
        Figure(
            name="film by pieces, speed against one ffmpeg",
            value=60 / wall_s,
            unit="films/min",
            peer=60 / wall_alone_s,
            goal=_GOAL,
        ),
        Figure(
            name="film by pieces, work per CPU second against one ffmpeg",
            value=60 / cpu_s,
            unit="films/min",
            peer=60 / cpu_alone_s,
            goal=_GOAL,
        ),
        Figure(
            name="film by pieces, size",
            value=typical([cost.size_bytes for cost in pieces]) / 1e6,
            unit="MB",
            peer=typical([cost.size_bytes for cost in alone]) / 1e6,
        ),
    ]


async def _measured(work: Awaitable[None], out: Path) -> Cost:
    begun, used_s = time.perf_counter(), _cpu_s()
    await work
    wall_s, cpu_s = time.perf_counter() - begun, _cpu_s() - used_s
    return Cost(wall_s, cpu_s, _size_bytes(out))


def _size_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _cpu_s() -> float:
    """Return the processor time of this process and of all children that have ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


async def _by_pieces(film: Path, out: Path) -> None:
    found = await probe(film)
    work = plan(found)
    renditions = ladder(found)
    room = asyncio.Semaphore(_WORKERS)

    async def piece(index: int) -> None:
        async with room:
            await encode_chunk(film, work.chunks[index], renditions, out / str(index), limits=_LIMITS)

    async def sound() -> None:
        if work.audio is not None:
            async with room:
                await encode_audio(film, work.audio, out / "sound", limits=_LIMITS)

    async with asyncio.TaskGroup() as group:
        group.create_task(sound())
        for index in range(len(work.chunks)):
            group.create_task(piece(index))


async def _by_one(film: Path, renditions: Sequence[Rendition], out: Path) -> None:
    """Make whole files of every rendition and the sound with one ffmpeg, as its manual says.

    Raises:
        RuntimeError: ffmpeg failed.
    """
    threads = str(_LIMITS.threads)
    pads = "".join(f"[s{n}]" for n in range(len(renditions)))
    scales = [f"[s{n}]scale={r.width}:{r.height},format=yuv420p[o{n}]" for n, r in enumerate(renditions)]
    graph = ";".join([f"[0:v]split={len(renditions)}{pads}", *scales])
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-threads", threads, "-i", str(film)]
    argv += ["-filter_complex_threads", threads, "-filter_complex", graph]
    for n, each in enumerate(renditions):
        argv += ["-map", f"[o{n}]", "-c:v", "libx264", "-preset", each.preset, "-crf", str(each.crf)]
        argv += ["-maxrate", str(each.maxrate_bps), "-bufsize", str(2 * each.maxrate_bps), "-profile:v", "high"]
        argv += ["-level:v", str(each.level), "-threads", threads, "-sc_threshold", "0", "-g", "1000000"]
        argv += ["-force_key_frames", f"expr:gte(t,n_forced*{SEGMENT_S:g})", str(out / f"{each.name}.mp4")]
    argv += [
        "-map",
        "0:a:0?",
        "-c:a",
        "aac",
        "-b:a",
        str(AUDIO_BIT_RATE),
        "-ac",
        "2",
        "-ar",
        "48000",
        str(out / "sound.m4a"),
    ]
    process = await asyncio.create_subprocess_exec(*argv)
    if await process.wait() != 0:
        raise RuntimeError("ffmpeg failed")


if __name__ == "__main__":
    hand_over(asyncio.run(run()))
