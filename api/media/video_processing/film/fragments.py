"""Rewrite what the encoder made into the segments that players load.

ffmpeg writes one fragmented MP4 file per task. Its samples are laid out anew here, because only so is every segment
exactly what was planned: decoding times are the presentation times in order, so a segment's first decoding time is its
first picture, its durations add up to its length to the tick, and chunks that were encoded far apart follow each other
without a gap or an overlap. Pictures are shown a constant delay after these times, and the init segment's edit list takes
that delay off again. (Negative offsets would say the same without a delay, but libav shifts a track anew whenever it
meets a larger one.)

Source: ISO/IEC 14496-12 (moof 8.8.4, tfhd 8.8.7, trun 8.8.8, tfdt 8.8.12, elst 8.6.6).
"""

import secrets
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import BinaryIO, Final

from .faults import EncodingFailed

_CONTAINER_BOXES: Final = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex")
_NOT_SYNC: Final = 0x0001_0000

DELAY_TICKS: Final = 18_000
"""How long after their place in decoding order pictures are shown: two pictures of reordering at 10 per second or more.

At slower or uneven rates the decoding times are drawn together instead; see `_decoding_times`.
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """Locate one picture or sound frame in an encoder's file."""

    pts: int
    duration: int
    offset: int
    size: int
    flags: int

    @property
    def is_sync(self) -> bool:
        """Tell whether decoding can start here."""
        return not self.flags & _NOT_SYNC


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedSegment:
    """Describe a written segment; times are units of its track's timescale."""

    number: int
    start: int
    duration: int
    frames: int
    size_bytes: int

    @property
    def file_name(self) -> str:
        """Return its name within the track's folder."""
        return f"seg-{self.number:05}.m4s"


INIT_NAME: Final = "init.mp4"


def _boxes(blob: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", blob, start)
        if size < 8 or start + size > end:
            raise ValueError(f"box {kind!r} of {size} bytes does not fit")
        yield kind, start, start + size
        start += size


def _with_edit(blob: bytes, start: int, end: int, edit: bytes) -> bytes:
    """Copy boxes, with this edit list and no other."""
    parts: list[bytes] = []
    for kind, a, b in _boxes(blob, start, end):
        if kind in (b"moov", b"trak"):
            parts.append(_box(kind, _with_edit(blob, a + 8, b, edit)))
        elif kind not in (b"edts", b"udta"):
            parts.append(blob[a:b])
        if kind == b"tkhd":
            parts.append(edit)
    return b"".join(parts)


def delayed(init: bytes, delay: int) -> bytes:
    """Return an init segment whose edit list takes a delay off; none when it is 0."""
    # One entry: of unknown length, from this media time on, at normal speed.
    elst = _box(b"elst", struct.pack(">IIIiI", 0, 1, 0, delay, 1 << 16))
    return _with_edit(init, 0, len(init), _box(b"edts", elst) if delay else b"")


def find_box(blob: bytes, wanted: bytes, start: int = 0, end: int | None = None) -> bytes | None:
    """Return the content of the first such box in an init segment."""
    for kind, a, b in _boxes(blob, start, len(blob) if end is None else end):
        if kind == wanted:
            return blob[a + 8 : b]
        if kind in _CONTAINER_BOXES and (found := find_box(blob, wanted, a + 8, b)) is not None:
            return found
    return None


def timescale(init: bytes) -> int:
    """Return a track's units per second."""
    header = find_box(init, b"mdhd")
    if header is None:
        raise ValueError("no media header")
    return struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0]


def read_file(path: Path) -> tuple[bytes, list[Sample]]:
    """Return the init segment and all samples, in decoding order, of a fragmented file with one track."""
    init, samples = b"", list[Sample]()
    size = path.stat().st_size
    with path.open("rb") as file:
        position = 0
        while position + 8 <= size:
            file.seek(position)
            header = file.read(16)
            length, kind = struct.unpack_from(">I4s", header)
            if length == 1:
                length = struct.unpack_from(">Q", header, 8)[0]
            if length < 8 or position + length > size:
                raise ValueError("the encoder's file is cut off")
            if kind in (b"ftyp", b"moov", b"moof"):
                file.seek(position)
                box = file.read(length)
                if kind == b"moof":
                    samples += _samples(box, position)
                else:
                    init += box
            position += length
    return init, samples


