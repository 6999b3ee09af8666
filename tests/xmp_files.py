"""XMP sidecars as digiKam, darktable, Lightroom and exiftool write them, each different, and what exiftool reads."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
BEGIN, END = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n', '<?xpacket end="w"?>'
WORDS = ("holiday", "Anna", "cat", "Dog", "Grün & blau", "people", "北京", 'a "b" <c>', "animal", "beach", "été")


def items(words: Iterable[str], depth: int = 4) -> str:
    return "".join(f"\n{' ' * depth}<rdf:li>{escape(word)}</rdf:li>" for word in words)


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def words(rng: random.Random) -> list[str]:
    return rng.sample(WORDS, rng.randint(0, 5))


def array(name: str, found: list[str], kind: str = "Bag") -> str:
    if not found:
        return ""
    return f"   <{name}>\n    <rdf:{kind}>{items(found, 5)}\n    </rdf:{kind}>\n   </{name}>\n"


def hexes(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("0123456789abcdef", k=count))


def digikam(rng: random.Random) -> bytes:
    found, faces = words(rng), rng.randint(0, 3)
    regions = "".join(
        f'\n      <rdf:li>\n       <rdf:Description\n        mwg-rs:Name="{rng.choice(["Anna", "Jörg", "李"])}"\n'
        f'        mwg-rs:Type="Face">\n       <mwg-rs:Area\n        stArea:x="{rng.random():.6f}"\n'
        f'        stArea:y="{rng.random():.6f}"\n        stArea:w="0.1"\n        stArea:h="0.2"\n'
        f'        stArea:unit="normalized"/>\n       </rdf:Description>\n      </rdf:li>'
        for _ in range(faces)
    )
    people = (
        '   <mwg-rs:Regions rdf:parseType="Resource">\n    <mwg-rs:AppliedToDimensions\n     stDim:w="1920"\n'
        f'     stDim:h="1080"\n     stDim:unit="pixel"/>\n    <mwg-rs:RegionList>\n     <rdf:Bag>{regions}\n'
        "     </rdf:Bag>\n    </mwg-rs:RegionList>\n   </mwg-rs:Regions>\n"
    )
    nested = [f"{rng.choice(['Places', 'People'])}|{word}" for word in found] if rng.random() < 0.8 else []
    about = f"uuid:faf5bdd5-ba3d-11da-ad31-{hexes(rng, 12)}" if rng.random() < 0.3 else ""
    return (
        f'{BEGIN}<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">\n <rdf:RDF {RDF}>\n'
        f'  <rdf:Description rdf:about="{about}"\n    xmlns:digiKam="http://www.digikam.org/ns/1.0/"\n'
        '    xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n    xmlns:tiff="http://ns.adobe.com/tiff/1.0/"\n'
        '    xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/"\n'
        '    xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"\n'
        '    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"\n    xmlns:dc="http://purl.org/dc/elements/1.1/"\n'
        '    xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"\n'
        '    xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#"\n'
        '    xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"\n'
        f'   digiKam:PickLabel="{rng.randint(0, 3)}"\n   digiKam:ColorLabel="{rng.randint(0, 9)}"\n'
        f'   xmp:Rating="{rng.randint(0, 5)}"\n   xmp:Label="{rng.choice(["Red", "Größe"])}"\n'
        '   tiff:Software="digiKam-8.1.0"\n'
        '   acdsee:categories="&lt;Categories&gt;&lt;Category Assigned=&quot;1&quot;&gt;a&lt;/Category&gt;'
        '&lt;/Categories&gt;">\n'
        + array("digiKam:TagsList", [word.replace("|", "/") for word in nested or found], "Seq")
        + array("MicrosoftPhoto:LastKeywordXMP", found)
        + array("lr:hierarchicalSubject", nested)
        + (people if faces else "")
        + array("dc:subject", found, rng.choice(["Bag", "Seq"]))
        + f"  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n{(' ' * 99 + chr(10)) * rng.randint(0, 20)}{END}"
    ).encode()


def darktable(rng: random.Random) -> bytes:
    found = words(rng)
    history = "".join(
        f'\n     <rdf:li\n      darktable:num="{number}"\n      darktable:operation="{name}"\n'
        f'      darktable:enabled="1"\n      darktable:modversion="6"\n      darktable:params="{hexes(rng, 64)}"\n'
        f'      darktable:multi_name=""\n      darktable:multi_priority="0"\n      darktable:blendop_version="13"\n'
        f'      darktable:blendop_params="gz08eJx{hexes(rng, 30)}=="/>'
        for number, name in enumerate(rng.sample(["exposure", "crop", "lens", "denoise"], rng.randint(0, 4)))
    )
    nested = [f"darktable|{word}" for word in ("format|mp4", *found)] if rng.random() < 0.7 else []
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">\n'
        f' <rdf:RDF {RDF}>\n  <rdf:Description rdf:about=""\n    xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n'
        '    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"\n    xmlns:darktable="http://darktable.sf.net/"\n'
        '    xmlns:dc="http://purl.org/dc/elements/1.1/"\n    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"\n'
        f'   xmp:Rating="{rng.randint(-1, 5)}"\n   xmpMM:DerivedFrom="clip.mp4"\n'
        f'   darktable:import_timestamp="{rng.randint(10**17, 10**18)}"\n   darktable:xmp_version="5"\n'
        f'   darktable:raw_params="0"\n   darktable:history_end="{history.count("rdf:li")}"\n'
        f'   darktable:iop_order_version="4"\n   darktable:history_current_hash="{hexes(rng, 32)}">\n'
        "   <darktable:masks_history>\n    <rdf:Seq/>\n   </darktable:masks_history>\n"
        f"   <darktable:history>\n    <rdf:Seq>{history}\n    </rdf:Seq>\n   </darktable:history>\n"
        + array("darktable:colorlabels", [str(rng.randint(0, 4))], "Seq")
        + array("dc:subject", found, "Seq" if rng.random() < 0.2 else "Bag")
        + array("lr:hierarchicalSubject", nested)
        + "  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
    ).encode()


def lightroom(rng: random.Random) -> bytes:
    found = words(rng)
    curve = array("crs:ToneCurvePV2012", ["0, 0", f"{rng.randint(1, 254)}, {rng.randint(1, 254)}", "255, 255"], "Seq")
    title = f'<rdf:li xml:lang="x-default">{escape(rng.choice(WORDS))}</rdf:li>'
    text = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000 1.000000, 0000/00/00-00:00:00        ">\n'
        f' <rdf:RDF {RDF}>\n  <rdf:Description rdf:about=""\n    xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n'
        '    xmlns:dc="http://purl.org/dc/elements/1.1/"\n    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"\n'
        '    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"\n    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"\n'
        '    xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"\n'
        '    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"\n'
        f'   xmp:Rating="{rng.randint(0, 5)}"\n   xmp:Label="Blau"\n'
        f'   xmp:MetadataDate="2024-05-0{rng.randint(1, 9)}"\n'
        f'   photoshop:SidecarForExtension="MP4"\n   xmpMM:InstanceID="xmp.iid:{hexes(rng, 32)}"\n'
        f'   crs:Version="15.3"\n   crs:Exposure2012="+{rng.random():.2f}"\n   crs:HasSettings="True">\n'
        f"   <dc:title>\n    <rdf:Alt>\n     {title}\n    </rdf:Alt>\n   </dc:title>\n"
        + array("dc:subject", found)
        + array("lr:hierarchicalSubject", [f"Reise|{word}" for word in found])
        + '   <xmpMM:History>\n    <rdf:Seq>\n     <rdf:li\n      stEvt:action="saved"\n'
        f'      stEvt:instanceID="xmp.iid:{hexes(rng, 32)}"\n      stEvt:changed="/metadata"/>\n    </rdf:Seq>\n'
        f"   </xmpMM:History>\n{curve}  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
    )
    if rng.random() < 0.3:  # an older version: a packet, in several blocks, on Windows
        used = text[text.index("    xmlns:xmp=") : text.index("\n   xmp:Rating")]
        block = f'  </rdf:Description>\n  <rdf:Description rdf:about=""\n{used}>\n   <'
        for name in ("lr:hierarchicalSubject", "xmpMM:History"):
            text = text.replace(f"   <{name}", block + name)
        text = BEGIN + text + END
        text = text.replace("\n", "\r\n")
        return text.encode(rng.choice(["utf-8", "utf-8-sig", "utf-16"]))
    return text.encode()


LAYOUTS: dict[str, Callable[[random.Random], bytes]] = {
    "digikam": digikam, "darktable": darktable, "lightroom": lightroom, "exiftool": digikam,
}  # fmt: skip
COMPACT = ("", "OneDesc", "Shorthand", "NoIndent,NoNewline", "NoPadding", "OneDesc,Shorthand,NoIndent")


def make_sidecars(folder: Path, writer: str, count: int) -> list[Path]:
    """Writes `clip-0.mp4.xmp` and so on, all different. Those of exiftool are written by exiftool itself."""
    rng = random.Random(writer)
    made = []
    for number in range(count):
        path = folder / f"{number % len(COMPACT)}" / f"clip-{number}.mp4.xmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(LAYOUTS[writer](rng))
        made.append(path)
    for number, compact in enumerate(COMPACT if writer == "exiftool" else ()):
        if (folder / str(number)).exists():
            options = ["-api", f"Compact={compact}", "-overwrite_original", "-XMP-xmp:Nickname=x"]
            subprocess.run(["exiftool", "-q", "-q", *options, str(folder / str(number))], check=True)
    return made


def meaning(folder: Path) -> dict[str, dict[str, Any]]:
    """What exiftool reads from each sidecar below a folder: path -> tags, without those about the file itself."""
    command = ["exiftool", "-j", "-G1", "-struct", "-q", "-a", "-r", "-ext", "xmp", str(folder)]
    read = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    about = ("SourceFile", "System:", "File:", "ExifTool:")
    return {row["SourceFile"]: {k: v for k, v in row.items() if not k.startswith(about)} for row in read}
