//! Which partition a key belongs to: Java's murmur2, as `schemas/partition.py`.

const SEED: u32 = 0x9747_b28c;
const MIX: u32 = 0x5bd1_e995;

pub fn partition_of(key: &[u8], partitions: i64) -> i64 {
    i64::from(murmur2(key) & 0x7fff_ffff) % partitions
}

fn murmur2(key: &[u8]) -> u32 {
    let mut digest = SEED ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let word = u32::from_le_bytes(word.try_into().expect("4 bytes")).wrapping_mul(MIX);
        digest = digest.wrapping_mul(MIX) ^ (word ^ word >> 24).wrapping_mul(MIX);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        let word = tail.iter().rev().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        digest = (digest ^ word).wrapping_mul(MIX);
    }
    digest = (digest ^ digest >> 13).wrapping_mul(MIX);
    digest ^ digest >> 15
}