def _samples(moof: bytes, moof_position: int) -> Iterator[Sample]:
    traf = next((a, b) for kind, a, b in _boxes(moof, 8, len(moof)) if kind == b"traf")
    duration = size = flags = time = 0
    for kind, a, _ in _boxes(moof, traf[0] + 8, traf[1]):
        bits = int.from_bytes(moof[a + 9 : a + 12], "big")
        if kind == b"tfhd":
            at = a + 16 + (8 if bits & 0x1 else 0) + (4 if bits & 0x2 else 0)
            for bit in (0x8, 0x10, 0x20):
                if bits & bit:
                    value = struct.unpack_from(">I", moof, at)[0]
                    at += 4
                    duration, size, flags = (
                        value if bit == 0x8 else duration,
                        value if bit == 0x10 else size,
                        value if bit == 0x20 else flags,
                    )
        elif kind == b"tfdt":
            time = struct.unpack_from(">Q" if moof[a + 8] == 1 else ">I", moof, a + 12)[0]
        elif kind == b"trun":
            count, at = struct.unpack_from(">I", moof, a + 12)[0], a + 16
            offset = moof_position + (struct.unpack_from(">i", moof, at)[0] if bits & 0x1 else 0)
            at += 4 if bits & 0x1 else 0
            first_flags = struct.unpack_from(">I", moof, at)[0] if bits & 0x4 else None
            at += 4 if bits & 0x4 else 0
            for n in range(count):
                own = [duration, size, flags if n or first_flags is None else first_flags, 0]
                for field, bit in enumerate((0x100, 0x200, 0x400, 0x800)):
                    if bits & bit:
                        own[field] = struct.unpack_from(">i" if bit == 0x800 else ">I", moof, at)[0]
                        at += 4
                yield Sample(time + own[3], own[0], offset, own[1], own[2])
                time, offset = time + own[0], offset + own[1]


def write_segments(
    source: Path,
    folder: Path,
    init: bytes,
    samples: list[Sample],
    *,
    segment_of: Callable[[Sample], int],
    end: int | None,
    delay: int,
) -> tuple[EncodedSegment, ...]:
    """Write the init segment and the media segments, each complete or not at all.

    `segment_of` numbers the sync samples; the samples after one belong to its segment. `end` is where the last one
    ends; None: where its last sample does.
    """
    numbers: list[int] = []
    for sample in samples:
        numbers.append(segment_of(sample) if sample.is_sync or not numbers else numbers[-1])
    paired = zip(numbers, samples, strict=True)
    groups = [(number, [sample for _, sample in group]) for number, group in groupby(paired, key=lambda pair: pair[0])]
    starts = [min(sample.pts for sample in group) for _, group in groups]
    starts.append(end if end is not None else max(sample.pts + sample.duration for sample in samples))
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / INIT_NAME, init)
    written: list[EncodedSegment] = []
    with source.open("rb") as file:
        for (number, group), (start, after) in zip(groups, pairwise(starts), strict=True):
            media = _media_segment(file, number, group, after, delay)
            segment = EncodedSegment(
                number=number, start=start, duration=after - start, frames=len(group), size_bytes=len(media)
            )
            _write(folder / segment.file_name, media)
            written.append(segment)
    return tuple(written)


def _decoding_times(pts: list[int], delay: int) -> list[int]:
    """Return the presentation times in order, moved ahead where a picture would be decoded after it is shown."""
    times = sorted(pts)
    soonest = next_time = 1 << 62
    for n in reversed(range(len(times))):
        soonest = min(soonest, pts[n] + delay)
        next_time = times[n] = min(times[n], soonest, next_time - 1)
    return times


def _media_segment(file: BinaryIO, number: int, samples: list[Sample], end: int, delay: int) -> bytes:
    pts = [sample.pts for sample in samples]
    times = _decoding_times(pts, delay)
    durations = [b - a for a, b in pairwise([*times, end])]
    if times[0] != min(pts) or min(durations) < 1:
        raise EncodingFailed("encoder-failed", f"segment {number} has pictures out of order")
    offsets = [time + delay - decoded for time, decoded in zip(pts, times, strict=True)]
    flags = [sample.flags for sample in samples]
    columns: list[tuple[int, list[int]]] = [(0x200, [sample.size for sample in samples])]
    defaults, default_bits = b"", 0x02_0000
    for own_bit, default_bit, values in ((0x100, 0x8, durations), (0x400, 0x20, flags)):
        if len(set(values)) == 1:
            defaults, default_bits = defaults + struct.pack(">I", values[0]), default_bits | default_bit
        else:
            columns.append((own_bit, values))
    if any(offsets):
        columns.append((0x800, offsets))
    columns.sort()
    bits = 0x1 | sum(bit for bit, _ in columns)
    rows = b"".join(
        struct.pack(">i" if bit == 0x800 else ">I", value)
        for row in zip(*(values for _, values in columns), strict=True)
        for (bit, _), value in zip(columns, row, strict=True)
    )
    styp = _box(b"styp", b"msdh" + bytes(4) + b"msdhcmfs")
    tfhd = _box(b"tfhd", struct.pack(">II", default_bits, 1) + defaults)
    tfdt = _box(b"tfdt", struct.pack(">IQ", 1 << 24, times[0]))
    mfhd = _box(b"mfhd", struct.pack(">II", 0, number + 1))

    def moof(data_offset: int) -> bytes:
        trun = _box(b"trun", struct.pack(">IIi", 1 << 24 | bits, len(samples), data_offset) + rows)
        return _box(b"moof", mfhd + _box(b"traf", tfhd + tfdt + trun))

    content = bytearray()
    for sample in samples:
        file.seek(sample.offset)
        content += file.read(sample.size)
    return styp + moof(len(moof(0)) + 8) + _box(b"mdat", bytes(content))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _write(path: Path, content: bytes) -> None:
    # Two workers may write the same segment after one was believed dead; the last complete one stands.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    partial.write_bytes(content)
    partial.replace(path)
