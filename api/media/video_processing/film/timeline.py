"""Hold the times of a film's pictures in little space: about a byte per hundred pictures at a constant rate."""

import sys
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise

TICKS_PER_S = 90_000
"""The clock of everything that is written: 90 kHz divides 24, 25, 30, 50 and 60 pictures per second evenly."""


def pack(values: Sequence[int]) -> bytes:
    """Compress increasing numbers as little-endian differences."""
    deltas = array("q", [b - a for a, b in pairwise([0, *values])])
    if sys.byteorder == "big":
        deltas.byteswap()
    return zlib.compress(deltas.tobytes())


def unpack(packed: bytes) -> list[int]:
    """Return the numbers given to `pack`."""
    deltas = array("q")
    deltas.frombytes(zlib.decompress(packed))
    if sys.byteorder == "big":
        deltas.byteswap()
    return list(accumulate(deltas))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Know when every picture is shown, in units of the source's time base."""

    time_base_num: int
    time_base_den: int
    packed_pts: bytes
    """All presentation times, increasing, packed."""
    packed_keyframes: bytes
    """Positions among them of the pictures from which decoding can start, packed."""
    end_pts: int
    """When the last picture ends."""

    @property
    def time_base(self) -> Fraction:
        """Return the length of one unit in seconds."""
        return Fraction(self.time_base_num, self.time_base_den)

    def pts(self) -> list[int]:
        """Return all presentation times, increasing."""
        return unpack(self.packed_pts)

    def keyframes(self) -> list[int]:
        """Return the positions in `pts()` of the keyframes, increasing."""
        return unpack(self.packed_keyframes)

    def ticks(self, pts: Fraction | int) -> int:
        """Convert a time to the output's clock, rounding as ffmpeg does (nearest, halves away from zero)."""
        exact = pts * self.time_base * TICKS_PER_S
        rounded = int(abs(exact) + Fraction(1, 2))
        return rounded if exact >= 0 else -rounded
