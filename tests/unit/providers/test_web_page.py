"""HTML as text."""

import time

import pytest

from providers.web.page import text_of_html

PAGE = """<!DOCTYPE html><html><head><title>The &amp; page</title><style>p { color: red }</style>
<script>if (a < b) alert("<p>no</p>")</script></head>
<body><h1>Rivers</h1><!-- <p>hidden</p> --><p>The <b>Rhone</b>
   flows to <a href="/sea?a=1&amp;b=2">the sea</a>.</p>
<ul><li>Arve<li>Saone</ul><pre>  a
    b</pre><table><tr><td>1</td><td>2</td></tr></table>
<a href="javascript:alert(1)">press</a><img src=x alt="A boat"> 1 < 2</body></html>"""

TEXT = """Title: The & page

# Rivers

The Rhone flows to the sea <https://example.org/sea?a=1&b=2>.

- Arve
- Saone

  a
    b

| 1 | 2

pressA boat 1 < 2"""


def test_a_page_reads_as_headings_words_lists_and_links() -> None:
    assert text_of_html(PAGE, "https://example.org/x/y") == TEXT


HOSTILE = (
    *("<!--", "<![CDATA[", "<", "<a ", "<a b='", '<a b="', "</a ", "</", "<!", "<?", "<div>", "<title>"),
    *("<script>", "<pre>", "&", "&#x", "<a href=", "a=", "\n ", " \t"),
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_page_is_read_once(piece: str) -> None:
    began = time.process_time()
    text_of_html("<p " + piece * (200_000 // len(piece)), "https://example.org")
    text_of_html(piece * (200_000 // len(piece)), "https://example.org")
    assert time.process_time() - began < 1
