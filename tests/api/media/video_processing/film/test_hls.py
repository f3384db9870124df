"""Playlists say what was measured, and refuse what does not fit together."""

import pickle
import struct
from dataclasses import replace

import msgspec
import pytest

from api.media.video_processing.film.encode import EncodedTrack
from api.media.video_processing.film.faults import EncodingFailed, UnplayableFilm
from api.media.video_processing.film.fragments import EncodedSegment
from api.media.video_processing.film.hls import codecs_of, join_chunks, package
from api.media.video_processing.film.ladder import ladder
from api.media.video_processing.film.segments import Chunk

from .test_ladder import probed
from .test_segments import even


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def init(level: int = 30) -> bytes:
    content = box(b"stsd", bytes(8) + box(b"avc1", bytes(78) + box(b"avcC", bytes([1, 100, 0, level]))))
    for kind in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        content = box(kind, content)
    return box(b"ftyp", b"iso6") + content


def track(chunk: int, numbers: range, *, name: str = "240p", size: int = 50_000) -> EncodedTrack:
    segments = tuple(
        EncodedSegment(number=n, start=n * 360_000, duration=360_000, frames=100, size_bytes=size * (1 + n % 2))
        for n in numbers
    )
    return EncodedTrack(name=name, chunk=chunk, timescale=90_000, init=init(), segments=segments)


AUDIO = EncodedTrack(
    name="audio",
    chunk=0,
    timescale=48_000,
    init=init(),
    segments=tuple(
        EncodedSegment(number=n, start=n * 192_000, duration=192_000, frames=187, size_bytes=64_000) for n in range(4)
    ),
)


def test_playlists() -> None:
    film = package(ladder(probed(426, 240)), [track(1, range(2, 4)), track(0, range(2))], AUDIO)
    assert film.playlists["master.m3u8"].splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",'
        'URI="audio/index.m3u8"',
        "#EXT-X-STREAM-INF:BANDWIDTH=328000,AVERAGE-BANDWIDTH=278000,"
        'CODECS="avc1.64001e,mp4a.40.2",RESOLUTION=426x240,FRAME-RATE=25.000,AUDIO="audio"',
        "240p/index.m3u8",
    ]
    assert film.playlists["240p/index.m3u8"].splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:4",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        '#EXT-X-MAP:URI="init.mp4"',
        *(line for n in range(4) for line in ("#EXTINF:4.000000,", f"seg-0000{n}.m4s")),
        "#EXT-X-ENDLIST",
    ]
    assert (film.duration_s, film.renditions[0].frames) == (16, 400)


def test_a_film_without_sound_has_no_audio_group() -> None:
    film = package(ladder(probed(426, 240)), [track(0, range(2))], None)
    assert "AUDIO" not in film.playlists["master.m3u8"]
    assert sorted(film.playlists) == ["240p/index.m3u8", "master.m3u8"]


@pytest.mark.parametrize(
    ("tracks", "code"),
    [
        ([], "chunks-missing"),
        ([track(1, range(2))], "chunks-missing"),
        ([track(0, range(2)), track(2, range(2, 4))], "chunks-missing"),
        ([track(0, range(2)), track(0, range(2))], "chunks-missing"),
        ([track(0, range(2)), track(1, range(3, 5))], "chunks-missing"),
        ([track(0, range(2)), replace(track(1, range(2, 4)), init=init(31))], "chunks-differ"),
    ],
)
def test_chunks_that_do_not_fit_are_refused(tracks: list[EncodedTrack], code: str) -> None:
    with pytest.raises(EncodingFailed) as caught:
        join_chunks(tracks)
    assert caught.value.code == code


def test_a_missing_rendition_is_refused() -> None:
    with pytest.raises(EncodingFailed):
        package(ladder(probed(640, 360)), [track(0, range(2))], None)


def test_codecs_are_read_from_the_init_segment() -> None:
    assert codecs_of(init(31)) == "avc1.64001f"


def test_tasks_results_and_faults_travel() -> None:
    for chunk in even(30, keyframe_every=50).chunks:
        assert msgspec.json.decode(msgspec.json.encode(chunk), type=Chunk) == pickle.loads(pickle.dumps(chunk)) == chunk  # noqa: S301
    assert msgspec.json.decode(msgspec.json.encode(AUDIO), type=EncodedTrack) == AUDIO
    for fault in (UnplayableFilm("truncated"), EncodingFailed("timed-out", "late")):
        again = pickle.loads(pickle.dumps(fault))  # noqa: S301
        assert (type(again), again.code, again.detail) == (type(fault), fault.code, fault.detail)
