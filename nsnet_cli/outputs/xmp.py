"""XMP sidecars: photo managers (digiKam, darktable, Lightroom, Bridge) read the certain tags as keywords."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from nsnet_cli.outputs.shown import certain
from nsnet_cli.text import harmless
from nsnet_cli.types import VideoResult

ROOT = "nsnet"
"""Root of the hierarchical keywords, which keeps them apart from those that people gave."""
NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
}


def to_xmp(result: VideoResult) -> str:
    """The sidecar of one video (`clip.mp4.xmp`): each certain tag once as a keyword, best first."""
    for prefix, uri in NAMESPACES.items():
        ET.register_namespace(prefix, uri)
    names = list(dict.fromkeys(_text(tag.name) for tag in certain(result)))
    meta = ET.Element(_name("x:xmpmeta"), {_name("x:xmptk"): "nsnet"})
    description = ET.SubElement(
        ET.SubElement(meta, _name("rdf:RDF")), _name("rdf:Description"), {_name("rdf:about"): ""}
    )
    _bag(description, "dc:subject", names)
    # A '|' separates the levels, so a name must not hold one.
    _bag(description, "lr:hierarchicalSubject", [f"{ROOT}|{name.replace('|', '/')}" for name in names])
    ET.indent(meta, " ")
    body = ET.tostring(meta, encoding="unicode")
    # The XMP standard fixes the id. The byte order mark says that the text is UTF-8.
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{body}\n<?xpacket end="w"?>\n'


def _bag(parent: ET.Element, name: str, items: list[str]) -> None:
    """Adds a list, unless it is empty: readers take an empty list for an empty keyword."""
    if not items:
        return
    bag = ET.SubElement(ET.SubElement(parent, _name(name)), _name("rdf:Bag"))
    for item in items:
        ET.SubElement(bag, _name("rdf:li")).text = item


def _name(short: str) -> str:
    prefix, local = short.split(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def _text(name: str) -> str:
    """XML 1.0 allows neither control characters nor non-characters, not even escaped."""
    return "".join("\N{REPLACEMENT CHARACTER}" if c in "\ufffe\uffff" else c for c in harmless(name))
