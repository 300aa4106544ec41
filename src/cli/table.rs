//! A table for people: columns as wide as what is in them. Pure.

use super::Io;
use crate::domain::visible;

/// Space between two columns.
const GAP: usize = 2;

/// Prints rows below their headings. The last column is as long as it is.
///
/// # Errors
/// When printing fails.
pub(super) fn print<const N: usize>(
    headings: [&str; N],
    rows: &[[String; N]],
    io: &mut Io<'_>,
) -> std::io::Result<()> {
    let mut widths = headings.map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    line(headings.iter().copied(), &widths, io)?;
    for row in rows {
        line(row.iter().map(String::as_str), &widths, io)?;
    }
    Ok(())
}

fn line<'a>(
    cells: impl Iterator<Item = &'a str>,
    widths: &[usize],
    io: &mut Io<'_>,
) -> std::io::Result<()> {
    let mut text = String::new();
    let mut open = 0;
    for (cell, width_of_column) in cells.zip(widths) {
        text.extend(std::iter::repeat_n(' ', open));
        // A title is what somebody wrote: it can't write a line of its own.
        text.push_str(&visible(cell));
        open = (width_of_column + GAP).saturating_sub(width(cell));
    }
    writeln!(io.out, "{}", text.trim_end())
}

/// Columns that a text takes, each character as one.
fn width(text: &str) -> usize {
    visible(text).chars().count()
}
