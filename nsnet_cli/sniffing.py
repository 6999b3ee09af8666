"""Tells what a file is by its name and its first bytes. Opens nothing."""

from __future__ import annotations

VIDEO_NAMES = frozenset(
    """.264 .265 .3g2 .3gp .amv .asf .avc .avi .dav .divx .dv .f4v .flv .gif .gxf .h264 .h265 .hevc .ivf .m1v .m2ts .m2v
    .m4v .mj2 .mjpeg .mjpg .mkv .mov .mp4 .mp4v .mpe .mpeg .mpg .mpv .mxf .nut .obu .ogm .ogv .qt .rm .rmvb .roq .vob
    .webm .wmv .wtv .y4m""".split()  # noqa: SIM905
)
"""Endings of videos. Not `.ts` and `.mts`, which are as often TypeScript: their content decides."""
OTHER_NAMES = frozenset(
    """.aac .aif .aiff .avif .bmp .flac .heic .heif .jpeg .jpg .m4a .m4b .m4p .mka .mp3 .mpa .nsnet .oga .opus .png .tif
    .tiff .wav .weba .webp .wma""".split()  # noqa: SIM905
)
"""Sound, stills and what nsnet keeps: skipped in folders even if their container could hold a video."""
SNIFF_BYTES = 1024

STILL_BRANDS = (b"avif", b"mif1", b"miaf", b"heic", b"heix", b"M4A ", b"M4B ", b"crx ")
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"pnot", b"styp", b"moof")


def sniff(head: bytes) -> str | None:
    """Returns the container of a file by its first bytes, or None. Stills and pure sound give None."""
    if head[4:8] == b"ftyp":
        return None if head[8:12] in STILL_BRANDS else "mp4"
    if head[4:8] in MP4_BOXES[1:] or (head[4:8] in (b"free", b"skip") and len(head) > 16):
        return "mp4"
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"AVIX", b"AMV "):
        return "avi"
    if head[:4] == b"OggS":
        return "ogg" if any(mark in head for mark in (b"\x80theora", b"BBCD\0", b"OVP80", b"\x01video\0")) else None
    for magic, name in PREFIXES:
        if head.startswith(magic):
            return name
    for start, step in ((0, 188), (4, 192), (0, 204)):  # MPEG-TS, M2TS, TS with error correction: sync byte per packet
        if len(head) >= start + 4 * step + 1 and all(head[start + step * i] == 0x47 for i in range(5)):
            return "mpegts"
    return None


PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"FLV\x01", "flv"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (b"\x00\x00\x01\xba", "mpeg-ps"),
    (b"\x00\x00\x01\xb3", "mpeg-video"),
    (b"DHAV", "dhav"),
    (b"DKIF", "ivf"),
    (b"YUV4MPEG2 ", "y4m"),
    (b".RMF", "rm"),
    (b"\x06\x0e+4\x02\x05\x01\x01\r\x01\x02\x01\x01", "mxf"),
    (b"nut/multimedia container\0", "nut"),
    (b"\xb7\xd8\x00 7I\xda\x11", "wtv"),
)
OTHER_PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"\xfd7zXZ", "xz data"),
    (b"(\xb5/\xfd", "zstd data"),
    (b"BZh", "bzip2 data"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"ID3", "an MP3 file"),
    (b"RIFF", "a RIFF file (sound or picture)"),
)


def describe(head: bytes) -> str | None:
    """Describes a file by its first bytes, for people: 'a video (mp4)', 'gzip data'. None if they are unknown."""
    video = sniff(head)
    if video is not None:
        return f"a video ({video})"
    return next((words for magic, words in OTHER_PREFIXES if head.startswith(magic)), None)
