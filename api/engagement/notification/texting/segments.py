"""How many segments a text message takes, and how to make it fit.

Source: 3GPP TS 23.038, 6.2.1 (alphabet) and 6.2.1.1 (extension table); TS 23.040, 9.2.3.24 (a segment of several is shorter).
"""

from dataclasses import dataclass

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
"""Each takes two places: an escape comes first."""
_GSM_ALONE, _GSM_OF_SEVERAL = 160, 153
_UCS2_ALONE, _UCS2_OF_SEVERAL = 70, 67
MOST = 2
_CUT = "..."


@dataclass(frozen=True, slots=True)
class Text:
    """What is sent, and in how many segments."""

    body: str
    segments: int


def count(text: str) -> int:
    """Return the number of segments. No character is split over two."""
    if all(each in _BASIC or each in _EXTENDED for each in text):
        alone, of_several = _GSM_ALONE, _GSM_OF_SEVERAL
        widths = [2 if each in _EXTENDED else 1 for each in text]
    else:
        alone, of_several = _UCS2_ALONE, _UCS2_OF_SEVERAL
        widths = [2 if ord(each) > 0xFFFF else 1 for each in text]
    if sum(widths) <= alone:
        return 1
    segments, used = 1, 0
    for width in widths:
        if used + width > of_several:
            segments, used = segments + 1, 0
        used += width
    return segments


def fit(words: str, link: str, most: int = MOST) -> Text:
    """Return the words, cut as far as needed, and the whole link."""
    whole = f"{words}\n{link}"
    if (segments := count(whole)) <= most:
        return Text(whole, segments)
    least, beyond = 0, len(words)
    while least + 1 < beyond:
        middle = (least + beyond) // 2
        if count(_cut(words, middle, link)) <= most:
            least = middle
        else:
            beyond = middle
    body = _cut(words, least, link) if least else link
    return Text(body, count(body))


def _cut(words: str, length: int, link: str) -> str:
    return f"{words[:length].rstrip()}{_CUT}\n{link}"
