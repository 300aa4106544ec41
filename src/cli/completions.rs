//! `grantd completions`: what a shell needs to complete commands and options. Touches: process, by stdout.

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::tell::failed;
use super::{Cli, Exit, Io, help};

/// Prints the completions of a shell: commands, options and their values.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::COMPLETIONS)]
pub(super) struct Args {
    /// For which shell.
    #[arg(value_enum)]
    shell: For,
}

/// The shells whose completions are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum For {
    Bash,
    Zsh,
    Fish,
}

/// Runs `grantd completions`.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let shell = match args.shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
    };
    // Into memory first: the library takes a stdout that is closed for a broken program.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "grantd", &mut script);
    match io.out.write_all(&script).and_then(|()| io.out.flush()) {
        Ok(()) => Exit::Done,
        // `grantd completions bash | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => failed(io, &error),
    }
}
