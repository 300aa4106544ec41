//! What the kernel says of a process (proc(5)), and on which core it runs.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest that anything may take to start or to stop.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A child that is ended when it is dropped.
pub struct Process(Child);

impl Process {
    /// Starts a program on these cores.
    pub fn start(cores: &str, command: &Command) -> Self {
        Self::with_input(cores, command, Stdio::null())
    }

    /// The same with this for its standard input.
    pub fn with_input(cores: &str, command: &Command, input: Stdio) -> Self {
        let mut pinned = Command::new("taskset");
        pinned
            .args(["-c", cores])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            pinned.current_dir(folder);
        }
        let child = pinned
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("taskset (Debian: util-linux) starts a program");
        Self(child)
    }

    /// The child itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// User and system time so far, of ended threads too, in ticks of 10 ms.
    pub fn cpu(&self) -> Duration {
        let stat = self.read("stat");
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Time on a core so far, to the nanosecond, of the living threads of this name.
    pub fn thread_cpu(&self, name: &str) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).expect("it lives");
        let named = tasks.flatten().map(|task| task.path()).filter(|task| {
            fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
        });
        let nanos = named.filter_map(|task| {
            let stat = fs::read_to_string(task.join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// A line of `/proc/PID/status`, in MiB: `VmRSS`, `VmHWM`, `RssAnon`.
    pub fn mebibytes(&self, name: &str) -> f64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.map_or(f64::NAN, |kib| kib / 1024.0)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).expect("it lives")
    }

    /// Ends it as an operator would, and waits.
    pub fn stop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        wait_for("an end", || self.0.try_wait().ok().flatten());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Waits until there is something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "waited {PATIENCE:?} for {what}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Keeps this process and its threads on one core.
pub fn pin_self(core: &str) {
    let pid = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["-a", "-p", "-c", core, &pid])
        .stdout(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "taskset (Debian: util-linux) pins this process"
    );
}
