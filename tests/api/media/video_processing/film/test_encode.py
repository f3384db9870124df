"""Tasks can be repeated, split, watched and stopped."""

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path

import av
import psutil
import pytest

from api.media.video_processing.film import encode
from api.media.video_processing.film.encode import EncodedTrack, EncodeLimits, encode_chunk, extract_poster
from api.media.video_processing.film.faults import EncodingFailed
from api.media.video_processing.film.ladder import ladder
from api.media.video_processing.film.probe import probe
from api.media.video_processing.film.sample import Recipe
from api.media.video_processing.film.segments import plan
from tests.processes import encoders

from .conftest import FilmMaker

LONG = Recipe(width=640, height=480, duration_s=6, sound=False, keyframe_every=50)
KILLED_WORKER = """
import asyncio, sys
from pathlib import Path
from api.media.video_processing.film.encode import encode_chunk
from api.media.video_processing.film.ladder import ladder
from api.media.video_processing.film.probe import probe
from api.media.video_processing.film.segments import plan

async def work(source, out):
    found = await probe(source)
    print("encoding", flush=True)
    await encode_chunk(source, plan(found, chunk_s=60).chunks[0], ladder(found), out)

asyncio.run(work(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def shape(tracks: tuple[EncodedTrack, ...]) -> list[tuple[str, bytes, list[tuple[int, int, int, int]]]]:
    return [(t.name, t.init, [(s.number, s.start, s.duration, s.frames) for s in t.segments]) for t in tracks]


async def some_encoders() -> list[psutil.Process]:
    """Return the encoders that this process started, as soon as there is one."""
    while not (found := encoders()):  # noqa: ASYNC110 (other processes tell no event)
        await asyncio.sleep(0.01)
    return found


async def test_a_repeated_or_divided_task_gives_exchangeable_segments(film: FilmMaker, tmp_path: Path) -> None:
    source = await film("uneven-b.mp4", Recipe(width=480, height=360, b_frames=2, uneven=True, sound=False))
    found = await probe(source)
    rungs, chunk = ladder(found), plan(found, chunk_s=1, segment_s=0.5).chunks[1]
    together = await encode_chunk(source, chunk, rungs, tmp_path)
    again = await encode_chunk(source, chunk, rungs, tmp_path)
    apart = [(await encode_chunk(source, chunk, [rung], tmp_path / "apart"))[0] for rung in rungs]
    assert shape(again) == shape(together) == shape(tuple(apart))
    files = {path.name for path in (tmp_path / rungs[0].name).iterdir()}
    assert files == {"init.mp4", *(segment.file_name for segment in together[0].segments)}


async def test_progress_rises_to_the_end(film: FilmMaker, tmp_path: Path) -> None:
    source = await film("long.mp4", LONG)
    found, seen = await probe(source), list[float]()
    await encode_chunk(source, plan(found).chunks[0], ladder(found), tmp_path, on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1


async def test_cancelling_leaves_no_process_and_no_file(film: FilmMaker, tmp_path: Path) -> None:
    source = await film("long.mp4", LONG)
    found = await probe(source)
    task = asyncio.create_task(encode_chunk(source, plan(found).chunks[0], ladder(found), tmp_path))
    started = await some_encoders()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [process for process in started if process.is_running()] == []
    assert os.listdir(tmp_path) == []


async def test_a_late_task_is_stopped_and_may_be_repeated(film: FilmMaker, tmp_path: Path) -> None:
    source = await film("long.mp4", LONG)
    found = await probe(source)
    with pytest.raises(EncodingFailed) as caught:
        await encode_chunk(source, plan(found).chunks[0], ladder(found), tmp_path, limits=EncodeLimits(wall_s=0.3))
    assert caught.value.code == "timed-out"
    assert encoders() == []


async def test_a_killed_encoder_is_no_fault_of_the_film(film: FilmMaker, tmp_path: Path) -> None:
    source = await film("long.mp4", LONG)
    found = await probe(source)
    task = asyncio.create_task(encode_chunk(source, plan(found).chunks[0], ladder(found), tmp_path))
    for process in await some_encoders():
        process.kill()
    with pytest.raises(EncodingFailed):
        await task


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl, which only Linux has")
async def test_the_encoder_dies_with_its_worker(film: FilmMaker, tmp_path: Path) -> None:
    source = await film("long.mp4", LONG)
    worker = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", KILLED_WORKER, str(source), str(tmp_path)], stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    assert await asyncio.to_thread(worker.stdout.readline) == b"encoding\n"
    started = await some_encoders()
    worker.kill()
    await asyncio.to_thread(worker.wait)
    _, alive = await asyncio.to_thread(psutil.wait_procs, started, timeout=10)
    assert alive == []


async def test_the_poster_is_a_jpeg_of_the_film(film: FilmMaker, tmp_path: Path) -> None:
    source = await film("turned-long.mp4", Recipe(width=1600, height=900, rotation=90, duration_s=1, sound=False))
    found = await probe(source)
    await extract_poster(source, found, plan(found), tmp_path / "poster.jpg")
    assert (tmp_path / "poster.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
    with av.open(str(tmp_path / "poster.jpg")) as container:
        picture = next(container.decode(video=0))
    assert (picture.width, picture.height) == (720, 1280)
    assert max(bytes(picture.reformat(format="gray").planes[0])) > 150


async def test_a_full_disk_is_not_the_encoders_fault() -> None:
    argv = ["-f", "lavfi", "-i", "testsrc2=d=1:s=64x64", "-f", "rawvideo", "file:/dev/full"]
    with pytest.raises(OSError, match="No space left") as full:
        await encode._ffmpeg(argv, EncodeLimits(), 1 << 30, None)  # pyright: ignore[reportPrivateUsage]
    assert full.value.errno == errno.ENOSPC
