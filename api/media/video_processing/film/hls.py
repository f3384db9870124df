"""Write the playlists of an encoded film. Source: RFC 8216, version 7, video on demand in fragmented MP4."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import ceil
from typing import Final

from .encode import EncodedTrack
from .faults import EncodingFailed
from .fragments import INIT_NAME, EncodedSegment, find_box
from .ladder import Rendition

MASTER_NAME: Final = "master.m3u8"
MEDIA_NAME: Final = "index.m3u8"

_AUDIO_GROUP: Final = "audio"
_AUDIO_CODECS: Final = "mp4a.40.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedRendition:
    """Describe one finished rung, as measured."""

    name: str
    width: int
    height: int
    frame_rate: float
    codecs: str
    peak_bps: int
    """With the sound: what BANDWIDTH says."""
    average_bps: int
    frames: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedFilm:
    """Hold the playlists by their path beside the segments, and what they say."""

    playlists: dict[str, str]
    renditions: tuple[PackagedRendition, ...]
    duration_s: float
    size_bytes: int


def join_chunks(tracks: Iterable[EncodedTrack]) -> EncodedTrack:
    """Join the chunks of one rendition, in any order, into one track.

    Raises: EncodingFailed when one is missing, or was encoded with other settings than the rest.
    """
    ordered = sorted(tracks, key=lambda track: track.chunk)
    if not ordered:
        raise EncodingFailed("chunks-missing", "there is no chunk at all")
    head = ordered[0]
    if [track.chunk for track in ordered] != list(range(len(ordered))):
        raise EncodingFailed("chunks-missing", f"{head.name} has the chunks {[track.chunk for track in ordered]}")
    if any((track.name, track.timescale, track.init) != (head.name, head.timescale, head.init) for track in ordered):
        raise EncodingFailed("chunks-differ", f"the chunks of {head.name} do not share one init segment")
    segments = [segment for track in ordered for segment in track.segments]
    if [segment.number for segment in segments] != list(range(len(segments))):
        raise EncodingFailed("chunks-missing", f"{head.name} has the segments {[s.number for s in segments]}")
    return EncodedTrack(name=head.name, chunk=0, timescale=head.timescale, init=head.init, segments=tuple(segments))


def package(
    renditions: Sequence[Rendition], tracks: Iterable[EncodedTrack], audio: EncodedTrack | None
) -> PackagedFilm:
    """Write master and media playlists for the chunks of all renditions.

    Raises: EncodingFailed when chunks are missing or differ.
    """
    by_name = {
        name: join_chunks(group) for name, group in groupby(sorted(tracks, key=lambda t: t.name), key=lambda t: t.name)
    }
    if missing := [rendition.name for rendition in renditions if rendition.name not in by_name]:
        raise EncodingFailed("chunks-missing", f"nothing was encoded of {', '.join(missing)}")
    joined = [by_name[rendition.name] for rendition in renditions]
    # One target for all playlists keeps players in step. Source: RFC 8216, 4.3.3.1, rounding to the nearest integer.
    target = max(1, *(round(_seconds(t, s) + 1e-9) for t in [*joined, *([audio] if audio else [])] for s in t.segments))
    packaged = tuple(_measure(r, track, audio, target) for r, track in zip(renditions, joined, strict=True))
    playlists = {f"{track.name}/{MEDIA_NAME}": _media_playlist(track, target) for track in joined}
    if audio:
        playlists[f"{audio.name}/{MEDIA_NAME}"] = _media_playlist(audio, target)
    playlists[MASTER_NAME] = _master_playlist(packaged, audio)
    everything = [*joined, *([audio] if audio else [])]
    return PackagedFilm(
        playlists=playlists,
        renditions=packaged,
        duration_s=max(_duration_s(track) for track in everything),
        size_bytes=sum(len(track.init) + sum(s.size_bytes for s in track.segments) for track in everything),
    )


def codecs_of(init: bytes) -> str:
    """Read the RFC 6381 name of the picture's codec from an init segment. Source: ISO/IEC 14496-15, 5.3.3.1.2."""
    sample_description = find_box(init, b"stsd") or b""
    at = sample_description.find(b"avcC")
    if at < 0:
        raise EncodingFailed("encoder-failed", "the init segment describes no H.264")
    return f"avc1.{sample_description[at + 5 : at + 8].hex()}"


def _seconds(track: EncodedTrack, segment: EncodedSegment) -> Fraction:
    return Fraction(segment.duration, track.timescale)


def _duration_s(track: EncodedTrack) -> float:
    last = track.segments[-1]
    return (last.start + last.duration) / track.timescale


def _measure(rendition: Rendition, track: EncodedTrack, audio: EncodedTrack | None, target: int) -> PackagedRendition:
    sound_peak, sound_mean = _bit_rates(audio, target) if audio else (0, 0)
    peak, mean = _bit_rates(track, target)
    return PackagedRendition(
        name=rendition.name,
        width=rendition.width,
        height=rendition.height,
        frame_rate=float(rendition.frame_rate),
        codecs=",".join([codecs_of(track.init), *([_AUDIO_CODECS] if audio else [])]),
        peak_bps=peak + sound_peak,
        average_bps=mean + sound_mean,
        frames=track.frames,
        duration_s=_duration_s(track),
    )


def _bit_rates(track: EncodedTrack, target: int) -> tuple[int, int]:
    """Return peak and mean in bits per second.

    Source: RFC 8216, 4.1: the peak is the largest rate of any contiguous segments that last 0.5 to 1.5 target
    durations.
    """
    lengths = [_seconds(track, segment) for segment in track.segments]
    bits = [8 * segment.size_bytes for segment in track.segments]
    mean = Fraction(sum(bits)) / sum(lengths)
    peak = mean
    for first in range(len(bits)):
        length, size = Fraction(0), 0
        for last in range(first, len(bits)):
            length, size = length + lengths[last], size + bits[last]
            if length > Fraction(3, 2) * target:
                break
            if length * 2 >= target:
                peak = max(peak, size / length)
    return ceil(peak), ceil(mean)


def _media_playlist(track: EncodedTrack, target: int) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{target}", "#EXT-X-MEDIA-SEQUENCE:0"]
    lines += ["#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-INDEPENDENT-SEGMENTS", f'#EXT-X-MAP:URI="{INIT_NAME}"']
    for segment in track.segments:
        lines += [f"#EXTINF:{float(_seconds(track, segment)):.6f},", segment.file_name]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def _master_playlist(renditions: Sequence[PackagedRendition], audio: EncodedTrack | None) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    group = ""
    if audio:
        group = f',AUDIO="{_AUDIO_GROUP}"'
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{_AUDIO_GROUP}",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",'
            f'URI="{audio.name}/{MEDIA_NAME}"'
        )
    for r in renditions:
        lines += [
            f"#EXT-X-STREAM-INF:BANDWIDTH={r.peak_bps},AVERAGE-BANDWIDTH={r.average_bps},"
            f'CODECS="{r.codecs}",RESOLUTION={r.width}x{r.height},FRAME-RATE={r.frame_rate:.3f}{group}',
            f"{r.name}/{MEDIA_NAME}",
        ]
    return "\n".join([*lines, ""])
