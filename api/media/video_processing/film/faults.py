"""State why a film could not be processed: the film's fault, or ours.

FilmFault
├── UnplayableFilm   the file: trying again will not help; `detail` is written for a teacher
└── EncodingFailed   this attempt: trying again elsewhere or later may help; `detail` is for operators
"""

from typing import Final, Literal

FaultCode = Literal[
    "empty",
    "not-a-film",
    "playlist",
    "truncated",
    "damaged",
    "no-video",
    "no-frames",
    "too-small",
    "too-large",
    "too-long",
    "too-many-streams",
    "too-costly",
    "unsupported-codec",
]

MESSAGES: Final[dict[FaultCode, str]] = {
    "empty": "The file is empty. Please upload it again.",
    "not-a-film": "This file is not a film that we can read. Please upload an MP4, MOV, MKV, WebM, AVI or MPEG file.",
    "playlist": "This file is only a list that points at other files, not a film. Please upload the film itself.",
    "truncated": "The film is incomplete: its end is missing. Please export it again and upload all of it.",
    "damaged": "The film is damaged and cannot be read to its end. Please export it again from your video program.",
    "no-video": "There is no picture in this file, only sound or other content. Please upload it as audio instead.",
    "no-frames": "The film has a picture track without a single picture in it. Please export it again.",
    "too-small": "The film's picture is too small to be watched.",
    "too-large": "The film's picture is larger than we can process. Please export it in 4K or smaller.",
    "too-long": "The film is longer than we can process. Please split it into parts.",
    "too-many-streams": "The file has too many tracks. Please export it with one picture and one sound track.",
    "too-costly": "The film needs far more computing than a film of its length should. Please export it again as MP4.",
    "unsupported-codec": "The film is encoded in a way that we cannot read. Please export it as MP4 with H.264.",
}


class FilmFault(Exception):
    """Carry a code and a detail; both survive pickling."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class UnplayableFilm(FilmFault):
    """Refuse a file for good, in words that a teacher understands."""

    def __init__(self, code: FaultCode, detail: str | None = None) -> None:
        super().__init__(code, MESSAGES[code] if detail is None else detail)


class EncodingFailed(FilmFault):
    """Report that an attempt failed for a reason outside the film; it may be repeated."""
