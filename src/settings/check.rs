//! From the shape of the file to settings in domain types, with every problem at once. Pure.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use tracing_subscriber::EnvFilter;

use super::{LogSettings, Settings, admin, audit, defaults, file, limits};
use crate::domain::{Algorithm, InstanceName, Issuer, Lifetime};
use crate::keys::schedule::ScheduleSettings;
use crate::registry::check::{POLICY_FOLDER, Rules};
use crate::registry::load::Limits;
use crate::registry::publish::{LAST_GOOD_MAX_AGE, LastGoodSettings, RegistrySettings};
use crate::telemetry::status::EXPIRY_WINDOW;

/// Longest time-out: a longer one protects nothing. The shortest is one second: less breaks good clients.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);

/// Shortest window of expiry dates: a day, for they are told once a day.
const SHORTEST_WINDOW: Lifetime = Lifetime::from_days(1);

/// Longest window of expiry dates: a year, the longest life that credentials should have.
const LONGEST_WINDOW: Lifetime = Lifetime::from_days(366);

/// Most of anything that is counted: more than one machine can hold.
const MOST_COUNT: usize = 1_000_000;

/// What the path of a file begins with that the service manager passes (`LoadCredential=`).
const CREDENTIAL: &str = "credential:";

/// What is not in the file: where it lies, and on what.
pub(super) struct Surroundings<'a> {
    /// What relative paths are relative to.
    pub(super) base: &'a Path,
    /// The default of the workers.
    pub(super) processors: usize,
    /// Where the credentials of the service manager are.
    pub(super) credentials: &'a Path,
}

/// Collects what is wrong while values are converted.
pub(super) struct Problems<'a> {
    pub(super) surroundings: &'a Surroundings<'a>,
    found: Vec<String>,
}

/// Turns the file into settings.
pub(super) fn check(
    file: file::File,
    surroundings: &Surroundings<'_>,
) -> Result<Settings, Vec<String>> {
    let mut problems = Problems {
        surroundings,
        found: Vec::new(),
    };
    let settings = convert(file, &mut problems);
    match settings {
        Some(settings) if problems.found.is_empty() => Ok(settings),
        _ => Err(problems.found),
    }
}

fn convert(file: file::File, problems: &mut Problems<'_>) -> Option<Settings> {
    let file::File {
        issuer,
        instance,
        listen,
        tls,
        registry,
        state,
        keys,
        audit,
        limits,
        log,
        admin,
    } = file;
    let issuer = problems.keep("issuer", &issuer, Issuer::parse(&issuer));
    let instance = instance.unwrap_or_else(|| defaults::INSTANCE.to_owned());
    let instance = problems.keep("instance", &instance, InstanceName::parse(&instance));
    let [listen, metrics_listen] = convert_listen(listen, problems);
    let file::Tls { certificate, key } = tls;
    let file::State {
        dir,
        last_use_every,
    } = state;
    let state = problems.path(&dir.unwrap_or_else(|| defaults::STATE_DIR.to_owned()));
    let (keys_dir, sealing_key, keys) = convert_keys(keys, &state, problems);
    let (workers, drain, connections, http) = limits::convert(&limits, problems);
    let (journal, ship) = audit::convert(audit, instance.as_ref(), problems);
    let usual = (
        state.join(defaults::ADMIN_SOCKET),
        state.join(defaults::STATUS_SOCKET),
    );
    let admin = admin::convert(admin, usual, problems);
    Some(Settings {
        expiry_window: expiry_window(&registry.expiry_window, problems),
        last_use_every: problems.timeout(
            "state.last_use_every",
            &last_use_every,
            defaults::LAST_USE_EVERY,
        ),
        certificate: problems.file("tls.certificate", &certificate),
        certificate_key: problems.file("tls.key", &key),
        registry: convert_registry(registry, &keys.algorithms, problems),
        log: convert_log(log, problems),
        issuer: issuer?,
        instance: instance?,
        listen: listen?,
        metrics_listen: metrics_listen?,
        keys,
        keys_dir,
        sealing_key,
        state,
        journal,
        ship,
        connections,
        http,
        workers,
        drain,
        admin,
    })
}

