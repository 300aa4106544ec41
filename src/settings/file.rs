//! The shape of `grantd.toml`, for serde alone. Pure.
//!
//! What serde fills never leaves `settings`: `check` turns it into domain types.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) issuer: String,
    pub(super) instance: Option<String>,
    #[serde(default)]
    pub(super) listen: Listen,
    pub(super) tls: Tls,
    #[serde(default)]
    pub(super) registry: Registry,
    #[serde(default)]
    pub(super) state: State,
    #[serde(default)]
    pub(super) keys: Keys,
    #[serde(default)]
    pub(super) audit: Audit,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) log: Log,
    #[serde(default)]
    pub(super) admin: Admin,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) socket: Option<String>,
    pub(super) group: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) status_socket: Option<String>,
    pub(super) status_group: Option<String>,
    pub(super) status_mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    pub(super) address: Option<String>,
    pub(super) metrics_address: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate: String,
    pub(super) key: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registry {
    pub(super) dir: Option<String>,
    pub(super) policy_folder: Option<String>,
    pub(super) events: Option<bool>,
    pub(super) expiry_window: Option<String>,
    pub(super) last_good_max_age: Option<String>,
    pub(super) last_good_too_old: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) dir: Option<String>,
    pub(super) last_use_every: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    pub(super) dir: Option<String>,
    pub(super) algorithms: Option<Vec<String>>,
    pub(super) verifier_cache_max: Option<String>,
    pub(super) publish_lead: Option<String>,
    pub(super) active_for: Option<String>,
    pub(super) prune_margin: Option<String>,
    pub(super) sealing_key_file: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    pub(super) wait_for: Option<String>,
    pub(super) segment: Option<String>,
    pub(super) min_free: Option<String>,
    #[serde(default)]
    pub(super) unshipped_max: Bound,
    #[serde(default)]
    pub(super) keep: Bound,
    pub(super) drop_oldest: Option<bool>,
    #[serde(default)]
    pub(super) refusals: Refusals,
    pub(super) nats: Option<Nats>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bound {
    pub(super) bytes: Option<String>,
    pub(super) age: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refusals {
    pub(super) per_minute: Option<u32>,
    pub(super) per_prefix_per_minute: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nats {
    pub(super) url: OneOrMany,
    pub(super) stream: Option<String>,
    pub(super) create_stream: Option<bool>,
    pub(super) ca_file: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) token_file: Option<String>,
    pub(super) nkey_file: Option<String>,
    pub(super) creds_file: Option<String>,
    pub(super) inbox_prefix: Option<String>,
    pub(super) timeout: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) connections: Option<usize>,
    pub(super) connections_per_address: Option<usize>,
    pub(super) handshake_time: Option<String>,
    pub(super) header_time: Option<String>,
    pub(super) header_size: Option<String>,
    pub(super) header_fields: Option<usize>,
    pub(super) streams: Option<u32>,
    pub(super) body_size: Option<String>,
    pub(super) body_time: Option<String>,
    pub(super) request_time: Option<String>,
    pub(super) idle_time: Option<String>,
    pub(super) max_age: Option<String>,
    pub(super) write_time: Option<String>,
    pub(super) failures_per_minute: Option<usize>,
    pub(super) drain_time: Option<String>,
    pub(super) workers: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) format: Option<String>,
    pub(super) filter: Option<String>,
}
