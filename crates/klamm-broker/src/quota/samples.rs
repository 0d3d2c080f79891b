//! What happened within the last samples of time (`SampledStat` and `WindowedSum`).

/// A stretch of time.
#[derive(Debug, Clone, Copy)]
struct Sample {
    start_ms: i64,
    last_event_ms: i64,
    value: f64,
}

impl Sample {
    const fn new(now_ms: i64) -> Self {
        Self { start_ms: now_ms, last_event_ms: now_ms, value: 0.0 }
    }
}

/// A sum over the last samples.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    /// A place more than samples that count, for the one that overlaps the beginning of the measured time.
    samples: Vec<Sample>,
    current: usize,
    max_samples: usize,
    window_ms: i64,
}

impl Samples {
    /// So many samples, each of so many milliseconds.
    pub(super) const fn new(max_samples: usize, window_ms: i64) -> Self {
        Self { samples: Vec::new(), current: 0, max_samples, window_ms }
    }

    pub(super) fn record(&mut self, value: f64, now_ms: i64) {
        if self.samples.is_empty() {
            self.samples.push(Sample::new(now_ms));
        }
        if now_ms - self.samples[self.current].start_ms >= self.window_ms {
            self.current = (self.current + 1) % (self.max_samples + 1);
            match self.samples.get_mut(self.current) {
                Some(oldest) => *oldest = Sample::new(now_ms),
                None => self.samples.push(Sample::new(now_ms)),
            }
        }
        let sample = &mut self.samples[self.current];
        sample.value += value;
        sample.last_event_ms = now_ms;
    }

    /// The sum, and how many milliseconds ago the oldest sample began. Samples without an event in all of the measured time
    /// are begun anew.
    pub(super) fn measure(&mut self, now_ms: i64) -> (f64, i64) {
        let expire_age = self.expire_age_ms();
        for sample in &mut self.samples {
            if now_ms - sample.last_event_ms >= expire_age {
                *sample = Sample::new(now_ms);
            }
        }
        let oldest = self.samples.iter().map(|sample| sample.start_ms).min().unwrap_or(now_ms);
        (self.samples.iter().map(|sample| sample.value).sum(), now_ms - oldest)
    }

    /// Whether nothing is left of what was recorded, as if it were new.
    pub(super) fn is_stale(&self, now_ms: i64) -> bool {
        let expire_age = self.expire_age_ms();
        self.samples.iter().all(|sample| now_ms - sample.last_event_ms >= expire_age)
    }

    const fn expire_age_ms(&self) -> i64 {
        self.window_ms * self.max_samples as i64
    }
}