/// The address for everybody, and the one for metrics.
fn convert_listen(listen: file::Listen, problems: &mut Problems<'_>) -> [Option<SocketAddr>; 2] {
    let file::Listen {
        address,
        metrics_address,
    } = listen;
    [
        problems.address("listen.address", address, defaults::LISTEN),
        problems.address(
            "listen.metrics_address",
            metrics_address,
            defaults::METRICS_LISTEN,
        ),
    ]
}

fn convert_registry(
    registry: file::Registry,
    algorithms: &[Algorithm],
    problems: &mut Problems<'_>,
) -> RegistrySettings {
    let file::Registry {
        dir,
        policy_folder,
        events,
        // Not for whoever reads the folder.
        expiry_window: _,
        last_good_max_age,
        last_good_too_old,
    } = registry;
    let last_good = LastGoodSettings {
        max_age: problems.span(
            "registry.last_good_max_age",
            &last_good_max_age,
            LAST_GOOD_MAX_AGE,
        ),
        refuse: match last_good_too_old.as_deref() {
            None | Some("alarm") => false,
            Some("refuse") => true,
            Some(other) => {
                problems.add(format!(
                    "registry.last_good_too_old = {other:?}: write \"alarm\" or \"refuse\""
                ));
                false
            }
        },
    };
    let policy_folder = policy_folder.unwrap_or_else(|| POLICY_FOLDER.to_owned());
    if policy_folder.is_empty() || policy_folder.contains('/') || policy_folder.starts_with('.') {
        problems.add(format!(
            "registry.policy_folder = {policy_folder:?} is no name of a folder: write one without \"/\" and without a leading \".\""
        ));
    }
    RegistrySettings {
        folder: problems.path(&dir.unwrap_or_else(|| defaults::REGISTRY_DIR.to_owned())),
        rules: Rules {
            algorithms: algorithms.to_vec(),
            policy_folder,
        },
        limits: Limits::default(),
        events: events.unwrap_or(true),
        extra: None,
        last_good,
    }
}

/// Longer than a year, and it tells of everything; shorter than a day, and the event of each day misses
/// what it is for.
fn expiry_window(text: &Option<String>, problems: &mut Problems<'_>) -> Lifetime {
    let window = problems.span("registry.expiry_window", text, EXPIRY_WINDOW);
    if !(SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&window) {
        problems.add(format!(
            "registry.expiry_window = \"{window}\": it must lie between {SHORTEST_WINDOW} and {LONGEST_WINDOW}"
        ));
    }
    window
}

fn convert_keys(
    keys: file::Keys,
    state: &Path,
    problems: &mut Problems<'_>,
) -> (PathBuf, Option<PathBuf>, ScheduleSettings) {
    let file::Keys {
        dir,
        algorithms,
        verifier_cache_max,
        publish_lead,
        active_for,
        prune_margin,
        sealing_key_file,
    } = keys;
    let mut settings = ScheduleSettings::default();
    if let Some(names) = algorithms {
        settings.algorithms.clear();
        for name in &names {
            if let Some(algorithm) = problems.keep("keys.algorithms", name, name.parse()) {
                settings.algorithms.push(algorithm);
            }
        }
    }
    let spans = [
        (
            "keys.verifier_cache_max",
            verifier_cache_max,
            &mut settings.verifier_cache_max,
        ),
        (
            "keys.publish_lead",
            publish_lead,
            &mut settings.publish_lead,
        ),
        ("keys.active_for", active_for, &mut settings.active_for),
        (
            "keys.prune_margin",
            prune_margin,
            &mut settings.prune_margin,
        ),
    ];
    for (name, text, place) in spans {
        if let Some(text) = text
            && let Some(span) = problems.keep(name, &text, Lifetime::parse(&text))
        {
            *place = span;
        }
    }
    let keys_dir = dir.map_or_else(|| state.join(defaults::KEYS_DIR), |dir| problems.path(&dir));
    let sealing_key = sealing_key_file.map(|file| problems.file("keys.sealing_key_file", &file));
    for fault in settings.faults() {
        problems.add(format!("[keys]: {fault}"));
    }
    (keys_dir, sealing_key, settings)
}

fn convert_log(log: file::Log, problems: &mut Problems<'_>) -> LogSettings {
    let file::Log { format, filter } = log;
    let json = match format.as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => {
            problems.add(format!(
                "log.format = {other:?}: write \"text\" or \"json\""
            ));
            false
        }
    };
    let filter = filter.unwrap_or_else(|| defaults::LOG_FILTER.to_owned());
    if let Err(error) = EnvFilter::builder().parse(&filter) {
        problems.add(format!(
            "log.filter = {filter:?}: {error}: write a level (error, warn, info, debug, trace) or a filter such as \"grantd=debug,info\""
        ));
    }
    LogSettings { json, filter }
}

