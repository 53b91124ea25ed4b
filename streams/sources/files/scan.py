"""A JSON text cut into the bytes of its values, without holding it.

Brackets are counted outside of strings and nothing else is looked at: whether a value is JSON is known when it is read.
So a broken value costs itself only, and keeps its exact bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from schemas.topics import MAX_EVENT_BYTES
from streams.sources.files.lines import MOST_SHOWN, Read

_SOLID = re.compile(rb"[^ \t\r\n\x1e]")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BRACKET = re.compile(rb'[^\[\]{}"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^\[\]{}"]*+)*+(?:([\[{])|([\]}])|")', re.DOTALL)


def _deep(levels: int) -> bytes:
    """Pattern of a list or object in which others stand at most so many levels deep."""
    inner = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"' + (b"|" + _deep(levels - 1) if levels else b"")
    return rb'[\[{][^\[\]{}"]*+(?:(?:' + inner + rb')[^\[\]{}"]*+)*+[\]}]'


_SHALLOW = re.compile(_deep(5), re.DOTALL)
"""Most rows, at once: half the time of going from bracket to bracket."""
_BARE = re.compile(rb'[^\s,:\[\]{}"]++')
_OUTSIDE = re.compile(rb'["\[\]{}]')
_INSIDE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class NotJson(Exception):
    """The text stops being JSON; nothing behind that place can be told apart."""


class JsonText:
    """A place in a JSON text, which only moves on. Texts behind each other may stand in it, with or without spaces."""

    def __init__(self, read: Read, line: int = 1) -> None:
        """``line`` is the number of the line in which the text begins."""
        self._read = read
        self._buffer = b""
        self._at = 0
        self._line = line
        self._counted = 0
        self._reached = 0, 0
        """Depth and place up to which a value that is too long was read."""

    @property
    def line(self) -> int:
        """Number of the line of this place."""
        self._line += self._buffer.count(b"\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def peek(self) -> bytes:
        """The next character that is no space; empty at the end."""
        while True:
            if found := _SOLID.search(self._buffer, self._at):
                self._at = found.start()
                return found[0]
            self._at = len(self._buffer)
            if not self._more():
                return b""

    def take(self, allowed: bytes) -> bytes:
        """The next character that is no space, which must be one of ``allowed``."""
        found = self.peek()
        if not found or found not in allowed:
            raise NotJson
        self._at += 1
        return found

    def members(self) -> Iterator[int]:
        """At a list: come to each of its members, which must be taken before the next is asked for. Gives the index."""
        self.take(b"[")
        if self.peek() == b"]":
            self.take(b"]")
            return
        index = 0
        while True:
            self.peek()
            yield index
            index += 1
            if self.take(b",]") == b"]":
                return

    def entries(self) -> Iterator[str]:
        """At an object: come to each of its values, which must be taken before the next is asked for. Gives the key."""
        self.take(b"{")
        if self.peek() == b"}":
            self.take(b"}")
            return
        while True:
            if self.peek() != b'"':
                raise NotJson
            raw, _ = self.value()
            self.take(b":")
            self.peek()
            yield _text(raw)
            if self.take(b",}") == b"}":
                return

    def value(self) -> tuple[bytes, bool]:
        """The bytes of the value here. Of one that is too long only the beginning, and False."""
        first = self.peek()
        if first and first in b"{[":
            return self._nested()
        pattern = _STRING if first == b'"' else _BARE
        while True:
            found = pattern.match(self._buffer, self._at)
            if found and (first == b'"' or found.end() < len(self._buffer)):
                break
            if len(self._buffer) - self._at > MAX_EVENT_BYTES and first == b'"':
                return self._dropped(0, self._at)
            if len(self._buffer) - self._at > MAX_EVENT_BYTES or (not self._more() and not found):
                raise NotJson
            if found and len(found[0]) == len(self._buffer):
                break
        self._at += len(found[0])
        return found[0], True

    def _nested(self) -> tuple[bytes, bool]:
        found = _SHALLOW.match(self._buffer, self._at)
        if found and found.end() - self._at <= MAX_EVENT_BYTES:
            self._at = found.end()
            return found[0], True
        return self._from_bracket_to_bracket() or self._dropped(*self._reached)

    def ahead(self) -> bytes | None:
        """The bytes of the list or object here, which stays to be taken; None if it is too long."""
        self.peek()
        found = self._from_bracket_to_bracket()
        if found is None or not found[1]:
            return None
        self._at -= len(found[0])
        return found[0]

    def _from_bracket_to_bracket(self) -> tuple[bytes, bool] | None:
        """None if the value is too long: then it is still to be taken, and was read as far as ``_reached``."""
        start, at, depth, bracket = self._at, self._at, 0, _BRACKET.match  # a search would be slow
        while True:
            while found := bracket(self._buffer, at):
                if found.lastindex == 1:
                    depth += 1
                elif found.lastindex == 2:
                    depth -= 1
                    if not depth:
                        self._at = found.end()
                        return self._buffer[start : self._at], self._at - start <= MAX_EVENT_BYTES
                else:
                    break  # a string that goes on in the next block
                at = found.end()
            if len(self._buffer) - start > MAX_EVENT_BYTES:
                self._reached = depth, at
                return None
            if not self._more():
                raise NotJson
            start, at = 0, at - start

    def _dropped(self, depth: int, at: int) -> tuple[bytes, bool]:
        """Pass over a value that is too long, read as far as ``at``, ``depth`` brackets deep; gives its beginning."""
        kept, inside = self._buffer[self._at : self._at + MOST_SHOWN], False
        self._at = at
        while True:
            found = (_INSIDE.match if inside else _OUTSIDE.search)(self._buffer, self._at)
            if found is None:
                rest = self._buffer[self._at :]
                half_an_escape = inside and (len(rest) - len(rest.rstrip(b"\\"))) % 2
                self._at = len(self._buffer) - half_an_escape
                if not self._more():
                    raise NotJson
                continue
            self._at = found.end()
            if inside or found[0] == b'"':
                inside = not inside
            else:
                depth += 1 if found[0] in b"[{" else -1
            if not depth and not inside:
                return kept, False

    def _more(self) -> bool:
        """Another block behind what is not taken yet."""
        block = self._read()
        _ = self.line
        self._buffer = self._buffer[self._at :] + block
        self._at = self._counted = 0
        return bool(block)


def _text(raw: bytes) -> str:
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise NotJson from None
