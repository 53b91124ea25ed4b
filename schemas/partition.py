"""Which partition a key belongs to: Java's murmur2, the default of every Java producer.

librdkafka's default (CRC32) differs, so a producer built on it spreads the same customer over other partitions; the
runtime compares every record's partition with :func:`partition_of` and re-keys mismatches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_MASK = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF
_CACHED_KEYS = 65_536


def murmur2(key: bytes) -> int:
    """Return the unsigned 32-bit murmur2 hash of ``key`` as ``org.apache.kafka.common.utils.Utils.murmur2`` does."""
    length = len(key)
    tail = length & ~3
    digest = _SEED ^ length
    for start in range(0, tail, 4):
        word = int.from_bytes(key[start : start + 4], "little") * _MIX & _MASK
        word = (word ^ word >> 24) * _MIX & _MASK
        digest = digest * _MIX & _MASK ^ word
    if tail < length:
        digest = (digest ^ int.from_bytes(key[tail:], "little")) * _MIX & _MASK
    digest = (digest ^ digest >> 13) * _MIX & _MASK
    return digest ^ digest >> 15


@lru_cache(maxsize=_CACHED_KEYS)
def partition_of(key: bytes, n: int) -> int:
    """Return the partition (0 to ``n`` - 1) of ``key`` among ``n``; the last 65,536 answers are remembered."""
    return (murmur2(key) & _POSITIVE) % n


def partitions_of(keys: Sequence[bytes], n: int) -> list[int]:
    """Return :func:`partition_of` for every key; hashes all keys of one length at once."""
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        by_length[len(key)].append(index)
    result = np.empty(len(keys), dtype=np.int64)
    for length, indexes in by_length.items():
        digests = _murmur2_of_equal_length(b"".join([keys[index] for index in indexes]), length, len(indexes))
        result[indexes] = (digests & np.uint32(_POSITIVE)) % np.uint32(n)
    return [int(partition) for partition in result.tolist()]


def _murmur2_of_equal_length(joined: bytes, length: int, count: int) -> NDArray[np.uint32]:
    """Hash ``count`` keys of ``length`` bytes each, laid end to end in ``joined``."""
    mix = np.uint32(_MIX)
    digest = np.full(count, _SEED ^ length, dtype=np.uint32)
    width = -(-length // 4)
    if width:
        padded = np.zeros((count, width * 4), dtype=np.uint8)
        padded[:, :length] = np.frombuffer(joined, dtype=np.uint8).reshape(count, length)
        words = padded.view("<u4")
        for column in range(length // 4):
            word = words[:, column] * mix
            word = (word ^ (word >> np.uint32(24))) * mix
            digest = (digest * mix) ^ word
        if length % 4:
            digest = (digest ^ words[:, -1]) * mix
    digest = (digest ^ (digest >> np.uint32(13))) * mix
    return digest ^ (digest >> np.uint32(15))