impl Problems<'_> {
    /// Notes a problem.
    pub(super) fn add(&mut self, problem: String) {
        self.found.push(problem);
    }

    /// The value, or a problem with the name and the text of the setting.
    pub(super) fn keep<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        text: &str,
        value: Result<T, E>,
    ) -> Option<T> {
        value
            .map_err(|error| self.add(format!("{name} = {text:?}: {error}")))
            .ok()
    }

    /// A path, relative to the folder of the settings file.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.surroundings.base.join(text)
    }

    /// A file that may come from the service manager instead: `credential:NAME`. Where there is none,
    /// whoever reads it says so.
    pub(super) fn file(&mut self, name: &str, text: &str) -> PathBuf {
        let Some(credential) = text.strip_prefix(CREDENTIAL) else {
            return self.path(text);
        };
        if credential.is_empty() || credential.contains('/') || credential.starts_with('.') {
            self.add(format!(
                "{name} = {text:?}: write credential:NAME with the name that LoadCredential= of the unit gives it, without \"/\" and without a leading \".\""
            ));
        }
        self.surroundings.credentials.join(credential)
    }

    /// A time-out within its range.
    pub(super) fn timeout(
        &mut self,
        name: &str,
        text: &Option<String>,
        default: Duration,
    ) -> Duration {
        self.timeout_up_to(name, text, default, LONGEST_TIMEOUT)
    }

    /// The same with another longest time.
    pub(super) fn timeout_up_to(
        &mut self,
        name: &str,
        text: &Option<String>,
        default: Duration,
        most: Duration,
    ) -> Duration {
        let Some(text) = text else {
            return default;
        };
        let Some(span) = self.keep(name, text, Lifetime::parse(text)) else {
            return default;
        };
        let most = most.as_secs();
        if !(1..=most).contains(&span.seconds()) {
            self.add(format!(
                "{name} = {text:?}: it must lie between 1s and {most}s"
            ));
        }
        span.to_duration()
    }

    /// A span of time.
    pub(super) fn span(
        &mut self,
        name: &str,
        text: &Option<String>,
        default: Lifetime,
    ) -> Lifetime {
        text.as_ref()
            .and_then(|text| self.keep(name, text, Lifetime::parse(text)))
            .unwrap_or(default)
    }

    /// A number of bytes, such as `16KiB`.
    pub(super) fn bytes(&mut self, name: &str, text: &Option<String>, default: u64) -> u64 {
        let Some(text) = text else {
            return default;
        };
        self.keep(name, text, text.parse::<ByteSize>())
            .map_or(default, |size| size.as_u64())
    }

    /// A number of bytes that fits into memory many times.
    pub(super) fn size(&mut self, name: &str, text: &Option<String>, default: usize) -> usize {
        let bytes = self.bytes(name, text, default as u64);
        if !(1024..=16 * 1024 * 1024).contains(&bytes) {
            self.add(format!(
                "{name} = {bytes} bytes: it must lie between 1KiB and 16MiB"
            ));
        }
        usize::try_from(bytes).unwrap_or(default)
    }

    /// A number of things.
    pub(super) fn count(&mut self, name: &str, count: Option<usize>, default: usize) -> usize {
        let count = count.unwrap_or(default);
        if !(1..=MOST_COUNT).contains(&count) {
            self.add(format!(
                "{name} = {count}: it must lie between 1 and {MOST_COUNT}"
            ));
        }
        count.clamp(1, MOST_COUNT)
    }

    /// A number of things that are counted in 32 bits.
    pub(super) fn count32(&mut self, name: &str, count: Option<usize>, default: usize) -> u32 {
        u32::try_from(self.count(name, count, default)).unwrap_or(u32::MAX)
    }

    fn address(&mut self, name: &str, text: Option<String>, default: &str) -> Option<SocketAddr> {
        let text = text.unwrap_or_else(|| default.to_owned());
        let parsed = text.parse().map_err(
            |_| "write an address and a port, such as \"127.0.0.1:8443\" or \"[::]:8443\"",
        );
        self.keep(name, &text, parsed)
    }
}
