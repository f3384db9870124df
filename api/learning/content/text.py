"""Texts: Markdown (CommonMark 0.31, tables, strikethrough, TeX formulas) to sanitized HTML."""

import asyncio
import re

import nh3
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

RENDERER = 1
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

_markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).use(dollarmath_plugin)


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


def _keep(tag: str, attribute: str, value: str) -> str | None:
    """Of the classes of code, keep the one that names its language."""
    if tag == "code" and attribute == "class" and _LANGUAGE.fullmatch(value) is None:
        return None
    return value
