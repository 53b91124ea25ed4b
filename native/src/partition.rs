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

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors by which Kafka's own clients are tested.
    #[test]
    fn murmur2_is_that_of_java() {
        let vectors: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, digest) in vectors {
            assert_eq!(murmur2(key.as_bytes()) as i32, digest, "{key}");
        }
    }

    #[test]
    fn a_partition_is_never_negative() {
        assert_eq!(partition_of(b"21", 7), i64::from((-973_932_308i32) & 0x7fff_ffff) % 7);
        assert!((0..1000).all(|number: i32| (0..3).contains(&partition_of(&number.to_le_bytes(), 3))));
    }
}
