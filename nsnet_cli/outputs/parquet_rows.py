"""Rows of results as Parquet: one row per video, with the fields of JSON, tags and their spans nested.

What is free in JSON is text here, as JSON: `columns` (from a manifest) and `shown`. Bytes of names that are not UTF-8
are escaped, as in `\\xff`. pyarrow is imported only when it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from nsnet_cli.manifests import import_parquet
from nsnet_cli.media import VideoInfo
from nsnet_cli.outputs.owner import NOTE
from nsnet_cli.text import json_text
from nsnet_cli.types import Cost, ErrorInfo, Evidence, ModelInfo, SalientFrame, SamplingInfo, Span, Timings

AS_TEXT = ("shown", "columns")
"""Fields that hold any JSON."""
GROUP_ROWS = 4096
MARK = {b"nsnet": NOTE.encode()}


def check_package() -> None:
    """Raises UsageError if Parquet cannot be written here."""
    import_parquet("--format parquet")


def schema() -> Any:
    """The columns of a file of rows: those of `jsonlines.to_dict`, in its order."""
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int64()

    def struct(kind: type, *left_out: str) -> Any:
        kinds = {"str": text, "float": number, "int": whole, "bool": pa.bool_()}
        named = [field for field in fields(kind) if field.name not in left_out]  # type: ignore[arg-type]
        return pa.struct([(field.name, kinds[str(field.type).removesuffix(" | None")]) for field in named])

    tag = pa.struct([
        ("id", text),
        ("name", text),
        ("score", number),
        ("probability", number),
        ("certain", pa.bool_()),
        ("parents", pa.list_(text)),
        ("spans", pa.list_(struct(Span))),
        ("evidence", pa.list_(struct(Evidence))),
    ])  # fmt: skip
    columns = [
        ("schema_version", whole),
        ("path", text),
        ("status", text),
        ("duration_s", number),
        ("tags", pa.list_(tag)),
        ("perhaps", tag),
        ("precision", number),
        ("salient_frames", pa.list_(struct(SalientFrame))),
        ("sampling", struct(SamplingInfo)),
        ("model", struct(ModelInfo)),
        ("cost", struct(Cost)),
        ("timings", struct(Timings)),
        ("error", struct(ErrorInfo)),
        ("video", struct(VideoInfo, "path", "duration_s")),
        ("source", text),
        ("source_size_bytes", whole),
        ("source_mtime_ns", whole),
        ("source_etag", text),
        ("fingerprint", text),
        ("shown", text),
        ("columns", text),
    ]
    return pa.schema(columns, metadata=MARK)


def to_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A whole file of some rows, as `jsonlines.to_dict` makes them."""
    import pyarrow as pa

    out = pa.BufferOutputStream()
    with open_writer(out) as writer:
        writer.write_table(table(rows))
    return out.getvalue().to_pybytes()  # type: ignore[no-any-return]


def open_writer(target: Any) -> Any:
    """A pyarrow ParquetWriter for rows, to a path or a stream."""
    return import_parquet("Parquet").ParquetWriter(target, schema(), compression="zstd")


def table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as a pyarrow Table."""
    import pyarrow as pa

    plain = [{**row, **_texts(row)} for row in rows]
    try:
        return pa.Table.from_pylist(plain, schema())
    except UnicodeEncodeError:  # bytes that are not UTF-8, which are rare
        return pa.Table.from_pylist([_utf8(row) for row in plain], schema())


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a file as they are in JSON. Raises ValueError if it is none of nsnet's, and OSError."""
    with open_file(path) as file:
        for batch in file.iter_batches(GROUP_ROWS):
            for row in batch.to_pylist():
                for name in AS_TEXT:
                    text = row.pop(name, None)
                    if text is not None:
                        row[name] = json.loads(text)
                for seen in _evidence(row):
                    if seen["start_s"] is None:  # of a frame, which JSON gives no such fields
                        del seen["start_s"], seen["end_s"]
                yield {name: value for name, value in row.items() if value is not None or not name.startswith("source")}


def read_columns(path: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Some fields of all rows of a file. Raises ValueError if it is none of nsnet's, and OSError."""
    with open_file(path) as file:
        return file.read(list(names)).to_pylist()  # type: ignore[no-any-return]


def open_file(path: Path) -> Any:
    """A pyarrow ParquetFile. Raises ValueError if it is none of nsnet's, and OSError."""
    import pyarrow as pa

    try:
        file = import_parquet(str(path)).ParquetFile(path)
    except pa.ArrowException as error:
        raise ValueError(f"it is torn, or not Parquet: {str(error).splitlines()[0]}") from error
    if (file.schema_arrow.metadata or {}).get(b"nsnet") != NOTE.encode():
        file.close()
        raise ValueError("it was not written by nsnet")
    return file


def utf8(text: str) -> str:
    """The text itself; bytes of a file name that are not UTF-8 become escapes, as in `\\xff`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _evidence(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All that may have been a clip."""
    yield from row["salient_frames"] or ()
    for tag in [*(row["tags"] or ()), *([row["perhaps"]] if row["perhaps"] else ())]:
        yield from tag["evidence"] or ()


def _texts(row: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: None if row.get(name) is None else json_text(row[name]) for name in AS_TEXT}


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, dict):
        return {key: _utf8(inner) for key, inner in value.items()}
    return [_utf8(inner) for inner in value] if isinstance(value, list) else value
