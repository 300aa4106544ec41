//! Parses the arguments, calls `cli`, returns the exit code.

use std::process::ExitCode;

use grantd::cli::{Io, parse, run};

fn main() -> ExitCode {
    let mut io = Io {
        out: &mut std::io::stdout(),
        err: &mut std::io::stderr(),
    };
    let exit = match parse(std::env::args_os()) {
        Ok(cli) => run(&cli, &mut io),
        Err(exit) => exit,
    };
    ExitCode::from(exit.code())
}
