"""Record batches as a broker sends them, made with aiokafka's builder."""

from __future__ import annotations

import struct
from typing import Any

from aiokafka.record._crc32c import crc

CONTROL, TRANSACTIONAL, APPEND_TIME = 0x20, 0x10, 0x08


def as_sent(builder: Any, base: int, attributes: int = 0) -> bytes:
    """The batch of a builder with its first offset and its attributes (of compression, too) as a broker sets them."""
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base)
    struct.pack_into(">h", data, 21, attributes)
    struct.pack_into(">I", data, 17, int(crc(bytes(data[21:]))))
    return bytes(data)
