//! `grantd audit export`: every event, byte for byte. Touches: fs, net.

use super::source::{Source, SourceArgs, Start};
use super::{Exit, Fault, Io, help};

/// Prints all events as JSON lines.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::AUDIT_EXPORT)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Result<Exit, Fault> {
    let mut source = Source::open(&args.source, Start::Beginning)?;
    let mut out = std::io::BufWriter::new(&mut *io.out);
    while let Some(line) = source.next()? {
        use std::io::Write as _;
        out.write_all(&line)?;
        out.write_all(b"\n")?;
    }
    std::io::Write::flush(&mut out)?;
    Ok(Exit::Done)
}
