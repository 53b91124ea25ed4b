"""Archives and texts of any size: rows up to where they break, one sentence, and bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.errors import ConfigError
from streams.cli.main import build_app
from streams.sources.files import BrokenInput, Shape, read_rows
from tests.cases.files import outcome, refused, zstd

CONTACTS = """
name: m
input: {format: %s}
customer: "{who}"
events:
  - to: contact
    time: {field: at}
    fields: {contact_id: "{who}", channel: web}
"""
HEADER = b"who,at\n"


def csv_rows(rows: int) -> bytes:
    """Rows that do not compress well, so that an archive has many blocks."""
    noise = [zlib.crc32(b"%d" % number) for number in range(rows)]
    return b"who,at\n" + b"".join(b"c-%d,2026-03-02T10:00:%02dZ\n" % (one, one % 60) for one in noise)


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


CHECKED: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": lambda rows: bz2.compress(rows, 1),
    "xz": lambda rows: lzma.compress(rows, preset=0),
    "zst": lambda rows: zstd.compress(rows, options=CHECKED),
    "zip": lambda rows: zipped({"rows.csv": rows}),
}


def count(content: bytes, folder: Path, shape: Shape | None = None) -> tuple[int, str]:
    """How many good rows a file has, and the sentence with which it breaks off."""
    file, good = folder / "rows", 0
    file.write_bytes(content)
    try:
        for row in read_rows(file, shape or Shape()):
            good += row.error is None
    except BrokenInput as error:
        return good, str(error)
    return good, ""


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz", "zst"])
def test_an_archive_that_was_cut_off_gives_the_rows_before(packing: str, tmp_path: Path) -> None:
    rows = csv_rows(30_000)
    packed = PACKINGS[packing](rows)
    assert count(packed, tmp_path) == (30_000, "")
    good, sentence = count(packed[: len(packed) * 3 // 4], tmp_path)
    assert 3_000 < good < 30_000
    assert sentence == (
        "rows: cannot be read to its end: it ends in the middle: it was cut off while it was written or sent. "
        "Rows before that place were read."
    )
    assert count(packed + PACKINGS[packing](rows[len(HEADER) :]), tmp_path) == (60_000, "")


@pytest.mark.parametrize("packing", list(PACKINGS))
def test_a_damaged_archive_says_so(packing: str, tmp_path: Path) -> None:
    packed = bytearray(PACKINGS[packing](csv_rows(30_000)))
    packed[len(packed) * 3 // 4] ^= 0x55
    good, sentence = count(bytes(packed), tmp_path)
    assert sentence.startswith("rows: cannot be read to its end: it is damaged")
    assert good > 3_000


@pytest.mark.parametrize("packing", list(PACKINGS))
@pytest.mark.parametrize("inner", list(PACKINGS))
def test_an_archive_in_an_archive_is_refused(packing: str, inner: str, tmp_path: Path) -> None:
    error = refused(CONTACTS % "csv", PACKINGS[packing](PACKINGS[inner](csv_rows(10))), tmp_path)
    assert error.endswith("unpack it once, and give the file inside.")


def test_a_zip_of_several_files_asks_for_one(tmp_path: Path) -> None:
    packed = zipped({"out/orders.csv": b"x\n1\n", "out/contacts.csv": csv_rows(3), "__MACOSX/out/._x": b"\0"})
    error = refused(CONTACTS % "csv", packed, tmp_path)
    assert error.endswith(
        "/rows: it holds 2 files. Name one by --member or input.member: out/contacts.csv, out/orders.csv."
    )
    for member in ("out/contacts.csv", "contacts.csv", "'*/con*.csv'"):
        assert outcome(CONTACTS % f"csv, member: {member}", packed, tmp_path).counts.rows == 3
    assert "2 of its files match '*.csv'" in refused(CONTACTS % "csv, member: '*.csv'", packed, tmp_path)
    assert "none of its files is 'x'" in refused(CONTACTS % "csv, member: x", packed, tmp_path)
    assert "is no zip, so it has no file x" in refused(CONTACTS % "csv, member: x", csv_rows(3), tmp_path)
    assert "it holds 0 files" in refused(CONTACTS % "csv", zipped({"a/": b"", "a/.DS_Store": b"x"}), tmp_path)
    assert "is an empty zip" in refused(CONTACTS % "csv", zipped({}), tmp_path)


def test_an_encrypted_file_in_a_zip_is_named(tmp_path: Path) -> None:
    packed = bytearray(zipped({"rows.csv": csv_rows(3)}))
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    error = refused(CONTACTS % "csv", bytes(packed), tmp_path)
    assert error.endswith("rows.csv in it is encrypted: unpack it with its password first.")


def directory_of(count: int) -> bytes:
    """A zip of one file whose directory names it many times."""
    packed = zipped({"rows.csv": csv_rows(3)})
    start, end = packed.index(b"PK\x01\x02"), packed.index(b"PK\x05\x06")
    entries = packed[start:end] * count
    return packed[:start] + entries + packed[end : end + 12] + len(entries).to_bytes(4, "little") + packed[end + 16 :]


def greedy_xz(content: bytes) -> bytes:
    """An xz that asks for a dictionary of 4 GiB."""
    packed = bytearray(lzma.compress(content))
    header = packed[12 : 12 + (packed[12] + 1) * 4 - 4]
    header[header.index(b"\x21\x01") + 2] = 40
    packed[12 : 12 + len(header) + 4] = header + zlib.crc32(header).to_bytes(4, "little")
    return bytes(packed)


def greedy_zst(content: bytes) -> bytes:
    """A zstd frame, not packed, that asks for a window of 2 GiB."""
    return b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + (len(content) << 3 | 1).to_bytes(3, "little") + content


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (directory_of(1_000_000), "it holds more than ten thousand files; give a zip with one file in it"),
        (greedy_xz(csv_rows(3)), "it wants more than 128 MiB of memory to unpack"),
        (greedy_zst(csv_rows(3)), "it wants more than 128 MiB of memory to unpack"),
    ],
)
def test_archives_that_ask_for_too_much_are_refused(packed: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(packed)
    with pytest.raises(ConfigError, match=why):
        list(read_rows(tmp_path / "rows", Shape()))


CHILD = """
import resource, sys
from pathlib import Path
import yaml
from streams.sources import parse_mapping, read
from schemas.errors import CxError

