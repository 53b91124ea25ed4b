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
