"""Make films once per run, and process them whole as a service would."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import av
import pytest
from av.video.frame import VideoFrame

from api.media.video_processing.film.encode import EncodedTrack, encode_audio, encode_chunk, remux
from api.media.video_processing.film.hls import PackagedFilm, package
from api.media.video_processing.film.ladder import Rendition, ladder
from api.media.video_processing.film.probe import Probe, probe
from api.media.video_processing.film.sample import Recipe, make_film
from api.media.video_processing.film.segments import Plan, plan


@dataclass(frozen=True)
class Processed:
    """Hold everything that came of a film."""

    source: Path
    folder: Path
    probe: Probe
    plan: Plan
    ladder: tuple[Rendition, ...]
    film: PackagedFilm


FilmMaker = Callable[[str, Recipe], Awaitable[Path]]
Processor = Callable[[Path], Awaitable[Processed]]


@pytest.fixture(scope="session", autouse=True)
def servers() -> None:
    """Start none: films need no server."""


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> FilmMaker:
    """Make a film by file name and recipe, once."""
    folder = tmp_path_factory.mktemp("films")

    async def make(name: str, recipe: Recipe) -> Path:
        path = folder / name
        if not path.exists():
            await make_film(path, recipe)
        return path

    return make


@pytest.fixture
def process(tmp_path: Path) -> Processor:
    """Probe, plan, encode in short chunks, and package."""

    async def run(source: Path) -> Processed:
        found = await probe(source)
        if found.needs_remux:
            await remux(source, tmp_path / "exact.mkv")
            source = tmp_path / "exact.mkv"
            found = await probe(source)
        planned, rungs, out = plan(found, chunk_s=1.0, segment_s=0.5), ladder(found), tmp_path / "hls"
        sound = await encode_audio(source, planned.audio, out) if planned.audio else None
        tracks: list[EncodedTrack] = []
        # The last chunk first: no chunk may depend on another.
        for chunk in reversed(planned.chunks):
            tracks += await encode_chunk(source, chunk, rungs, out)
        packaged = package(rungs, tracks, sound)
        for name, text in packaged.playlists.items():
            (out / name).write_text(text)
        return Processed(source, out, found, planned, rungs, packaged)

    return run


def pictures(path: Path) -> list[VideoFrame]:
    """Decode all pictures of a film or playlist."""
    with av.open(str(path)) as container:
        return list(container.decode(container.streams.video[0]))


def thumbnail(frame: VideoFrame) -> bytes:
    """Shrink a picture to 32x18 shades of grey."""
    small = frame.reformat(width=32, height=18, format="gray", interpolation="AREA")
    plane, stride = bytes(small.planes[0]), small.planes[0].line_size
    return b"".join(plane[row * stride : row * stride + 32] for row in range(18))
