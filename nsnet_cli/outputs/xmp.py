"""XMP sidecars: photo managers (digiKam, darktable, Lightroom, Bridge) read the certain tags as keywords.

nsnet's keywords are put into what is there, and taken out of it again. Two lists of our own say which are ours:
`nsnet:subject` for those in dc:subject, `nsnet:hierarchicalSubject` for those in lr:hierarchicalSubject.
"""

from __future__ import annotations

from collections.abc import Sequence

from nsnet_cli.outputs.keywords import ROOT, flat, paths, step
from nsnet_cli.outputs.rdf import LISTS, NAMESPACES, Node, Xmp, XmpError, escape, name
from nsnet_cli.types import VideoResult

TOOLKIT = "nsnet"
# The XMP standard fixes the id. The byte order mark says that the text is UTF-8.
NEW = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="{NAMESPACES["x"]}" x:xmptk="{TOOLKIT}">
 <rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}">
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""
FLAT, PATHS = "dc:subject", "lr:hierarchicalSubject"
RECORDS = {FLAT: "nsnet:subject", PATHS: "nsnet:hierarchicalSubject"}
EMPTY = ""
"""Stands in a record if the list was there, without keywords: then it stays when ours are taken out."""


def to_xmp(result: VideoResult) -> str:
    """The sidecar of one video (`clip.mp4.xmp`): each certain tag once as a keyword, best first."""
    return with_keywords(NEW.encode(), flat(result), paths(result)).decode()


def with_keywords(data: bytes, flat: Sequence[str], paths: Sequence[str]) -> bytes:
    """A sidecar with these keywords of nsnet's, and no others of them. All else stays. Raises XmpError."""
    xmp = Xmp(data)
    lists = {short: _List(xmp, short) for short in (*RECORDS, *RECORDS.values())}
    recorded = _recorded(xmp, lists)
    for short, wanted in ((FLAT, flat), (PATHS, paths)):
        here, record = lists[short], lists[RECORDS[short]]
        todo = step(here.words, recorded[short], wanted)
        marks = [EMPTY] if EMPTY in record.words or (here.properties and not here.words) else []
        after = [*marks, *todo.recorded] if todo.recorded else []
        here.change(todo.add, todo.remove, keep=bool(marks))
        record.change([w for w in after if w not in record.words], [w for w in record.words if w not in after])
    _tidy(xmp, list(lists.values()))
    changed = bytes(xmp)
    Xmp(changed)  # never write what cannot be read again
    return changed


def is_empty(data: bytes) -> bool:
    """Whether a sidecar was made by nsnet and says nothing more."""
    xmp = Xmp(data)
    empty = (not node.children and not _says(node) for node in xmp.descriptions)
    return xmp.toolkit == TOOLKIT and len(xmp.descriptions) == len(xmp.rdf.children) and all(empty)


def video_ending(data: bytes) -> str | None:
    """The ending of the file that a sidecar belongs to, if it says so, as Adobe's programs do: 'MOV'."""
    ending = name("photoshop:SidecarForExtension")
    for description in Xmp(data).descriptions:
        if ending in description.attributes:
            return description.attributes[ending] or None
        for child in description.find(ending):
            return child.text.strip() or None
    return None


