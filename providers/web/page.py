"""HTML as text that a model can read: headings, lists, links and words, in one pass over the page.

The scanner is our own because the standard library's needs quadratic time on hostile pages; here whatever is
left unclosed ends the page, so every character is looked at once.
"""

import re
from html import unescape
from urllib.parse import urljoin

_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)((?:[^>"']++|"[^"]*+"|'[^']*+')*+)>""")
_ATTRIBUTE = re.compile(r"""(?<![a-zA-Z-])([a-zA-Z-]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))""")
_SPACES = re.compile(r"[ \t\r\f\n\xa0]++")
_EMPTY_LINES = re.compile(r"\n{3,}")

_RAW = frozenset({"script", "style", "textarea", "title", "iframe", "noembed", "noframes", "xmp"})
_UNSEEN = frozenset({"script", "style", "iframe", "noembed", "noframes"})
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl", "dt"),
        *("fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "main", "nav", "ol"),
        *("p", "pre", "section", "summary", "table", "tbody", "thead", "tr", "ul"),
    )
)
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_LONGEST_LINK = 500


def text_of_html(html: str, url: str) -> str:
    """The page's text; links stand with their address, seen from `url`."""
    page = _Page(url)
    at = 0
    while at < len(html):
        start = html.find("<", at)
        if start < 0:
            page.words(html[at:])
            break
        page.words(html[at:start])
        if html.startswith("<!--", start):
            at = _after(html, "-->", start + 4)
        elif html.startswith(("<!", "<?"), start):
            at = _after(html, ">", start + 2)
        elif not html[start + 1 : start + 3].lstrip("/")[:1].isalpha():
            page.words("<")
            at = start + 1
        else:
            at = _tag(page, html, start)
    return page.text()


def _after(html: str, mark: str, start: int) -> int:
    end = html.find(mark, start)
    return len(html) if end < 0 else end + len(mark)


def _tag(page: "_Page", html: str, start: int) -> int:
    found = _TAG.match(html, start)
    if found is None:
        return len(html)
    name = found[2].lower()
    if found[1]:
        page.close(name)
        return found.end()
    page.open(name, found[3])
    if name not in _RAW:
        return found.end()
    end = re.compile(f"</{name}", re.IGNORECASE).search(html, found.end())
    stop = end.start() if end else len(html)
    if name not in _UNSEEN:
        page.words(html[found.end() : stop])
    return stop


class _Page:
    """What was read so far."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._out: list[str] = []
        self._links: list[str] = []
        self._pre = 0

    def words(self, raw: str) -> None:
        if raw:
            words = unescape(raw)
            self._out.append(words if self._pre else _SPACES.sub(" ", words))

    def open(self, name: str, attributes: str) -> None:
        if name == "br":
            self._out.append("\n")
        elif name == "li":
            self._out.append("\n- ")
        elif name in ("td", "th"):
            self._out.append(" | ")
        elif name in _HEADINGS:
            self._out.append(f"\n\n{_HEADINGS[name]} ")
        elif name == "title":
            self._out.append("\n\nTitle: ")
        elif name in _BLOCKS:
            self._out.append("\n\n")
            self._pre += name == "pre"
        elif name == "a":
            self._links.append(self._address(_value(attributes, "href")))
        elif name == "img":
            self.words(_value(attributes, "alt"))

    def close(self, name: str) -> None:
        if name == "a" and self._links:
            address = self._links.pop()
            if address:
                self._out.append(f" <{address}>")
        elif name in _BLOCKS or name in _HEADINGS or name == "title":
            self._out.append("\n\n")
            if name == "pre":
                self._pre = max(0, self._pre - 1)

    def text(self) -> str:
        lines = "".join(self._out).split("\n")
        whole = "\n".join(line.rstrip() if line[:2] == "  " else line.strip() for line in lines)
        return _EMPTY_LINES.sub("\n\n", whole).strip("\n")

    def _address(self, href: str) -> str:
        if not href or href.startswith("#"):
            return ""
        try:
            address = urljoin(self._url, href.strip())
        except ValueError:
            return ""
        fits = address.startswith(("http://", "https://")) and len(address) <= _LONGEST_LINK
        return address if fits else ""


def _value(attributes: str, wanted: str) -> str:
    for found in _ATTRIBUTE.finditer(attributes):
        if found[1].lower() == wanted:
            return unescape(next((part for part in found.groups()[1:] if part is not None), ""))
    return ""
