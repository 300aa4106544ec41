//! Rounds, their medians, a line of the table.

use std::fmt;
use std::time::Duration;

/// One round of one kind.
pub struct Round {
    per_second: f64,
    cpu_micros: f64,
    millis: [f64; 3],
    syncs_each: f64,
}

impl Round {
    /// From the time of each answer, the time of all, the CPU time and the fdatasyncs of the daemon.
    pub fn new(mut times: Vec<Duration>, took: Duration, cpu: Duration, syncs: f64) -> Self {
        times.sort_unstable();
        let count = times.len() as f64;
        let at = |share: f64| {
            let index = ((count * share) as usize).min(times.len().saturating_sub(1));
            times
                .get(index)
                .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        Self {
            per_second: count / took.as_secs_f64(),
            cpu_micros: cpu.as_secs_f64() * 1e6 / count,
            millis: [at(0.5), at(0.99), at(0.999)],
            syncs_each: syncs / count,
        }
    }
}

/// All rounds of one kind.
pub struct Summary {
    name: &'static str,
    rounds: Vec<Round>,
}

impl Summary {
    /// No round yet.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            rounds: Vec::new(),
        }
    }

    /// One more round.
    pub fn push(&mut self, round: Round) {
        self.rounds.push(round);
    }

    /// The median of the CPU time for one, in microseconds.
    pub fn cpu_micros(&self) -> f64 {
        self.median(|round| round.cpu_micros)
    }

    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<28} {:>10.0} {:>12.1} {:>9.3} {:>9.3} {:>9.3} {:>12.3}",
            self.name,
            self.median(|round| round.per_second),
            self.cpu_micros(),
            self.median(|round| round.millis[0]),
            self.median(|round| round.millis[1]),
            self.median(|round| round.millis[2]),
            self.median(|round| round.syncs_each),
        )
    }
}
