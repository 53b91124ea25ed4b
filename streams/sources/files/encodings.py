"""Encodings of text files: which are read, and how those that have no bytes for line ends become UTF-8."""

from __future__ import annotations

import codecs
from pathlib import Path

from schemas.errors import ConfigError
from streams.sources.files.lines import Read

UTF8 = "utf-8"
_BOM = b"\xef\xbb\xbf"
_MARKS = {
    _BOM: UTF8,
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Byte order marks; the longer of two that begin alike comes first."""
_WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
_ISO = (*range(1, 12), 13, 14, 15, 16)
_DOS = (437, 720, 737, 775, 850, 852, 855, 857, 858, *range(860, 867), 869, 874, 932, 949, 950, *range(1250, 1259))
_ALLOWED = frozenset({
    "ascii", UTF8, "utf-8-sig", *_WIDE, *(f"iso8859-{part}" for part in _ISO), *(f"cp{page}" for page in _DOS),
    "mac-roman", "mac-latin2", "mac-cyrillic", "mac-greek", "mac-turkish", "mac-iceland", "mac-croatian",
    "mac-romanian", "koi8-r", "koi8-u", "koi8-t", "kz1048", "ptcp154", "tis-620", "gb2312", "gbk", "gb18030",
    "big5", "big5hkscs",
    "shift_jis", "shift_jis_2004", "shift_jisx0213", "euc_jp", "euc_jis_2004", "euc_jisx0213", "euc_kr", "johab",
})  # fmt: skip
"""Codecs of Python that keep no state from one line to the next, and write ASCII as it is or two or four bytes wide."""
_NAMES = (
    "utf-8, utf-16, utf-32 (both also with -le or -be), ascii, latin-1, iso8859-2 to -16, cp437 to cp950, "
    "cp1250 to cp1258, mac-roman, koi8-r, koi8-u, shift_jis, euc-jp, euc-kr, big5, gbk, gb18030"
)
_UNREADABLE = "cxwatch.unreadable"
codecs.register_error(_UNREADABLE, lambda error: ("\udcff", getattr(error, "end", 0)))


def encoding_of(name: str) -> str:
    """The codec that a mapping's ``input.encoding`` names. Raises ValueError naming those that are read."""
    try:
        known = codecs.lookup(name).name
    except (LookupError, ValueError):
        known = ""
    known = known.replace("_", "-") if known.startswith(("utf", "mac", "koi8", "iso")) else known
    if known not in _ALLOWED:
        why = "keeps a state from one character to the next, or is no encoding of text" if known else "is not known"
        raise ValueError(f"{name!r} {why}. Allowed: {_NAMES}.")
    return known


def one_byte_ends(read: Read, encoding: str, path: Path, *, always: bool = False) -> tuple[Read, str]:
    """Blocks without a byte order mark, and the encoding in which their lines are to be read.

    Text of two or four bytes a character becomes UTF-8, with ``always`` any text; what is no text becomes bytes that
    are no UTF-8 either, so that the row is refused and not the file. A byte order mark beats ``encoding``.
    """
    head = read()
    mark = next((mark for mark in _MARKS if head.startswith(mark)), b"")
    found = _MARKS.get(mark) or _without_mark(head, encoding, path)
    blocks = _Joined(head.removeprefix(mark), read).read
    if found in (UTF8, "utf-8-sig", "ascii") or (found not in _WIDE and not always):
        return blocks, UTF8 if found == "utf-8-sig" else found
    return _Recoded(blocks, found).read, UTF8


def _without_mark(head: bytes, encoding: str, path: Path) -> str:
    """The encoding, with the byte order of UTF-16 and UTF-32; refused if the first bytes speak against it."""
    seems = _zeros(head[:512])
    if seems and seems.startswith(encoding):
        return seems
    if seems or encoding in ("utf-16", "utf-32"):
        hint = f"It looks like {seems}: set input.encoding so." if seems else "It has single bytes as characters."
        raise ConfigError(f"{path}: input.encoding is {encoding}, but the file is in another one. {hint}")
    return encoding


def _zeros(head: bytes) -> str:
    """UTF-16 or UTF-32 by where the zero bytes of its ASCII characters are; empty: it is neither."""
    units = len(head) // 4
    zeros = [head[offset : units * 4 : 4].count(0) for offset in range(4)]
    if units and zeros[2] == zeros[3] == units:
        return "utf-32-le"
    if units and zeros[0] == zeros[1] == units:
        return "utf-32-be"
    even, odd = head[::2].count(0), head[1::2].count(0)
    if even + odd <= len(head) // 10:
        return ""
    return "utf-16-le" if odd > 3 * even else "utf-16-be" if even > 3 * odd else ""


class _Joined:
    """A first block and what follows it."""

    def __init__(self, first: bytes, read: Read) -> None:
        self._first: bytes = first
        self._read = read

    def read(self) -> bytes:
        if self._first:
            block, self._first = self._first, b""
            return block
        return self._read()


class _Recoded:
    """Blocks of one encoding as UTF-8."""

    def __init__(self, read: Read, encoding: str) -> None:
        self._read = read
        self._decoder = codecs.getincrementaldecoder(encoding)(_UNREADABLE)
        self._ended = False

    def read(self) -> bytes:
        while not self._ended:
            block = self._read()
            self._ended = not block
            if text := self._decoder.decode(block, final=self._ended):
                return text.encode(UTF8, "surrogatepass")
        return b""
