"""Files that are no text at all, recognised by how they begin, and what to export instead."""

from __future__ import annotations

import re

PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
"""First bytes of the archives that are read -> their name."""
_CSV = "export it as CSV (UTF-8)"
_TABLES = "export the table as CSV or as one JSON object a line"
_UNPACK = "unpack it, and give the file inside"
_OTHER = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an Excel workbook (.xls, or .xlsx with a password)", _CSV),
    b"PK\x05\x06": ("an empty zip", "give a zip with one file in it"),
    b"PAR1": ("Parquet", _TABLES),
    b"ORC": ("ORC", _TABLES),
    b"Obj\x01": ("Avro", _TABLES),
    b"ARROW1": ("Arrow", _TABLES),
    b"FEA1": ("Feather", _TABLES),
    b"SQLite format 3\x00": ("an SQLite database", _TABLES),
    b"\x89HDF\r\n\x1a\n": ("HDF5", _TABLES),
    b"%PDF-": ("a PDF", "export the data that it shows as CSV"),
    b"{\\rtf": ("a text document (RTF)", "save it as plain text"),
    b"\x89PNG": ("an image", "export the data that it shows as CSV"),
    b"\xff\xd8\xff": ("an image", "export the data that it shows as CSV"),
    b"GIF8": ("an image", "export the data that it shows as CSV"),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", _UNPACK),
    b"Rar!\x1a\x07": ("a RAR archive", _UNPACK),
    b"\x04\x22\x4d\x18": ("lz4", _UNPACK),
    b"\xff\x06\x00\x00sNaPpY": ("snappy", _UNPACK),
    b"\x1f\x9d": ("a file packed by compress (.Z)", _UNPACK),
    b"LZIP": ("lzip", _UNPACK),
    b"-----BEGIN PGP": ("encrypted (PGP)", "decrypt it first"),
    b"age-encryption.org/": ("encrypted (age)", "decrypt it first"),
    b"Salted__": ("encrypted (OpenSSL)", "decrypt it first"),
}
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(!doctype|!--|\?xml|[a-z][\w:.-]*[\s>])", re.IGNORECASE)
_DOCUMENTS = {
    "[Content_Types].xml": ("an Excel workbook (or another Office document)", _CSV),
    "META-INF/manifest.xml": ("an OpenDocument spreadsheet", _CSV),
    "Index/Document.iwa": ("a Numbers document", _CSV),
}


def packed_as(head: bytes) -> str | None:
    """Name of the archive that begins so, e.g. ``gzip``."""
    return next((name for magic, name in PACKED.items() if head.startswith(magic)), None)


def foreign(head: bytes) -> str | None:
    """What a file is that is no text, and what to do instead; ``head`` is its first 512 bytes."""
    for magic, (what, instead) in _OTHER.items():
        if head.startswith(magic):
            return f"is {what}, not text: {instead}."
    if head[257:262] == b"ustar":
        return f"is a tar archive: {_UNPACK}."
    if found := _MARKUP.match(head):
        kind = "XML" if found[1][:1] == b"?" else "HTML or XML"
        return f"is {kind}, not a table: {_CSV} or JSON."
    return None


def foreign_zip(names: list[str]) -> str | None:
    """What a zip is that holds these files, if it is a document of some program."""
    found = next((_DOCUMENTS[name] for name in _DOCUMENTS if name in names), None)
    return f"is {found[0]}, not text: {found[1]}." if found else None
