//! `[MODE] [--rounds N] [--seconds N]`, behind what cargo itself passes.

use std::time::Duration;

/// What is to be measured, and for how long.
pub struct Arguments {
    /// The mode, if one was named.
    pub mode: Option<String>,
    /// Rounds of each kind.
    pub rounds: usize,
    /// Length of a round.
    pub length: Duration,
}

impl Arguments {
    /// From the command line. `None` when nothing is to be measured: under `cargo test --benches`.
    ///
    /// # Errors
    /// What can't be understood.
    pub fn read() -> Result<Option<Self>, String> {
        let mut read = Self {
            mode: None,
            rounds: 5,
            length: Duration::from_secs(3),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || {
                let number = words.next().and_then(|word| word.parse::<u64>().ok());
                let number = number.filter(|number| (1..=86_400).contains(number));
                number.ok_or_else(|| format!("{word} needs a number from 1 to 86400"))
            };
            match word.as_str() {
                // `cargo bench` says so to every benchmark, `cargo test` the other.
                "--bench" => {}
                "--test" => return Ok(None),
                "--rounds" => read.rounds = usize::try_from(number()?).unwrap_or(1),
                "--seconds" => read.length = Duration::from_secs(number()?),
                mode if !mode.starts_with('-') && read.mode.is_none() => {
                    read.mode = Some(mode.to_owned());
                }
                other => return Err(format!("what is {other}?")),
            }
        }
        Ok(Some(read))
    }
}
