"""Texts of announcements: Markdown to HTML that is safe to show, and to plain text for inboxes, messages and letters."""

import nh3
from markdown_it import MarkdownIt

from api.engagement.notification.spreading.notices import MAX_BODY

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_TAGS = {
    *("a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s"),
    *("strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_BREAKS = frozenset(("softbreak", "hardbreak"))


def html_of(markdown: str) -> str:
    """Make HTML of Markdown; what the author wrote as HTML is shown as they wrote it, pictures are left out."""
    return nh3.clean(
        _MARKDOWN.render(markdown),
        tags=_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
    )


def plain_of(markdown: str) -> str:
    """Return what is read of Markdown, a line for each paragraph."""
    lines: list[str] = []
    for token in _MARKDOWN.parse(markdown):
        if token.type in ("fence", "code_block"):
            lines.append(token.content.rstrip("\n"))
        elif token.type == "inline":
            pieces = ("\n" if each.type in _BREAKS else each.content for each in token.children or ())
            lines.append("".join(pieces).strip())
    return "\n".join(line for line in lines if line)


def inbox_body(markdown: str) -> str:
    """Return as much of the plain text as an inbox shows."""
    body = plain_of(markdown)
    return body if len(body) <= MAX_BODY else body[: MAX_BODY - 1].rstrip() + "…"
