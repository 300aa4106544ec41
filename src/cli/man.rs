//! `grantd man`: a manual page for each command, from the text of its help. Touches: fs.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::tell::failed;
use super::{Cli, Exit, Io, help};

/// Writes the manual pages: grantd(1), and one for each subcommand.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::MAN)]
pub(super) struct Args {
    /// The folder to write them into; it is made where it is not there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Why the pages can't be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
struct ManFault {
    path: PathBuf,
    source: std::io::Error,
}

/// Runs `grantd man`.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    match write_all(&command, &args.dir, io) {
        Ok(()) => Exit::Done,
        Err(fault) => failed(io, &fault),
    }
}

fn write_all(command: &clap::Command, folder: &Path, io: &mut Io<'_>) -> Result<(), ManFault> {
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |source| ManFault { path, source }
    };
    std::fs::create_dir_all(folder).map_err(fault(folder))?;
    let mut open = vec![command];
    while let Some(command) = open.pop() {
        open.extend(command.get_subcommands());
        let name = command.get_display_name().unwrap_or("grantd");
        let path = folder.join(format!("{name}.1"));
        let page = page(command, name).map_err(fault(&path))?;
        std::fs::write(&path, page).map_err(fault(&path))?;
        writeln!(io.out, "{}", path.display()).map_err(fault(Path::new("stdout")))?;
    }
    Ok(())
}

fn page(command: &clap::Command, name: &str) -> std::io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .source(concat!("grantd ", env!("CARGO_PKG_VERSION")))
        .manual("grantd manual");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().next().is_some() {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = command.get_after_long_help() {
        sections(&text.to_string()).to_writer(&mut page)?;
    }
    Ok(page)
}

/// The text behind a help in the form of a page: a line that ends in a colon and is not indented is a
/// heading, indented lines stand as they are.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::default();
    let mut is_plain = false;
    for line in text.lines() {
        let is_indented = line.starts_with(' ');
        if is_plain && !is_indented && !line.is_empty() {
            roff.control("fi", []);
            is_plain = false;
        }
        match line.strip_suffix(':') {
            Some(heading) if !is_indented => {
                roff.control("SH", [heading.to_uppercase().as_str()]);
            }
            _ if is_indented && !is_plain => {
                roff.control("nf", []);
                roff.text([roman(line.trim_start_matches("  "))]);
                is_plain = true;
            }
            _ => {
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
        }
    }
    if is_plain {
        roff.control("fi", []);
    }
    roff
}
