//! What a reader must know of the machine before any figure.

use std::path::Path;

/// Prints it; `folders` are those that a state lay in.
pub fn print(folders: &[(&str, &Path)]) {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.split_whitespace().nth(1).unwrap_or_default();
    let gib = total.parse::<f64>().unwrap_or(f64::NAN) / 1024.0 / 1024.0;
    println!(
        "- {model}, {cores} cores, {gib:.0} GiB; Linux {}",
        kernel.trim()
    );
    for (name, folder) in folders {
        println!("- {name}: {}", file_system(folder));
    }
    let profile = if cfg!(debug_assertions) {
        "**the dev profile: these figures say nothing about a release**"
    } else {
        "release profile"
    };
    println!(
        "- {profile}; daemon on core {}, load on core {}",
        super::DAEMON_CORE,
        super::LOAD_CORE
    );
    println!();
}

/// The kind of file system that a folder is on, and its options.
fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    mounts
        .filter(|(point, ..)| folder.starts_with(point))
        .max_by_key(|(point, ..)| point.len())
        .map_or("unknown".to_owned(), |(_, kind, options)| {
            format!("{kind} ({options})")
        })
}
