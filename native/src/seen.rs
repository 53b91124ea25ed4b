//! What was seen of one topic: minutes while fresh, then hours, then days. The same, and the same persisted slices, as
//! `streams/core/join/seen.py`, whose text explains it.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::dedup::{Memory, Slices};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// One change of the state topic: bucket start, first index of the slice, width if it is not a minute; the slice or None
/// to delete it.
pub type SliceChange = ((i64, usize, Option<i64>), Option<Vec<u64>>);

/// Persisted slices of one topic: width of the bucket -> start -> first index.
pub type Loaded = BTreeMap<i64, Slices>;

/// Hashes of the accepted events of one topic and partition.
pub struct SeenEvents {
    minutes: Memory,
    hours: Memory,
    days: Memory,
    hours_before_ms: i64,
    days_before_ms: i64,
}

fn floor(time_ms: i64, width_ms: i64) -> i64 {
    time_ms - time_ms.rem_euclid(width_ms)
}

fn minute_mix(minute_ms: i64) -> u64 {
    xxh3_64(&minute_ms.to_le_bytes())
}

impl SeenEvents {
    pub fn new() -> SeenEvents {
        SeenEvents {
            minutes: Memory::new(MINUTE_MS),
            hours: Memory::new(HOUR_MS),
            days: Memory::new(DAY_MS),
            hours_before_ms: 0,
            days_before_ms: 0,
        }
    }

    /// Remembers a hash at a time; false if the minute had it already.
    #[inline]
    pub fn add(&mut self, time_ms: i64, item: u64) -> bool {
        if time_ms >= self.hours_before_ms {
            return self.minutes.add(time_ms, item);
        }
        let mixed = item ^ minute_mix(floor(time_ms, MINUTE_MS));
        if time_ms >= self.days_before_ms {
            self.hours.add(time_ms, mixed)
        } else {
            self.days.add(time_ms, mixed)
        }
    }

    /// Joins what has become old to wider buckets.
    pub fn age(&mut self, newest_ms: i64) {
        let hours_before_ms = floor((newest_ms - HOUR_MS).max(0), MINUTE_MS);
        if hours_before_ms == self.hours_before_ms {
            return;
        }
        self.hours_before_ms = hours_before_ms;
        self.days_before_ms = floor((newest_ms - DAY_MS).max(0), HOUR_MS);
        while let Some((minute_ms, mut items)) = self.minutes.take_before(hours_before_ms) {
            let mix = minute_mix(minute_ms);
            items.iter_mut().for_each(|item| *item ^= mix);
            self.hours.extend(floor(minute_ms, HOUR_MS), &items);
        }
        while let Some((hour_ms, items)) = self.hours.take_before(self.days_before_ms) {
            self.days.extend(floor(hour_ms, DAY_MS), &items);
        }
    }

    /// Drops every bucket that ends at or before `before_ms`.
    pub fn forget(&mut self, before_ms: i64) {
        self.minutes.forget(before_ms);
        self.hours.forget(before_ms);
        self.days.forget(before_ms);
    }

    /// Hands out what changed since the last drain; buckets that end by `rest_before_ms` take their compact form.
    pub fn drain(&mut self, rest_before_ms: i64) -> Vec<SliceChange> {
        let mut out = Vec::new();
        for (memory, width) in
            [(&mut self.minutes, None), (&mut self.hours, Some(HOUR_MS)), (&mut self.days, Some(DAY_MS))]
        {
            let changes = memory.drain(rest_before_ms);
            out.extend(changes.into_iter().map(|((start_ms, first), slice)| ((start_ms, first, width), slice)));
        }
        out
    }

    /// Takes back everything that drains handed out and that was not deleted since.
    pub fn load(&mut self, mut slices: Loaded, newest_ms: i64) {
        self.minutes.load(slices.remove(&MINUTE_MS).unwrap_or_default());
        self.hours.load(slices.remove(&HOUR_MS).unwrap_or_default());
        self.days.load(slices.remove(&DAY_MS).unwrap_or_default());
        self.age(newest_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_in_its_minute_and_no_other_however_old_it_is() {
        let (mut seen, newest_ms) = (SeenEvents::new(), 30 * DAY_MS);
        for behind_ms in [MINUTE_MS, 5 * HOUR_MS, 10 * DAY_MS] {
            assert!(seen.add(newest_ms - behind_ms, 7));
        }
        for clock_ms in [newest_ms, newest_ms + 3 * HOUR_MS, newest_ms + 2 * DAY_MS] {
            seen.age(clock_ms);
            for behind_ms in [MINUTE_MS, 5 * HOUR_MS, 10 * DAY_MS] {
                assert!(!seen.add(newest_ms - behind_ms, 7), "{behind_ms} behind at {clock_ms}");
            }
        }
        assert!(seen.add(newest_ms - 5 * HOUR_MS + MINUTE_MS, 7), "the same id a minute later");
        assert!(seen.add(newest_ms - 5 * HOUR_MS, 8));
    }

    #[test]
    fn what_is_loaded_is_asked_in_the_same_bucket() {
        let (mut seen, mut loaded, newest_ms) = (SeenEvents::new(), Loaded::new(), 30 * DAY_MS);
        seen.age(newest_ms);
        for behind_ms in [MINUTE_MS, 5 * HOUR_MS, 10 * DAY_MS] {
            seen.add(newest_ms - behind_ms, 7);
        }
        for ((start_ms, first, width_ms), hashes) in seen.drain(0) {
            let slices = loaded.entry(width_ms.unwrap_or(MINUTE_MS)).or_default();
            slices.entry(start_ms).or_default().insert(first, hashes.expect("nothing was deleted"));
        }
        assert_eq!(loaded.keys().collect::<Vec<_>>(), [&MINUTE_MS, &HOUR_MS, &DAY_MS]);
        let mut again = SeenEvents::new();
        again.load(loaded, newest_ms);
        for behind_ms in [MINUTE_MS, 5 * HOUR_MS, 10 * DAY_MS] {
            assert!(!again.add(newest_ms - behind_ms, 7), "{behind_ms}");
        }
    }
}
