"""Texts that are too long to be screened at once."""

from collections.abc import Mapping

MAX_TEXT_BYTES = 64 * 1024
"""Of one text that is screened, in UTF-8."""
_OVERLAP_CHARS = 500
"""Of two pieces; as long as the longest entry of a rule."""


def in_pieces(texts: Mapping[str, str]) -> list[dict[str, str]]:
    """Cut texts into what is screened at once: all that fits and the first pieces of longer texts, then the next pieces.

    A text is cut between words, and the next piece begins a little before the cut, so that no phrase is missed.
    """
    rounds: list[dict[str, str]] = [{}]
    for pointer, text in texts.items():
        for number, piece in enumerate(_cut(text)):
            if number == len(rounds):
                rounds.append({})
            rounds[number][pointer] = piece
    return rounds


def _cut(text: str) -> list[str]:
    # No character takes more than four bytes: most texts need not be measured.
    if len(text) * 4 <= MAX_TEXT_BYTES or len(text.encode(errors="replace")) <= MAX_TEXT_BYTES:
        return [text]
    pieces: list[str] = []
    begin = 0
    while begin < len(text):
        room = text[begin : begin + MAX_TEXT_BYTES].encode(errors="replace")[:MAX_TEXT_BYTES]
        end = begin + len(room.decode(errors="ignore"))
        if end < len(text):
            end = max(text.rfind(" ", begin, end), text.rfind("\n", begin, end), end - _OVERLAP_CHARS)
        pieces.append(text[begin:end])
        begin = end if end == len(text) else end - _OVERLAP_CHARS
    return pieces
