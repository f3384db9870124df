"""Render letters: MJML is compiled once per source, Liquid fills each letter in, both under limits."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser

import mrml
from liquid import BoundTemplate, Environment, StrictUndefined
from liquid.exceptions import LiquidError

from api.engagement.email.contract import TemplateRefused

MOST_SOURCE_BYTES = 100_000
MOST_OUTPUT_BYTES = 500_000
MOST_SUBJECT = 200


class _Limited(Environment):
    """Liquid for sources that strangers may have written: every loop, nesting and output ends."""

    loop_iteration_limit = 10_000
    local_namespace_limit = 100_000
    output_stream_limit = MOST_OUTPUT_BYTES
    context_depth_limit = 20
    block_nesting_limit = 20


_HTML = _Limited(autoescape=True, undefined=StrictUndefined)
_PLAIN = _Limited(undefined=StrictUndefined)
_HEAD = """<mj-head><mj-title>{title}</mj-title><mj-attributes>
<mj-all font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif" />
<mj-text font-size="16px" line-height="24px" color="#1f2328" />
<mj-button background-color="#1f5fd6" font-size="16px" border-radius="6px" align="left" />
</mj-attributes></mj-head>"""
_FRAME = """<mjml>{head}<mj-body background-color="#f3f4f6"><mj-section background-color="#ffffff"><mj-column>
{content}
</mj-column></mj-section><mj-section><mj-column><mj-text font-size="13px" line-height="18px" color="#57606a">{footer}</mj-text>
</mj-column></mj-section></mj-body></mjml>"""
_FOOTER = (
    """{{ _sender }}{% if _unsubscribe %}<br/><a href="{{ _unsubscribe }}">{{ _unsubscribe_words }}</a>{% endif %}"""
)
_UNSUBSCRIBE_WORDS = {"en": "No more letters of this kind", "de": "Keine Briefe dieser Art mehr"}
_DEEPEST = 60
_VOID = {"br", "img", "hr", "col", "input", "meta", "link", "mj-image"}
_TITLE = re.compile(r"<mj-title>(.*?)</mj-title>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """A source, ready to be filled in."""

    subject: BoundTemplate
    html: BoundTemplate
    text: BoundTemplate

    def render(self, fields: Mapping[str, str], *, sender: str, unsubscribe: str | None, locale: str) -> Rendered:
        """Fill a letter in.

        Raises:
            TemplateRefused: it does not come to an end, or asks for what is not there.
        """
        words = _UNSUBSCRIBE_WORDS.get(locale.partition("-")[0], _UNSUBSCRIBE_WORDS["en"])
        values = {**fields, "_sender": sender, "_unsubscribe": unsubscribe, "_unsubscribe_words": words}
        try:
            subject = " ".join(self.subject.render(**values).split(" ")).strip()
            rendered = Rendered(subject, str(self.html.render(**values)), self.text.render(**values).strip() + "\n")
        except LiquidError as error:
            raise TemplateRefused(f"{type(error).__name__}: {error}", pointer="/source") from None
        check_header(rendered.subject, "the subject")
        return rendered


def check_header(value: str, name: str) -> None:
    """Check that a value can stand in a header (RFC 5322, 2.2): one line, and not too long.

    Raises:
        TemplateRefused
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise TemplateRefused(f"{name} holds a line break or another control character", pointer="/source")
    if not value or len(value) > MOST_SUBJECT:
        raise TemplateRefused(f"{name} has 1 to {MOST_SUBJECT} characters, not {len(value)}", pointer="/source")


@lru_cache(maxsize=512)
def compile_source(source: str) -> Compiled:
    """Compile a source.

    Raises:
        TemplateRefused: it is not MJML and Liquid, lacks `<mj-title>`, or is too large.
    """
    if len(source.encode()) > MOST_SOURCE_BYTES:
        raise TemplateRefused(f"a source has at most {MOST_SOURCE_BYTES:,} bytes", pointer="/source")
    title = _TITLE.search(source)
    if title is None:
        raise TemplateRefused("it has no <mj-title>: that is the subject", pointer="/source")
    if "<mj-include" in source:
        raise TemplateRefused("it includes another file, which is not there", pointer="/source")
    whole = source if source.lstrip().startswith("<mjml") else _framed(title[1], source.replace(title[0], ""))
    reader = _Reader()
    reader.feed(whole)
    reader.close()
    try:
        compiled = mrml.to_html(whole).content
    except (OSError, ValueError, RuntimeError) as error:
        raise TemplateRefused(f"it is not MJML: {error}", pointer="/source") from None
    try:
        return Compiled(
            _PLAIN.from_string(html.unescape(title[1])),
            _HTML.from_string(compiled),
            _PLAIN.from_string(reader.text()),
        )
    except LiquidError as error:
        raise TemplateRefused(f"{type(error).__name__}: {error}", pointer="/source") from None


def _framed(title: str, content: str) -> str:
    return _FRAME.format(head=_HEAD.format(title=title), content=content, footer=_FOOTER)


class _Reader(HTMLParser):
    """Reads MJML as plain text: paragraphs as they are, links with where they lead."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._links: list[str] = []
        self._head = 0
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._depth += tag not in _VOID
        if self._depth > _DEEPEST:
            # The compiler goes down by recursion, and a stack that is used up ends the process.
            raise TemplateRefused(f"its elements are nested more than {_DEEPEST} deep", pointer="/source")
        if tag in ("mj-head", "mj-style"):
            self._head += 1
        elif tag in ("a", "mj-button"):
            self._links.append(dict(attrs).get("href") or "")
        elif tag in ("br", "p", "li", "h1", "h2", "h3", "tr"):
            self._parts.append("\n- " if tag == "li" else "\n")
        elif tag == "mj-text":
            self._parts.append("\n\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag == "br":
            self._parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._depth = max(0, self._depth - 1)
        if tag in ("mj-head", "mj-style"):
            self._head -= 1
        elif tag in ("a", "mj-button") and self._links:
            self._parts.append(f":\n{self._links.pop()}")
        elif tag in ("p", "ul", "ol", "h1", "h2", "h3"):
            self._parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._head == 0:
            before = "\n\n" if self._links and self.rawdata and self.lasttag == "mj-button" and data.strip() else ""
            self._parts.append(before + re.sub(r"\s+", " ", data) if data.strip() else "")

    def text(self) -> str:
        lines = [line.strip() for line in "".join(self._parts).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