class _List:
    """One list of keywords in a sidecar, wherever it is. Raises XmpError if it is none."""

    def __init__(self, xmp: Xmp, short: str) -> None:
        self._xmp, self.short = xmp, short
        self.new: list[str] = []
        """Keywords for which there is no list yet."""
        if any(name(short) in description.attributes for description in xmp.descriptions):
            raise XmpError(f"{short} is not a list")
        self.properties = [node for description in xmp.descriptions for node in description.find(name(short))]
        self._items = [(item.text, item) for node in self.properties for item in self._read(node)]
        self.words = [word for word, item in self._items if not item.children]
        self.gone: list[Node] = []
        """Properties of which nothing is left."""

    def _read(self, node: Node) -> list[Node]:
        if len(node.children) > 1 or node.text.strip() or node.attributes:
            raise XmpError(f"{self.short} is not a list")
        for child in node.children:
            if child.name not in LISTS:
                raise XmpError(f"{self.short} is not a list")
            return list(child.find(name("rdf:li")))
        return []

    def change(self, add: list[str], remove: list[str], keep: bool = False) -> None:
        """Takes out and puts in. A list that is empty then goes as a whole, unless `keep`."""
        left = list(self._items)
        leaving = []
        for word in remove:
            item = next(item for text, item in reversed(left) if text == word and not item.children)
            left.remove((word, item))
            leaving.append(item)
        whole = [node for node in self.properties if node.children and not add and not keep and leaving]
        self.gone = [n for n in whole if n.children[0].children and all(c in leaving for c in n.children[0].children)]
        within = {id(item) for node in self.gone for item in node.children[0].children}
        for item in leaving:
            if id(item) not in within:
                self._xmp.take_out(item)
        if add and self.properties:
            self._put(self.properties[0], add)
        else:
            self.new = add

    def _put(self, node: Node, words: list[str]) -> None:
        xmp = self._xmp
        if not node.children:
            whole = "".join(f"<rdf:li>{escape(word)}</rdf:li>" for word in words)
            declared = _declared(node.scope, ["rdf"])
            return xmp.put_inside(f"<rdf:Bag{declared}>{whole}</rdf:Bag>", node)
        container = node.children[0]
        prefix, colon, _ = xmp.tag(container).rpartition(":")
        items = [f"<{prefix}{colon}li>{escape(word)}</{prefix}{colon}li>" for word in words]
        last = container.children[-1] if container.children else None
        if last is None:
            xmp.put_inside("".join(items), container)
        else:
            xmp.put("".join(xmp.space(last) + item for item in items), last.end)


def _recorded(xmp: Xmp, lists: dict[str, _List]) -> dict[str, list[str]]:
    """The keywords that are nsnet's. Without a record, those below our own root are.

    Version 0.1 kept no record: in a file that it made, the flat keywords of these are ours too.
    """
    found = {short: [word for word in lists[RECORDS[short]].words if word != EMPTY] for short in RECORDS}
    if not any(lists[record].properties for record in RECORDS.values()):
        found[PATHS] = [word for word in lists[PATHS].words if word.startswith(f"{ROOT}|")]
        names = [word.rpartition("|")[2] for word in found[PATHS]]
        found[FLAT] = [word for word in names if word in lists[FLAT].words and xmp.toolkit == TOOLKIT]
    return found


def _tidy(xmp: Xmp, lists: list[_List]) -> None:
    """Takes out what is empty now, and makes a block for lists that are new."""
    gone = [node for each in lists for node in each.gone]
    for description in xmp.descriptions:
        leaving = [node for node in description.children if node in gone]
        if leaving and len(leaving) == len(description.children) and not _says(description):
            xmp.take_out(description)
        else:
            for node in leaving:
                xmp.take_out(node)
    new = {each.short: each.new for each in lists if each.new}
    if new:
        _put_block(xmp, new)


def _says(description: Node) -> bool:
    """Whether a block has properties as attributes."""
    return any(key not in (name("rdf:about"), "about") for key in description.attributes)


def _put_block(xmp: Xmp, new: dict[str, list[str]]) -> None:
    """Puts a block with these lists after the others."""
    last = xmp.rdf.children[-1] if xmp.rdf.children else None
    space = xmp.space(last) if last else "\n  "
    step = " " if "\n" in space else ""
    prefixes = ["rdf", *dict.fromkeys(short.partition(":")[0] for short in new)]
    about = next((a for d in xmp.descriptions for a in (_about(d),) if a is not None), "")
    lines = [(0, f"<rdf:Description{_declared(xmp.rdf.scope, prefixes, about)}>")]
    for short, words in new.items():
        lines += [(1, f"<{short}>"), (2, "<rdf:Bag>")]
        lines += [(3, f"<rdf:li>{escape(word)}</rdf:li>") for word in words]
        lines += [(2, "</rdf:Bag>"), (1, f"</{short}>")]
    lines.append((0, "</rdf:Description>"))
    block = "".join(space + step * depth + line for depth, line in lines)
    if last is not None:
        xmp.put(block, last.end)
    else:
        xmp.put_inside(block, xmp.rdf)


def _about(description: Node) -> str | None:
    return description.attributes.get(name("rdf:about"), description.attributes.get("about"))


def _declared(scope: dict[str, str], prefixes: list[str], about: str | None = None) -> str:
    """Attributes of a start tag: what the block is about, and the prefixes that mean something else or nothing here."""
    shown = "" if about is None else f' rdf:about="{escape(about)}"'
    return shown + "".join(f' xmlns:{p}="{NAMESPACES[p]}"' for p in prefixes if scope.get(p) != NAMESPACES[p])
