//! How far one topic of one partition has come. The same as `TopicClock` in `streams/core/eventtime.py`, whose text
//! explains it.

/// Never goes back.
pub struct Clock {
    /// The newest time that enough distinct customers, or a heartbeat, vouch for; 0 if nothing was heard.
    pub newest_ms: i64,
    customers: usize,
    /// Newest time and hash of the customers past it: always fewer than `customers`.
    ahead: Vec<(i64, u64)>,
}

impl Clock {
    pub fn new(customers: usize) -> Clock {
        Clock { newest_ms: 0, customers, ahead: vec![] }
    }

    /// A heartbeat: it moves the clock alone.
    pub fn hear(&mut self, time_ms: i64) {
        if time_ms > self.newest_ms {
            self.newest_ms = time_ms;
            self.ahead.retain(|(ahead_ms, _)| *ahead_ms > time_ms);
        }
    }

    /// An event of a customer: it moves the clock once enough others are as far.
    #[inline]
    pub fn follow(&mut self, customer: u64, time_ms: i64) {
        if time_ms <= self.newest_ms {
            return;
        }
        if let Some((known_ms, _)) = self.ahead.iter_mut().find(|(_, known)| *known == customer) {
            *known_ms = time_ms.max(*known_ms);
            return;
        }
        self.ahead.push((time_ms, customer));
        if self.ahead.len() >= self.customers {
            self.hear(self.ahead.iter().map(|(ahead_ms, _)| *ahead_ms).min().unwrap_or(0));
        }
    }

    /// Who is ahead, by time and hash.
    pub fn ahead(&self) -> Vec<(i64, u64)> {
        let mut ahead = self.ahead.clone();
        ahead.sort_unstable();
        ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_customers_move_no_clock_of_three() {
        let mut clock = Clock::new(3);
        clock.follow(1, 9_000);
        clock.follow(2, 8_000);
        clock.follow(1, 99_000);
        assert_eq!(clock.newest_ms, 0);
        clock.follow(3, 5_000);
        assert_eq!(clock.newest_ms, 5_000, "the third-newest customer decides");
        assert_eq!(clock.ahead(), [(8_000, 2), (99_000, 1)]);
    }

    #[test]
    fn a_customer_counts_once_with_its_newest_time() {
        let mut clock = Clock::new(2);
        clock.follow(1, 4_000);
        clock.follow(1, 6_000);
        clock.follow(1, 5_000);
        assert_eq!((clock.newest_ms, clock.ahead()), (0, vec![(6_000, 1)]));
        clock.follow(2, 7_000);
        assert_eq!((clock.newest_ms, clock.ahead()), (6_000, vec![(7_000, 2)]));
    }

    #[test]
    fn a_heartbeat_moves_it_alone_and_never_back() {
        let mut clock = Clock::new(3);
        clock.follow(1, 9_000);
        clock.hear(9_000);
        assert_eq!((clock.newest_ms, clock.ahead()), (9_000, vec![]), "nobody is ahead of it any more");
        clock.hear(1_000);
        clock.follow(2, 9_000);
        assert_eq!((clock.newest_ms, clock.ahead()), (9_000, vec![]));
    }

    #[test]
    fn of_one_customer_the_newest_event_is_the_clock() {
        let mut clock = Clock::new(1);
        clock.follow(7, 3_000);
        clock.follow(8, 2_000);
        assert_eq!((clock.newest_ms, clock.ahead()), (3_000, vec![]));
    }
}
