"""Films of every awkward shape come out with the pictures and times that went in."""

from itertools import pairwise
from pathlib import Path

import av
import pytest

from api.media.video_processing.film.encode import extract_poster
from api.media.video_processing.film.probe import probe
from api.media.video_processing.film.sample import Recipe, make_demo_film

from .conftest import FilmMaker, Processor, pictures, thumbnail

ALL_444 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p")
SHAPES = {
    "cfr.mp4": Recipe(),
    "upright-17.mp4": Recipe(width=202, height=358, rate="17"),
    "odd-size.mp4": Recipe(width=321, height=181, video=ALL_444),
    "uneven.mkv": Recipe(uneven=True, rate="30"),
    "uneven-b-frames.mp4": Recipe(uneven=True, rate="30", b_frames=2),
    "silent-12.5.mp4": Recipe(sound=False, rate="25/2"),
    "one-keyframe.mp4": Recipe(keyframe_every=10_000, b_frames=3),
    "open-gop-23.976.mp4": Recipe(rate="24000/1001", b_frames=3, open_gop=True, keyframe_every=13),
    "open-gop.mkv": Recipe(b_frames=3, open_gop=True, keyframe_every=20, rate="50"),
    "starts-late.mkv": Recipe(start_s=7.3, b_frames=2),
    "empty-edit.mp4": Recipe(start_s=1.7, b_frames=2),
    "transport.ts": Recipe(start_s=5, b_frames=2),
    "old.avi": Recipe(video=("-c:v", "mpeg4", "-bf", "2"), rate="15"),
    "interlaced.mp4": Recipe(sound=False, video=("-c:v", "libx264", "-flags", "+ildct+ilme"), b_frames=2, duration_s=2),
    "vp9.webm": Recipe(
        sound=False, duration_s=2, video=("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
    ),
}


def unlike(a: bytes, b: bytes) -> float:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)


@pytest.mark.parametrize("name", SHAPES)
async def test_every_rendition_shows_each_picture_of_the_source_at_its_time(
    name: str, film: FilmMaker, process: Processor
) -> None:
    done = await process(await film(name, SHAPES[name]))
    before = pictures(done.source)
    timeline = done.probe.timeline
    ticks = [timeline.ticks(frame.pts or 0) for frame in before]
    expected = [tick - ticks[0] for tick in ticks]
    assert done.plan.frames == len(before)
    assert len(done.plan.chunks) > 1
    originals = [thumbnail(frame) for frame in before]
    for rendition in done.film.renditions:
        after = pictures(done.folder / rendition.name / "index.m3u8")
        assert [frame.pts for frame in after] == expected
        assert rendition.duration_s == pytest.approx(done.probe.duration_s, abs=1e-3)
        assert (after[0].width, after[0].height) == (rendition.width, rendition.height)
        for n, frame in enumerate(after):
            shown = thumbnail(frame)
            neighbours = range(max(0, n - 1), min(len(originals), n + 2))
            assert min(neighbours, key=lambda i: unlike(originals[i], shown)) == n
    assert ("audio/index.m3u8" in done.film.playlists) == SHAPES[name].sound


async def test_a_rotated_film_is_turned_upright(film: FilmMaker, process: Processor) -> None:
    done = await process(await film("turned.mp4", Recipe(rotation=90, duration_s=2)))
    assert (done.probe.coded_width, done.probe.coded_height) == (320, 180)
    assert (done.probe.width, done.probe.height, done.probe.rotation) == (180, 320, 90)
    after = pictures(done.folder / "180p" / "index.m3u8")
    assert (len(after), after[0].width, after[0].height, after[0].rotation) == (50, 180, 320, 0)
    # The pattern's coloured bars lie across in the source, so they stand in the result: turned back, the two are alike.
    before = thumbnail(pictures(done.source)[30])
    small = after[30].reformat(width=18, height=32, format="gray", interpolation="AREA")
    rows = [bytes(small.planes[0])[r * small.planes[0].line_size :][:18] for r in range(32)]
    turned_back = bytes(rows[31 - x][y] for y in range(18) for x in range(32))
    assert unlike(before, turned_back) < 8


async def test_more_than_60_pictures_per_second_become_60(film: FilmMaker, process: Processor) -> None:
    recipe = Recipe(rate="100", duration_s=2, sound=False, width=160, height=90, b_frames=2)
    done = await process(await film("fast.mp4", recipe))
    after = pictures(done.folder / "90p" / "index.m3u8")
    assert done.plan.frames == len(after) == 120
    assert done.film.renditions[0].frame_rate == 60
    assert done.film.duration_s == 2


async def test_sound_and_picture_start_and_end_together(film: FilmMaker, process: Processor) -> None:
    done = await process(await film("starts-late.mkv", SHAPES["starts-late.mkv"]))
    with av.open(str(done.folder / "audio" / "index.m3u8")) as container:
        frames = list(container.decode(audio=0))
    assert frames[0].pts == 0
    assert sum(frame.samples for frame in frames) / 48_000 == pytest.approx(3, abs=0.05)
    assert all(b.pts == (a.pts or 0) + a.samples for a, b in pairwise(frames))


async def test_the_demo_film_is_a_film(tmp_path: Path) -> None:
    await make_demo_film(tmp_path / "demo.mp4")
    found = await probe(tmp_path / "demo.mp4")
    assert (found.width, found.height, found.duration_s, found.has_audio) == (640, 360, 12, True)


async def test_a_real_film_is_probed() -> None:
    source = Path(__file__).parents[5] / "../shared/data/big_buck_bunny_480p_30s.mp4"
    if not source.exists():
        pytest.skip(f"{source.name} is not there")
    found = await probe(source)
    assert (found.frame_count, found.duration_s, found.frame_rate) == (720, 30.0, 24)
    assert found.keyframes_s == pytest.approx((0, 10.416667, 11.875, 15.75, 23.041667), abs=1e-5)


@pytest.mark.parametrize("transfer", ["arib-std-b67", "smpte2084"])
async def test_a_film_with_high_dynamic_range_is_mapped_to_standard_range(
    transfer: str, film: FilmMaker, process: Processor
) -> None:
    tags = f"format=yuv420p10le,setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc"
    video = ("-vf", tags, "-c:v", "libx264", "-preset", "ultrafast")
    done = await process(await film(f"{transfer}.mp4", Recipe(duration_s=1, sound=False, video=video)))
    for rendition in done.film.renditions:
        after = pictures(done.folder / rendition.name / "index.m3u8")
        assert len(after) == done.plan.frames
        # Without VIDEO-RANGE a playlist says SDR, so the pictures must be: BT.709 in all three (ITU-T H.273, tables 2 to 4).
        assert {(f.color_primaries, f.color_trc, f.colorspace, f.format.name) for f in after} == {(1, 1, 1, "yuv420p")}
        assert len(set(thumbnail(after[0]))) > 20
    poster = done.folder / "poster.jpg"
    await extract_poster(done.source, done.probe, done.plan, poster)
    assert len(set(thumbnail(pictures(poster)[0]))) > 20
