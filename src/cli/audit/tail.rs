//! `grantd audit tail`: the last events, and those to come. Touches: fs, net.

use super::super::tell::warn;
use super::row::row;
use super::source::{Source, SourceArgs, Start};
use super::{Exit, Fault, Format, Io, help};

/// Shows the last events.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::AUDIT_TAIL)]
pub(super) struct Args {
    /// How many events
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 10)]
    lines: u64,
    /// Go on with each new event until interrupted
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &Args, format: Format, io: &mut Io<'_>) -> Result<Exit, Fault> {
    let mut source = Source::open(&args.source, Start::Last(args.lines))?;
    let mut printed = false;
    while let Some(line) = source.next()? {
        print(&line, format, io)?;
        printed = true;
    }
    if !printed && args.lines > 0 {
        no_events(&source, io);
    }
    if !args.follow {
        return Ok(Exit::Done);
    }
    loop {
        if let Some(line) = source.wait()? {
            print(&line, format, io)?;
        }
    }
}

/// Nothing on stdout is no answer: it says that there is nothing.
pub(super) fn no_events(source: &Source, io: &mut Io<'_>) {
    warn(io, &format!("there are no events in {}", source.describe()));
}

/// One event, at once, so that a pipe sees it.
pub(super) fn print(line: &[u8], format: Format, io: &mut Io<'_>) -> Result<(), Fault> {
    match format {
        Format::Text => writeln!(io.out, "{}", row(line))?,
        Format::Json => {
            io.out.write_all(line)?;
            io.out.write_all(b"\n")?;
        }
    }
    io.out.flush()?;
    Ok(())
}
