"""Rows of a file with their exact bytes: CSV or JSON in any encoding, plain or packed. Memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from streams.sources.files.archives import unpacked
from streams.sources.files.delimited import OnHeader, csv_rows
from streams.sources.files.documents import json_rows, parse_json
from streams.sources.files.encodings import one_byte_ends
from streams.sources.files.row import BrokenInput, InputRow
from streams.sources.files.shape import Shape

__all__ = ["BrokenInput", "InputRow", "OnHeader", "Shape", "parse_json", "read_rows"]


def read_rows(path: Path, shape: Shape, on_header: OnHeader = lambda _: None) -> Iterator[InputRow]:
    """Every row of a file, in file order; a bad row has an ``error`` and never ends the reading.

    ``on_header`` is told the names of the columns before the first row comes; it may refuse them.
    Raises ConfigError if the file is absent, is not what ``shape`` says or no text at all, and BrokenInput after the
    last row that can be read of a file that breaks off.
    """
    with unpacked(path, shape.member) as packed:
        read, encoding = one_byte_ends(packed, shape.encoding, path, always=shape.format != "csv")
        if shape.format == "csv":
            yield from csv_rows(read, replace(shape, encoding=encoding), path.name, on_header)
        else:
            yield from json_rows(read, shape, path.name)
