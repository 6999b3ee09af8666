"""XMP as a tree that knows where each element is in the text, so that an edit leaves every other byte as it is.

Libraries that read XMP and write it anew change layout, prefixes, comments or padding; some lose what they do not know.
Here, nothing is written anew: an edit is a piece of text that is put in or taken out.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "nsnet": "nsnet:ns:keywords/1.0/",
}
MOST_BYTES = 16 << 20
MOST_DEPTH = 100
MOST_ELEMENTS = 500_000
START_TAG = re.compile(rb"<([^\s/>]++)(?:[^>\"']|\"[^\"]*+\"|'[^']*+')*+>")
DECLARED = re.compile(r"<\?xml[^>]*?\sencoding\s*=\s*[\"']([\w.-]+)[\"']")
ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "ascii", "iso8859-1", "cp1252")
MARKED = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
"""Byte order marks and what they mean."""


class XmpError(ValueError):
    """Why a file is not XMP that can be edited, in a few words."""


def name(short: str) -> str:
    """'dc:subject' as names are in the tree: namespace, space, local name."""
    prefix, local = short.split(":")
    return f"{NAMESPACES[prefix]} {local}"


LISTS = (name("rdf:Bag"), name("rdf:Seq"), name("rdf:Alt"))


@dataclass(slots=True, eq=False)
class Node:
    """One element. The places are offsets in the text, in bytes of UTF-8."""

    name: str
    attributes: dict[str, str]
    scope: dict[str, str]
    """The namespace of each prefix that may be used inside."""
    start: int
    inner: int
    """Where the start tag ends."""
    inner_end: int = 0
    end: int = 0
    children: list[Node] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def is_closed(self) -> bool:
        """Whether the element is a single tag, `<a/>`."""
        return self.inner == self.end

    def find(self, *names: str) -> Iterator[Node]:
        return (child for child in self.children if child.name in names)


class Xmp:
    """A parsed file, and the edits to make in it. Raises XmpError if it is not XMP, or is hostile."""

    def __init__(self, data: bytes) -> None:
        self._mark, self._encoding = _encoding(data)
        try:
            text = data[len(self._mark) :].decode(self._encoding)
        except UnicodeDecodeError:
            raise XmpError(f"its text is not {self._encoding}") from None
        if self._encode(text) != data:
            raise XmpError(f"its text is not plain {self._encoding}")
        if "\0" in text:
            raise XmpError("it has zero bytes in its text")
        self._utf8 = text.encode("utf-8")
        self._edits: list[tuple[int, int, str]] = []
        root = _parse(self._utf8)
        found = [root] if root.name == name("rdf:RDF") else list(root.find(name("rdf:RDF")))
        if len(found) != 1:
            raise XmpError("it is not XMP: it has no rdf:RDF" if not found else "it has several rdf:RDF")
        self.rdf = found[0]
        self.toolkit = root.attributes.get(name("x:xmptk"), "")
        """The program that wrote the file, as it says."""
        self.descriptions = list(self.rdf.find(name("rdf:Description")))

    def __bytes__(self) -> bytes:
        """The file with all edits."""
        pieces, at = [], 0
        for start, end, text in sorted(self._edits, key=lambda edit: edit[:2]):
            pieces += [self._utf8[at:start], text.encode("utf-8")]
            at = end
        return self._encode(b"".join([*pieces, self._utf8[at:]]).decode("utf-8"))

    def put(self, text: str, at: int) -> None:
        self._edits.append((at, at, text))

    def put_inside(self, text: str, node: Node) -> None:
        """Puts the first text into an element, which may be a single tag."""
        if not node.is_closed:
            return self.put(text, node.inner)
        slash = self._utf8.rindex(b"/", node.start, node.end)
        self._edits.append((slash, node.end, f">{text}</{self.tag(node)}>"))

    def take_out(self, node: Node) -> None:
        """Removes an element and the space before it."""
        self._edits.append((node.start - len(self.space(node)), node.end, ""))

    def space(self, node: Node) -> str:
        """The white space before an element."""
        before = self._utf8[max(node.start - 1000, 0) : node.start]
        return before[len(before.rstrip(b" \t\r\n")) :].decode()

    def tag(self, node: Node) -> str:
        """The name of an element as it is spelled in the file."""
        found = START_TAG.match(self._utf8, node.start)
        assert found
        return found[1].decode("utf-8")

    def _encode(self, text: str) -> bytes:
        return self._mark + text.encode(self._encoding, "xmlcharrefreplace")


def escape(text: str) -> str:
    """Text as it stands in an element or an attribute."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return re.sub(r"[\t\r\n]", lambda found: f"&#{ord(found[0])};", escaped)


def _encoding(data: bytes) -> tuple[bytes, str]:
    """The byte order mark, which may be empty, and the encoding."""
    for mark, encoding in MARKED:
        if data.startswith(mark):
            return mark, encoding
    if data[:2] in (b"<\0", b"\0<"):
        return b"", "utf-16-le" if data[:1] == b"<" else "utf-16-be"
    declared = DECLARED.match(data[:200].decode("latin-1"))
    if not declared:
        return b"", "utf-8"
    try:
        encoding = codecs.lookup(declared[1]).name
    except LookupError:
        encoding = declared[1]
    if encoding not in ENCODINGS or encoding.startswith("utf-16"):  # UTF-16 would have shown in the first bytes
        raise XmpError(f"its encoding is {declared[1]}")
    return b"", encoding


class _Builder:
    """Makes the tree out of what the parser finds."""

    def __init__(self, data: bytes, parser: expat.XMLParserType) -> None:
        self._data, self._parser = data, parser
        self._open: list[Node] = []
        self._count = 0
        self._declared: dict[str, str] = {}
        self.root: Node | None = None

    def namespace(self, prefix: str | None, uri: str | None) -> None:
        self._declared[prefix or ""] = uri or ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS:
            raise XmpError(f"it has more than {MOST_ELEMENTS} elements")
        if len(self._open) >= MOST_DEPTH:
            raise XmpError(f"its elements are nested more than {MOST_DEPTH} deep")
        at = self._parser.CurrentByteIndex
        tag = START_TAG.match(self._data, at)
        if tag is None:
            raise XmpError("its tags cannot be found")
        above = self._open[-1].scope if self._open else {}
        node = Node(name, attributes, above | self._declared if self._declared else above, at, tag.end())
        self._declared = {}
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def end(self, name: str) -> None:
        node = self._open.pop()
        if self._data[node.inner - 2 : node.inner] == b"/>":
            node.inner_end = node.end = node.inner
        else:
            node.inner_end = self._parser.CurrentByteIndex
            node.end = self._data.index(b">", node.inner_end) + 1

    def text(self, piece: str) -> None:
        self._open[-1].pieces.append(piece)

    def refuse(self, *args: object) -> None:
        raise XmpError("it has a document type, which XMP does not allow")


def _parse(data: bytes) -> Node:
    parser = expat.ParserCreate("utf-8", " ")
    builder = _Builder(data, parser)
    parser.buffer_text = True
    parser.StartNamespaceDeclHandler = builder.namespace
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse  # so there are no entities, and nothing is fetched
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise XmpError(f"it cannot be parsed: {error}") from None
    assert builder.root is not None
    return builder.root
