"""The file with the keys of those who may order (``CX_ORDER_KEYS``): private to its user, or refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError
from streams.security.sanitized import sanitized
from streams.security.signing import FRESH_MS, Keyring, OrderRules
from streams.settings import Settings

KEY_BYTES = 32
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Listed:
    """What may be shown of a key."""

    actor: str
    made_on: str
    mark: str
    """The first eight characters of its hash: tells whether two machines hold the same key."""


def order_rules(settings: Settings) -> OrderRules:
    """The rules by which this deployment accepts orders. Raises ConfigError if the keys cannot be used."""
    fresh = None if settings.sender_clock == "event" else FRESH_MS
    return OrderRules(None if settings.order_keys is None else keyring_of(settings.order_keys), fresh)


def keyring_of(path: Path) -> Keyring:
    """The keys of a file. Raises ConfigError if others may read it, or if it holds no key."""
    keys = {actor: _key_of(path, actor, entry) for actor, entry in _read(path).items()}
    if not keys:
        raise ConfigError(f"CX_ORDER_KEYS: {path} holds no key: nobody could order; `cxwatch keys new ACTOR` makes one")
    return Keyring(keys)


def listed(path: Path) -> list[Listed]:
    """Whose keys a file holds."""
    return [
        Listed(actor, str(entry.get("made_on", "")), mark_of(_key_of(path, actor, entry)))
        for actor, entry in sorted(_read(path).items())
    ]


def mark_of(key: bytes) -> str:
    """What may be shown of a key."""
    return hashlib.sha256(b"cxwatch key mark" + key).hexdigest()[:8]


def new_key() -> str:
    """A new key, as text that can be carried to another machine."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def put(path: Path, actor: str, key: str, made_on: str, replace: bool = False) -> str:
    """Add a key to the file, which is made if it is not there; returns its mark. Raises ConfigError."""
    if not actor or actor != sanitized(actor):
        raise ConfigError("an actor is a name of 1 to 128 characters on one line, without control characters")
    entries = _read(path) if path.exists() else {}
    if actor in entries and not replace:
        raise ConfigError(f"{actor} has a key already; --replace puts a new one in its place")
    entry = {"key": key.strip(), "made_on": made_on}
    mark = mark_of(_key_of(path, actor, entry))
    _write(path, {**entries, actor: entry})
    return mark


def remove(path: Path, actor: str) -> None:
    """Take a key out of the file. Raises ConfigError if there is none."""
    entries = _read(path)
    if actor not in entries:
        raise ConfigError(f"{path} holds no key of {sanitized(actor)!r}")
    del entries[actor]
    _write(path, entries)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            _refuse_unsafe_file(path, os.fstat(file.fileno()))
            body = json.loads(file.read(_MOST_BYTES))
        entries = dict(body["keys"])
    except OSError as error:
        raise ConfigError(f"CX_ORDER_KEYS: {path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"CX_ORDER_KEYS: {path} is no file of keys; `cxwatch keys new ACTOR` makes one") from None
    if not all(isinstance(entry, dict) for entry in entries.values()):
        raise ConfigError(f"CX_ORDER_KEYS: {path} is no file of keys")
    return entries


def _refuse_unsafe_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"CX_ORDER_KEYS: {path} is no file")
    if found.st_mode & 0o077:
        raise ConfigError(f"CX_ORDER_KEYS: others may read or change {path}: `chmod 600 {path}`, then make new keys")
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"CX_ORDER_KEYS: {path} belongs to another user, who may put keys into it")


def _key_of(path: Path, actor: str, entry: dict[str, Any]) -> bytes:
    try:
        key = base64.b64decode(str(entry["key"]), validate=True)
    except (KeyError, binascii.Error):
        key = b""
    if len(key) < KEY_BYTES:
        whose = sanitized(actor)
        raise ConfigError(f"CX_ORDER_KEYS: the key of {whose!r} in {path} is none: {KEY_BYTES} bytes in base64")
    return key


def _write(path: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Whole or not at all, readable by this user only from the first byte on."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            json.dump({"keys": entries}, out, indent=1, sort_keys=True)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"CX_ORDER_KEYS: {path} cannot be written ({error.strerror})") from None
