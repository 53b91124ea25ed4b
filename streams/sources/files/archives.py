"""The bytes of a file, unpacked block by block: plain, gzip, bzip2, xz, zstd, or a file of a zip.

Memory stays bounded whatever an archive says of itself: blocks are small, dictionaries and directories have limits.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from schemas.errors import ConfigError
from streams.sources.files.foreign import foreign, foreign_zip, packed_as
from streams.sources.files.lines import Read
from streams.sources.files.row import BrokenInput
from streams.sources.zstandard import zstd

BLOCK = 256 * 1024
DICTIONARY = 128 * 1024 * 1024
"""Most memory for the window of xz and zstd: what their own programs take without being asked for more."""
DIRECTORY = 1024 * 1024
"""Bytes of a zip's directory: some ten thousand files."""
_SMALL = 16 * 1024
_HEAD = 512
_HIDDEN = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
_ENDED = "it ends in the middle: it was cut off while it was written or sent"
_DAMAGED = "it is damaged, or was changed after it was packed"
_FAILURES = (
    OSError, EOFError, MemoryError, NotImplementedError, RuntimeError, ValueError,
    lzma.LZMAError, zipfile.BadZipFile, zlib.error, zstd.ZstdError,
)  # fmt: skip


class _Stream(Protocol):
    def read1(self, size: int, /) -> bytes: ...


@contextmanager
def unpacked(path: Path, member: str = "") -> Iterator[Read]:
    """Open a file by what it begins with, not by what it is called. ``member``: name or pattern of a file in a zip.

    Raises ConfigError if it is absent, no text, or an archive that is not read. What is yielded gives block after
    block, and raises BrokenInput where the file breaks off.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            head = file.peek(_HEAD)
            kind = packed_as(head)
            if member and kind != "zip":
                raise ConfigError(f"{path}: is no zip, so it has no file {member} in it: ask for none.")
            blocks = _Blocks(_opened(file, kind, path, member, stack), path.name)
        except FileNotFoundError:
            raise ConfigError(f"{path}: there is no such file") from None
        except _FAILURES as error:
            raise ConfigError(f"{path}: cannot be read: {_reason(error)}") from None
        _refuse_foreign(blocks.head(), path, kind)
        yield blocks.read


def _opened(file: io.BufferedReader, kind: str | None, path: Path, member: str, stack: ExitStack) -> _Stream:
    if kind == "zip":
        return _from_zip(path, member, stack)
    if kind == "gzip":
        return stack.enter_context(gzip.GzipFile(fileobj=file))
    if kind == "bzip2":
        return stack.enter_context(bz2.BZ2File(file))
    if kind == "xz":
        return _Xz(file)
    if kind == "zstd":
        limit: dict[int, int] = {zstd.DecompressionParameter.window_log_max: DICTIONARY.bit_length() - 1}
        return stack.enter_context(zstd.ZstdFile(file, options=limit))
    return file


def _refuse_foreign(head: bytes, path: Path, kind: str | None) -> None:
    inside = f"the file in this {kind} " if kind else ""
    if kind and (inner := packed_as(head)):
        raise ConfigError(f"{path}: {inside}is packed again ({inner}): unpack it once, and give the file inside.")
    if found := foreign(head):
        raise ConfigError(f"{path}: {inside}{found}")


class _Blocks:
    """Blocks of a stream; what was read before a failure is handed on before the failure is."""

    def __init__(self, stream: _Stream, name: str) -> None:
        self._stream = stream
        self._name = name
        self._ahead: bytes | None = None
        self._broken: BrokenInput | None = None

    def head(self) -> bytes:
        """The first bytes, which are read again."""
        self._ahead = self.read()
        return self._ahead[:_HEAD]

    def read(self) -> bytes:
        """The next block, at least 16 KiB but for the last; none at the end."""
        if self._ahead is not None:
            block, self._ahead = self._ahead, None
            return block
        if self._broken is not None:
            raise self._broken
        block = b""
        try:
            while len(block) < _SMALL and (part := self._stream.read1(BLOCK)):
                block += part
        except _FAILURES as error:
            text = f"{self._name}: cannot be read to its end: {_reason(error)}. Rows before that place were read."
            self._broken = BrokenInput(text)
            if not block:
                raise self._broken from None
        return block


class _Xz:
    """LZMAFile, but with a limit of memory."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._decompressor = _xz()
        self._rest = b""

    def read1(self, size: int, /) -> bytes:
        while True:
            if self._decompressor.eof:
                self._rest = (self._decompressor.unused_data or self._file.read1(_SMALL)).lstrip(b"\0")
                if not self._rest and not self._file.peek(1):
                    return b""
                self._decompressor = _xz()
            packed = b""
            if self._decompressor.needs_input:
                packed, self._rest = self._rest or self._file.read1(_SMALL), b""
                if not packed:
                    raise EOFError
            if found := self._decompressor.decompress(packed, size):
                return found


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=DICTIONARY)


