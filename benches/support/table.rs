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
        let syncs = row.spread(Figure::Syncs);
        vec![
            row.name.clone(),
            row.spread(Figure::PerSecond).text(0),
            row.spread(Figure::Cpu).text(1),
            row.spread(Figure::P50).text(2),
            row.spread(Figure::P99).text(2),
            row.spread(Figure::P999).text(2),
            if syncs.most > 0.0 {
                format!("{:.2}", syncs.median)
            } else {
                String::new()
            },
        ]
    });
    print(&head, &cells.collect::<Vec<_>>());
}
