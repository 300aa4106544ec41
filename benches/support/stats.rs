//! Times of many answers, one round of them, all rounds of one kind.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Times, to three digits.
pub struct Times(Histogram<u64>);

impl Times {
    /// None yet.
    pub fn new() -> Self {
        Self(Histogram::new(3).expect("three digits are allowed"))
    }

    /// One more.
    pub fn note(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.record(nanos).expect("a histogram that grows");
    }

    /// All of another.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("a histogram that grows");
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that this share of all keep.
    pub fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }
}

/// What is told of a round, by its place in [`Round`].
#[derive(Clone, Copy)]
pub enum Figure {
    /// Answers a second.
    PerSecond,
    /// CPU of the server for one answer, in microseconds.
    Cpu,
    /// Half of the answers came within, in milliseconds.
    P50,
    /// 99 of 100.
    P99,
    /// 999 of 1000.
    P999,
    /// fdatasyncs for one answer.
    Syncs,
}

/// One round of one kind.
pub struct Round {
    figures: [f64; 6],
    answers: f64,
}

impl Round {
    /// From the time of each answer, the time of all, the CPU time and the fdatasyncs of the server.
    pub fn new(times: &Times, took: Duration, cpu: Duration, syncs: f64) -> Self {
        let count = times.count() as f64;
        let millis = |share| times.at(share).as_secs_f64() * 1e3;
        let figures = [
            count / took.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / count,
            millis(0.5),
            millis(0.99),
            millis(0.999),
            syncs / count,
        ];
        Self {
            figures,
            answers: count,
        }
    }

    /// How many answers came.
    pub const fn answers(&self) -> f64 {
        self.answers
    }

    /// One figure of it.
    pub fn figure(&self, figure: Figure) -> f64 {
        let [per_second, cpu, p50, p99, p999, syncs] = self.figures;
        match figure {
            Figure::PerSecond => per_second,
            Figure::Cpu => cpu,
            Figure::P50 => p50,
            Figure::P99 => p99,
            Figure::P999 => p999,
            Figure::Syncs => syncs,
        }
    }
}

/// All rounds of one kind.
pub struct Row {
    /// What was measured.
    pub name: String,
    rounds: Vec<Round>,
}

impl Row {
    /// No round yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            rounds: Vec::new(),
        }
    }

    /// One more round.
    pub fn push(&mut self, round: Round) {
        self.rounds.push(round);
    }

    /// One figure, over all rounds.
    pub fn spread(&self, figure: Figure) -> Spread {
        Spread::of(self.figures(figure).into_iter())
    }

    /// One figure of each round.
    pub fn figures(&self, figure: Figure) -> Vec<f64> {
        let figures = self.rounds.iter().map(|round| round.figure(figure));
        figures.collect()
    }

    /// CPU of this beside that of others together, round by round: what is noisy is noisy for all.
    pub fn ratio(&self, base: &[&Self]) -> Spread {
        let own = self.figures(Figure::Cpu);
        let of_round = |round: usize, row: &Self| {
            let cpu = row.figures(Figure::Cpu);
            cpu.get(round).copied().unwrap_or(f64::NAN)
        };
        let ratios = own.iter().enumerate().map(|(round, own)| {
            let base: f64 = base.iter().map(|row| of_round(round, row)).sum();
            own / base
        });
        Spread::of(ratios)
    }
}

/// The median of some values, and how far they lie apart.
#[derive(Clone, Copy)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least one.
    pub least: f64,
    /// The greatest one.
    pub most: f64,
}

impl Spread {
    /// Of these.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        Self {
            median: at(values.len() / 2),
            least: at(0),
            most: at(values.len().saturating_sub(1)),
        }
    }

    /// `median (least to most)`, with so many digits behind the point.
    pub fn text(&self, digits: usize) -> String {
        format!(
            "{:.digits$} ({:.digits$} to {:.digits$})",
            self.median, self.least, self.most
        )
    }
}