class _Directory(io.FileIO):
    """A zip whose directory is read only if it is small: zipfile makes an object for each file in it."""

    def read(self, size: int | None = -1, /) -> Any:
        """As a file does; refuses more at once than a directory should have."""
        if size is not None and size > DIRECTORY:
            raise ValueError("it holds more than ten thousand files; give a zip with one file in it")
        return super().read(-1 if size is None else size)


def _from_zip(path: Path, member: str, stack: ExitStack) -> zipfile.ZipExtFile:
    archive = stack.enter_context(zipfile.ZipFile(stack.enter_context(_Directory(path))))
    files = [info for info in archive.infolist() if not info.is_dir()]
    if found := foreign_zip([info.filename for info in files]):
        raise ConfigError(f"{path}: {found}")
    chosen = _chosen({info.filename: info for info in files if not _hidden(info.filename)}, path, member)
    if chosen.flag_bits & 1:
        raise ConfigError(f"{path}: {chosen.filename} in it is encrypted: unpack it with its password first.")
    inside = archive.open(chosen)
    assert isinstance(inside, zipfile.ZipExtFile)
    return stack.enter_context(inside)


def _hidden(name: str) -> bool:
    return name.startswith(_HIDDEN[0]) or name.rpartition("/")[2] in _HIDDEN[1:]


def _chosen(files: dict[str, zipfile.ZipInfo], path: Path, member: str) -> zipfile.ZipInfo:
    """The only file, or the one asked for: by its name, by its name without folders, or by a pattern."""
    asked = [name for name in files if name == member] or [
        name for name in files if not member or fnmatchcase(name, member) or name.rpartition("/")[2] == member
    ]
    if len(asked) == 1:
        return files[asked[0]]
    several = sorted(asked or files)
    names = ", ".join(several[:5]) + (f" and {len(several) - 5:,} more" if len(several) > 5 else "")
    what = f"{len(asked):,} of its files match {member!r}" if asked and member else f"it holds {len(several):,} files"
    none = f"none of its files is {member!r}" if member and not asked else what
    raise ConfigError(f"{path}: {none}. Name one by --member or input.member{f': {names}' if names else ''}.")


def _reason(error: BaseException) -> str:
    """One sentence without its full stop."""
    text = str(error)
    if isinstance(error, EOFError) or "truncated" in text.lower():
        return _ENDED
    if isinstance(error, MemoryError) or "emory" in text:
        return f"it wants more than {DICTIONARY // 1024**2} MiB of memory to unpack; pack it with a smaller window"
    if isinstance(error, NotImplementedError):
        return "it is packed by a method that is not read here; pack it anew as zip, gzip, bzip2, xz or zstd"
    damaged = isinstance(error, zlib.error | lzma.LZMAError | zstd.ZstdError | zipfile.BadZipFile)
    if damaged or (isinstance(error, OSError) and error.errno is None):
        return _DAMAGED
    return text.rstrip(".") or type(error).__name__
