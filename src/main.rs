//! Parses the arguments, calls `cli`, returns the exit code.

use std::process::ExitCode;

use clap::Parser;
use grantd::cli::{Cli, Io, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut io = Io {
        out: &mut std::io::stdout(),
        err: &mut std::io::stderr(),
    };
    ExitCode::from(run(&cli, &mut io) as u8)
}
