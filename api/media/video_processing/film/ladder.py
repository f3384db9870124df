"""Decide in which sizes and bit rates a film is offered.

A rung is named after its *short* side, which is what people mean by "720p": an upright phone film of 1080x1920 has a
1080p rung of 1080x1920, not one of 608x1080.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import isqrt
from typing import Final

from .probe import Probe

RUNGS: Final = (
    (2160, 14_000_000),
    (1440, 9_000_000),
    (1080, 5_000_000),
    (720, 2_800_000),
    (480, 1_400_000),
    (360, 800_000),
    (240, 400_000),
)
"""Short side, and the highest bit rate for 16:9 at 30 pictures per second.

Source: Apple, HLS Authoring Specification for Apple Devices, 1.30 to 1.37 (target rates for H.264), rounded.
"""

MAX_FRAME_RATE: Final = 60
CRF: Final = 23
PRESET: Final = "veryfast"
AUDIO_BIT_RATE: Final = 128_000

_CAPPED_ABOVE: Final = 61  # 59.94 and what a coarse clock makes of 60 stay as they are
_EXTRA_RUNG: Final = Fraction(5, 4)
_MIN_MAXRATE: Final = 150_000
_LEVELS: Final = (
    (10, 1_485, 99, 80_000),
    (11, 3_000, 396, 240_000),
    (12, 6_000, 396, 480_000),
    (13, 11_880, 396, 960_000),
    (21, 19_800, 792, 5_000_000),
    (22, 20_250, 1_620, 5_000_000),
    (30, 40_500, 1_620, 12_500_000),
    (31, 108_000, 3_600, 17_500_000),
    (32, 216_000, 5_120, 25_000_000),
    (40, 245_760, 8_192, 25_000_000),
    (42, 522_240, 8_704, 62_500_000),
    (50, 589_824, 22_080, 168_750_000),
    (51, 983_040, 36_864, 300_000_000),
    (52, 2_073_600, 36_864, 300_000_000),
    (60, 4_177_920, 139_264, 300_000_000),
    (62, 16_711_680, 139_264, 1_000_000_000),
)
"""Level, macroblocks per second and per picture, bit rate in the High profile. Source: ITU-T H.264, tables A-1, A-2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """Describe one rung: H.264 High, 8 bit 4:2:0, constant quality up to a highest bit rate."""

    name: str
    width: int
    height: int
    frame_rate_num: int
    frame_rate_den: int
    crf: int
    maxrate_bps: int
    level: int
    """Ten times the H.264 level: 31 is 3.1."""
    preset: str = PRESET

    @property
    def frame_rate(self) -> Fraction:
        """Return the mean number of pictures per second."""
        return Fraction(self.frame_rate_num, self.frame_rate_den)

    @property
    def codecs(self) -> str:
        """Return what CODECS will say. Source: RFC 6381, section 3.3: profile, constraints and level in hexadecimal."""
        return f"avc1.6400{self.level:02x}"


def is_capped(probe: Probe) -> bool:
    """Tell whether pictures must be left out because there are more than 60 per second."""
    return probe.frame_rate > _CAPPED_ABOVE


def ladder(probe: Probe) -> tuple[Rendition, ...]:
    """Return the rungs for a film, largest first, at least one, none larger than the film.

    A film whose size lies well above the highest rung that fits it (or below all rungs) gets a rung of its own size.
    """
    short = min(probe.width, probe.height)
    sides = [side for side, _ in RUNGS if side <= short]
    if not sides or (short >= sides[0] * _EXTRA_RUNG and sides[0] != RUNGS[0][0]):
        sides = [short - short % 2, *sides]
    rate = Fraction(MAX_FRAME_RATE) if is_capped(probe) else probe.frame_rate
    return tuple(_rendition(probe, side, rate) for side in sides)


def _rendition(probe: Probe, side: int, rate: Fraction) -> Rendition:
    short, long = sorted((probe.width, probe.height))
    long_side = _even(Fraction(long * side, short), at_most=long)
    maxrate = _maxrate(side, long_side, rate)
    width, height = (long_side, side) if probe.width >= probe.height else (side, long_side)
    return Rendition(
        name=f"{side}p",
        width=width,
        height=height,
        frame_rate_num=rate.numerator,
        frame_rate_den=rate.denominator,
        crf=CRF,
        maxrate_bps=maxrate,
        level=_level(width, height, rate, maxrate),
    )


def _even(length: Fraction, *, at_most: int) -> int:
    return max(2, min(round(length / 2) * 2, at_most - at_most % 2))


def _maxrate(side: int, long_side: int, rate: Fraction) -> int:
    """Interpolate between the rungs by the number of pixels; more pictures per second cost less than their share."""
    pixels = side * long_side
    points = [(height * height * 16 // 9, bits) for height, bits in RUNGS]
    for (more_pixels, more_bits), (pixels_below, bits_below) in pairwise(points):
        if pixels >= pixels_below:
            share = min(Fraction(pixels - pixels_below, more_pixels - pixels_below), Fraction(2))
            bits = bits_below + int(share * (more_bits - bits_below))
            break
    else:
        bits = max(_MIN_MAXRATE, points[-1][1] * pixels // points[-1][0])
    return bits * 3 // 2 if rate > 35 else bits


def _level(width: int, height: int, rate: Fraction, maxrate: int) -> int:
    columns, rows = -(-width // 16), -(-height // 16)
    for level, per_s, per_picture, bits in _LEVELS:
        fits = columns * rows <= per_picture and max(columns, rows) <= isqrt(8 * per_picture)
        if fits and columns * rows * rate <= per_s and maxrate <= bits:
            return level
    return _LEVELS[-1][0]