for argument in sys.argv[2:]:
    form, _, name = argument.rpartition("=")
    reading = read(parse_mapping(yaml.safe_load(sys.argv[1] % form)), Path(name))
    end = ""
    try:
        size = sum(len(arrival.value) for arrival in reading.arrivals())
    except CxError as error:
        end = type(error).__name__
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "linux" else 1024**2)
    print(name, reading.tally.rows, reading.tally.rejected, end or len(reading.broken), mebibytes, sep="|")
"""


def in_a_child(folder: Path, files: dict[str, tuple[str, bytes]]) -> dict[str, tuple[str, int]]:
    """Rows, rejects and end of each file, and the most memory, MiB, that a process took up to it."""
    for name, (_, content) in files.items():
        (folder / name).write_bytes(content)
    arguments = [f"{form}={name}" for name, (form, _) in files.items()]
    command = [sys.executable, "-P", "-c", CHILD, CONTACTS, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split("|") for line in done.stdout.splitlines()]
    return {name: (" ".join(parts[:-1]), int(parts[-1])) for name, *parts in lines}


def long_gzip(begin: bytes, middle: bytes, times: int, end: bytes) -> bytes:
    """A gzip of a long text, made piece by piece."""
    made, block = io.BytesIO(), middle * (2**20 // len(middle))
    with gzip.GzipFile(fileobj=made, mode="wb", compresslevel=1) as packed:
        packed.write(begin)
        for _ in range(times):
            packed.write(block)
        packed.write(end)
    return made.getvalue()


def test_memory_is_bounded_whatever_the_file_holds(tmp_path: Path) -> None:
    row, dense = b'{"who": "c", "at": "2026-03-02T10:00:00Z"}', b'{"a":[' + b"{}," * 300_000 + b"{}]}\n"
    found = in_a_child(tmp_path, {
        "small": ("csv", csv_rows(1_000)),
        "one line": ("csv", long_gzip(b"who,at\n", b"x", 150, b"\nc,2026-03-02T10:00:00Z\n")),
        "one quote": ("csv", long_gzip(b'who,at\n"', b"x" * 99 + b"\n", 2, b"\nc,2026-03-02T10:00:00Z\n")),
        "one cell": ("csv", long_gzip(b"who,at\n", b'"a\n",', 1, b'"a\n",' * 99 + b"\nc,2026-03-02T10:00:00Z\n")),
        "one text": ("json, items: a", long_gzip(b'{"a": ["', b"\\u0041 ", 150, b'", ' + row + b"]}")),
        "one line of JSON": ("ndjson", long_gzip(row + b'\n["', b"x", 150, b'"]\n' + row)),
        "brackets": ("json", long_gzip(b"", b"[", 1, b"")),
        "one name": ("json, items: a", long_gzip(b'{"', b"x", 60, b'": 1, "a": [' + row + b"]}")),
        "another list": ("json, items: a", long_gzip(b'{"b": [0', b",1", 8, b'], "a": [' + row + b"]}")),
        "long rows": ("ndjson", dense * 20),
        "wide": ("csv, encoding: utf-16", "who,at\n".encode("utf-16") + b"x\0" * 20_000_000),
    })  # fmt: skip
    assert {name: end for name, (end, _) in found.items()} == {
        "small": "1000 0 0", "one line": "2 1 0", "one quote": "20971 20970 0", "one cell": "101 100 0",
        "one text": "2 1 0", "one line of JSON": "3 1 0", "brackets": "0 0 1", "one name": "0 0 1",
        "another list": "1 0 0", "long rows": "20 20 0", "wide": "1 1 0",
    }  # fmt: skip
    assert max(mebibytes for _, mebibytes in found.values()) - found["small"][1] < 120, found


def checked(folder: Path, content: bytes, *words: str) -> tuple[str, str]:
    """What ``play --check`` prints of a file, and the error with which it ends."""
    (folder / "rows").write_bytes(content)
    (folder / "m.yaml").write_text(CONTACTS % "csv")
    command = ["play", str(folder / "m.yaml"), str(folder / "rows"), "--check", *words]
    done = CliRunner().invoke(build_app("play"), command)
    return done.output, str(done.exception or "")


def test_play_takes_a_file_of_a_zip_by_name(tmp_path: Path) -> None:
    packed = zipped({"a.csv": b"x\n1\n", "b.csv": csv_rows(3)})
    output, error = checked(tmp_path, packed, "--member", "b.csv")
    assert output.startswith("rows 3: events 3 (contact 3), rejected rows 0")
    assert error == ""


def test_play_reports_the_rows_before_a_break_and_ends_with_the_sentence(tmp_path: Path) -> None:
    output, error = checked(tmp_path, gzip.compress(csv_rows(30_000))[:-2000])
    assert output.startswith("rows 2")
    assert error.startswith("rows: cannot be read to its end: it ends in the middle")
