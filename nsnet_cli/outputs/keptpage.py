"""The report page of a folder of kept results, without looking at a video again."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from nsnet_cli.errors import KeptError
from nsnet_cli.outputs.exports.entries import Entry, find, read
from nsnet_cli.outputs.index import ReportWriter
from nsnet_cli.outputs.kept_results import read_kept
from nsnet_cli.progress import progress
from nsnet_cli.render import frame_scores
from nsnet_cli.types import VideoResult


def write_library(results: Path, directory: Path) -> int:
    """Writes the page of all results below a folder, and returns how many files were left out.

    Posters are those that `nsnet tag --report` wrote to the same directory. Raises NoInputError, OutputError.
    """
    paths, left_out = find(results, directory), 0
    page = ReportWriter(directory, refresh_s=math.inf)
    with progress("page", len(paths)) as bar:
        for entry in read(paths, results):
            if entry is None:
                left_out += 1
            else:
                page.add(_with_frames(entry), entry.source.path)
            bar.advance()
    page.close()
    return left_out


def _with_frames(entry: Entry) -> VideoResult:
    """The result with its preview frames, for the curve of saliency, if they were kept."""
    if entry.result.error is not None:
        return entry.result
    try:
        return replace(entry.result, frames=frame_scores(read_kept(entry.file)))
    except KeptError:
        return entry.result
