"""Texts: Markdown (CommonMark 0.31, tables, strikethrough, TeX formulas) to sanitized HTML.

A link or a picture may name a file of the platform by `asset:<id>`; in the HTML it has the address of its content.
"""

import asyncio
import re
from typing import Any
from uuid import UUID

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from mdit_py_plugins.dollarmath import dollarmath_plugin

RENDERER = 2
"""Count this up when the rendering or the sanitizing changes: a text is rendered again when it is read with an older number."""

_TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "cite", "code", "dd", "del", "details", "dfn", "div", "dl", "dt", "em",
    "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p", "pre",
    "q", "s", "samp", "small", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "u",
    "ul", "var",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"lang", "dir", "title"},
    "a": {"href"},
    "code": {"class"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align", "scope"},
}
_CLASSES = {"span": {"math", "inline"}, "div": {"math", "block"}}
_SCHEMES = {"http", "https", "mailto", "tel"}
_LANGUAGE = re.compile(r"language-[\w+#.-]{1,40}")
_OFF_THE_LOOP_BYTES = 4_000
_FILE_SCHEME = "asset:"
_FILE = re.compile(_FILE_SCHEME + r"([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})", re.ASCII)
_NAMING = {"link_open": "href", "image": "src"}
"""Tokens that name a file, and where."""


def _name_files(state: StateCore) -> None:
    """Give links and pictures that name files their addresses, and collect the files in `env["files"]`."""
    if not names_files(state.src):
        return
    files: set[UUID] = state.env.setdefault("files", set())
    for token in (inline for block in state.tokens for inline in block.children or ()):
        attribute = _NAMING.get(token.type, "")
        found = _FILE.fullmatch(str(token.attrGet(attribute)))
        if found is not None:
            file_id = UUID(found[1])
            files.add(file_id)
            token.attrSet(attribute, f"/v1/assets/{file_id}/content")


_markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).use(dollarmath_plugin)
_markdown.core.ruler.push("name_files", _name_files)


async def render(markdown: str) -> str:
    """Make HTML that is safe to show to others, whatever the author wrote. Long texts are made in a thread."""
    if len(markdown) < _OFF_THE_LOOP_BYTES:
        return render_now(markdown)
    return await asyncio.to_thread(render_now, markdown)


async def current(html: str | None, renderer: int, markdown: str | None) -> str | None:
    """Return the HTML of a text: as it was kept, or made again when an older renderer had made it."""
    if html is None or markdown is None or renderer == RENDERER:
        return html
    return await render(markdown)


def render_now(markdown: str) -> str:
    """Make the HTML in this thread.

    Markdown lets HTML through, so safety is the sanitizer's alone: it parses as browsers do (HTML5) and keeps an allow-list.
    """
    return nh3.clean(
        _markdown.render(markdown),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        attribute_filter=_keep,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def names_files(markdown: str) -> bool:
    """Tell cheaply whether a text may name files."""
    return _FILE_SCHEME in markdown


def files_in(markdown: str) -> set[UUID]:
    """Return the files that the HTML of this text refers to."""
    if not names_files(markdown):
        return set()
    env: dict[str, Any] = {}
    _markdown.parse(markdown, env)
    return env["files"]


def _keep(tag: str, attribute: str, value: str) -> str | None:
    """Of the classes of code, keep the one that names its language."""
    if tag == "code" and attribute == "class" and _LANGUAGE.fullmatch(value) is None:
        return None
    return value
