//! Tables in Markdown, as `docs/performance.md` has them.

use super::stats::{Figure, Row};

/// Prints a table; every column but the first holds numbers.
pub fn print(head: &[&str], rows: &[Vec<String>]) {
    println!("| {} |", head.join(" | "));
    println!("|---|{}", "---:|".repeat(head.len().saturating_sub(1)));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    println!();
}

/// Prints a heading and a paragraph.
pub fn heading(title: &str, words: &str) {
    println!("### {title}\n\n{words}\n");
}

/// The table of loads: rate, CPU and latencies of each row, median (least to most) of its rounds.
pub fn loads(rows: &[Row]) {
    let head = [
        "",
        "per second",
        "CPU, µs each",
        "p50, ms",
        "p99, ms",
        "p99.9, ms",
        "fdatasync each",
    ];
    let cells = rows.iter().map(|row| {
        let (cpu, syncs) = (row.spread(Figure::Cpu), row.spread(Figure::Syncs));
        let unless_none = |there: bool, text: String| if there { text } else { String::new() };
        vec![
            row.name.clone(),
            row.spread(Figure::PerSecond).text(0),
            unless_none(cpu.most > 0.0, cpu.text(1)),
            row.spread(Figure::P50).text(2),
            row.spread(Figure::P99).text(2),
            row.spread(Figure::P999).text(2),
            unless_none(syncs.most > 0.0, format!("{:.2}", syncs.median)),
        ]
    });
    print(&head, &cells.collect::<Vec<_>>());
}
