"""Whatever is uploaded, the answer is a sentence for a teacher: nothing crashes, and nothing but the file is read."""

import asyncio
import random
import zipfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from api.media.video_processing.film.encode import EncodeLimits, encode_chunk
from api.media.video_processing.film.faults import MESSAGES, FaultCode, UnplayableFilm
from api.media.video_processing.film.ladder import ladder
from api.media.video_processing.film.probe import Probe, ProbeLimits, probe
from api.media.video_processing.film.sample import Recipe, make_film
from api.media.video_processing.film.segments import plan

from .conftest import FilmMaker

RAW = ("-c:v", "rawvideo", "-pix_fmt", "bgr24")


async def refusal(path: Path, limits: ProbeLimits | None = None) -> str:
    with pytest.raises(UnplayableFilm) as caught:
        await probe(path, limits)
    assert caught.value.detail == MESSAGES[cast(FaultCode, caught.value.code)]
    return caught.value.code


@asynccontextmanager
async def listener() -> AsyncGenerator[tuple[int, list[str]], None]:
    """Count who calls."""
    calls: list[str] = []

    def called(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append("called")
        writer.close()

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], calls


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"This is my homework, not a film.\n" * 50, "not-a-film"),
        (b"\x00" * 4096, "not-a-film"),
        (random.Random(4).randbytes(50_000), "not-a-film"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "playlist"),
        (b"\xef\xbb\xbf\n#EXTM3U\n#EXTINF:9,\n/etc/passwd\n", "playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "playlist"),
        (b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>', "playlist"),
        (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n", "not-a-film"),
        (b"\x1aE\xdf\xa3" + bytes(60), "truncated"),
    ],
)
async def test_what_is_no_film_is_refused(content: bytes, code: str, tmp_path: Path) -> None:
    path = tmp_path / "lesson.mp4"
    path.write_bytes(content)
    assert await refusal(path) == code


async def test_a_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lesson.mp4"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(5_000_000))
    assert await refusal(path) == "not-a-film"


@pytest.mark.parametrize("suffix", ["m3u8", "mp4", "ts"])
async def test_a_playlist_makes_no_connection(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"lesson.{suffix}"
    async with listener() as (port, calls):
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n")
        assert await refusal(path) == "playlist"
    assert calls == []


async def test_a_name_that_looks_like_a_protocol_is_a_name(tmp_path: Path, film: FilmMaker) -> None:
    path = tmp_path / "concat:a|b.mp4"
    path.write_bytes((await film("short.mp4", Recipe(duration_s=1))).read_bytes())
    assert (await probe(path)).frame_count == 25


@pytest.mark.parametrize(("name", "share"), [("slow.mp4", 0.3), ("slow.mp4", 0.999), ("short.mkv", 0.5)])
async def test_a_film_without_its_end_is_truncated(name: str, share: float, film: FilmMaker, tmp_path: Path) -> None:
    whole = (await film(name, Recipe(duration_s=4))).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * share)])
    assert await refusal(path) == "truncated"


@pytest.mark.parametrize("share", [0.2, 0.7, 0.999])
async def test_an_index_that_promises_more_than_there_is_is_truncated(
    share: float, film: FilmMaker, tmp_path: Path
) -> None:
    whole = (await film("index-first.mp4", Recipe(output=("-movflags", "+faststart")))).read_bytes()
    path = tmp_path / "lesson.mp4"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert await refusal(path) == "truncated"


@pytest.mark.parametrize(
    ("name", "recipe", "code"),
    [
        ("dot.avi", Recipe(sound=False, duration_s=1, video=RAW, output=("-vf", "scale=1:1")), "too-small"),
        ("small.mp4", Recipe(width=8, height=8, sound=False, duration_s=1), "too-small"),
        ("nothing.mp4", Recipe(sound=False, output=("-frames:v", "0", "-movflags", "+empty_moov")), "no-frames"),
        ("sound.mp4", Recipe(output=("-vn",)), "no-video"),
    ],
)
async def test_a_film_without_a_picture_to_watch_is_refused(
    name: str, recipe: Recipe, code: str, film: FilmMaker
) -> None:
    assert await refusal(await film(name, recipe)) == code


async def test_a_huge_picture_in_a_small_file_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "bomb.mkv"
    huge = ("-vf", "scale=9000:9000:flags=neighbor")
    await make_film(path, Recipe(rate="1", duration_s=1, sound=False, video=("-c:v", "mjpeg"), output=huge))
    assert path.stat().st_size < 5_000_000
    assert await refusal(path) == "too-large"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (ProbeLimits(max_duration_s=0), "too-long"),
        (ProbeLimits(max_frames=10), "too-long"),
        (ProbeLimits(max_streams=1), "too-many-streams"),
        (ProbeLimits(max_pixels=1000), "too-large"),
        (ProbeLimits(wall_s=0.01), "too-costly"),
    ],
)
async def test_limits_hold(limits: ProbeLimits, code: str, film: FilmMaker) -> None:
    assert await refusal(await film("short.mp4", Recipe(duration_s=1)), limits) == code


async def test_bytes_overwritten_anywhere_give_a_film_or_a_fault(film: FilmMaker, tmp_path: Path) -> None:
    whole = (await film("index-first.mp4", Recipe(output=("-movflags", "+faststart")))).read_bytes()
    path = tmp_path / "lesson.mp4"
    for seed in range(12):
        rng, content = random.Random(seed), bytearray(whole)
        # The index, which is what a reader trusts, stands at the front.
        for _ in range(20):
            content[rng.randrange(40, 4000)] = rng.randrange(256)
        path.write_bytes(content)
        # An EncodingFailed (the reader broke in a way that was not foreseen) fails the test.
        found: Probe | None = None
        with suppress(UnplayableFilm):
            found = await probe(path)
        assert found is None or found.frame_count > 0


async def test_pictures_that_cannot_be_decoded_are_damage(film: FilmMaker, tmp_path: Path) -> None:
    source = await film("silent.mp4", Recipe(sound=False, output=("-movflags", "+faststart")))
    content = bytearray(source.read_bytes())
    start = content.index(b"mdat")
    good = content[: start + 30_000]
    path = tmp_path / "lesson.mp4"
    path.write_bytes(good + bytes(len(content) - len(good)))
    found = await probe(path)
    chunk = plan(found, chunk_s=1).chunks[-1]
    with pytest.raises(UnplayableFilm) as caught:
        await encode_chunk(path, chunk, ladder(found), tmp_path / "out")
    assert caught.value.code == "damaged"


async def test_a_film_that_eats_processor_time_is_too_costly(film: FilmMaker, tmp_path: Path) -> None:
    # More than any processor encodes in a second.
    source = await film("large.mkv", Recipe(width=1920, height=1080, duration_s=8, sound=False))
    found = await probe(source)
    limits = EncodeLimits(cpu_s=1)
    with pytest.raises(UnplayableFilm) as caught:
        await encode_chunk(source, plan(found).chunks[0], ladder(found), tmp_path / "out", limits=limits)
    assert caught.value.code == "too-costly"
    assert list((tmp_path / "out").iterdir()) == []
