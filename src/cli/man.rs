//! `grantd man`: a manual page for each command, from the text of its help. Touches: fs.

use std::io::Write;
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
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    // Not by the library, which leaves an empty date out; with a date two builds would differ.
    let (title, version) = (name.to_uppercase(), env!("CARGO_PKG_VERSION"));
    writeln!(
        page,
        ".TH {title} 1 \"\" \"grantd {version}\" \"grantd manual\""
    )?;
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
    Ok(without_idle_breaks(&page))
}

/// The library breaks lines beside paragraphs, which does nothing, and which mandoc warns of.
fn without_idle_breaks(page: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(page);
    let lines: Vec<&str> = text.lines().collect();
    let is_space = |at: usize| {
        let line = lines.get(at);
        line.is_some_and(|line| line.is_empty() || line.starts_with(".sp"))
    };
    let kept = lines.iter().enumerate().filter(|(at, line)| {
        let idle = is_space(at.wrapping_sub(1)) || is_space(at + 1);
        **line != ".br" || !idle
    });
    kept.flat_map(|(_, line)| [line.as_bytes(), b"\n"].concat())
        .collect()
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
