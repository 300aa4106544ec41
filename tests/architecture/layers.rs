//! The order of the house, in one table, and the exceptions to it, each with its reason.

/// One floor of the house. A module may import from the floors above its line in the table (which
/// are earlier in the flow, or more basic), and from its own stage; never from a later one.
pub struct Layer {
    /// What the floor is for.
    pub name: &'static str,
    /// The modules on it, each with all below it that no other line names. The longest name wins.
    pub modules: &'static [&'static str],
}

/// From the words that everyone shares up to the program. A new folder must be given its line here.
pub const LAYERS: &[Layer] = &[
    Layer {
        name: "words",
        modules: &["domain"],
    },
    Layer {
        name: "the one places",
        modules: &["clock", "random", "secret_file", "tasks"],
    },
    // Facts: what the registry and the rings say. The flow's stages take them as arguments. The
    // registry's own flow goes through the floors below: file → check → diff → guard.
    Layer {
        name: "facts",
        modules: &["registry", "keys"],
    },
    Layer {
        name: "registry: file",
        modules: &["registry::file"],
    },
    Layer {
        name: "registry: check",
        modules: &["registry::check"],
    },
    Layer {
        name: "registry: diff",
        modules: &["registry::diff"],
    },
    Layer {
        name: "registry: what a difference means",
        modules: &["registry::meaning"],
    },
    Layer {
        name: "registry: who must agree to it",
        modules: &["registry::approval"],
    },
    Layer {
        name: "registry: guard",
        modules: &["registry::guard"],
    },
    Layer {
        name: "one world",
        modules: &["world"],
    },
    // The request flow, in its order.
    Layer {
        name: "request",
        modules: &["http::token_request", "http::form", "http::basic"],
    },
    Layer {
        name: "client_auth ⇄ evidence",
        modules: &["client_auth", "evidence"],
    },
    Layer {
        name: "grant",
        modules: &["grant"],
    },
    Layer {
        name: "mint",
        modules: &["mint"],
    },
    // What a request would come to: the pure stages, asked without a secret.
    Layer {
        name: "explain",
        modules: &["explain"],
    },
    Layer {
        name: "audit",
        modules: &["audit"],
    },
    Layer {
        name: "issue",
        modules: &["issue"],
    },
    // What changes behind the requests: the registry flow's edges and the rotation of keys, which
    // record what they do.
    Layer {
        name: "changes",
        modules: &[
            "registry::load",
            "registry::keep",
            "registry::watch",
            "registry::publish",
            "keys::rotate",
            "store",
        ],
    },
    Layer {
        name: "telemetry",
        modules: &["telemetry"],
    },
    // The beginning of the request flow is also its end: these two bring the answer out.
    Layer {
        name: "listener",
        modules: &["listener"],
    },
    Layer {
        name: "http",
        modules: &["http"],
    },
    Layer {
        name: "settings",
        modules: &["settings"],
    },
    Layer {
        name: "what is seen from outside",
        modules: &["telemetry::logs", "telemetry::metrics"],
    },
    Layer {
        name: "admin",
        modules: &["admin"],
    },
    Layer {
        name: "daemon",
        modules: &["daemon"],
    },
    Layer {
        name: "cli",
        modules: &["cli"],
    },
    Layer {
        name: "program",
        modules: &["main", ""],
    },
];

/// An import against the order that is right all the same.
pub struct Exception {
    /// The module that imports, with all below it.
    pub from: &'static str,
    /// The module that defines what is imported, with all below it.
    pub to: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// Imports of a later stage.
pub const UPWARD: &[Exception] = &[Exception {
    from: "mint::token",
    to: "audit::journal::receipt",
    reason: "a token is revealed by a receipt only, and a receipt is private to the journal",
}];

/// Imports of a file that touches something by a file that says `Pure.`: types only.
pub const IMPURE: &[Exception] = &[
    Exception {
        from: "client_auth",
        to: "evidence",
        reason: "the types of what is needed and of what was fetched; the fetching is not called",
    },
    Exception {
        from: "registry::snapshot",
        to: "registry::last_use",
        reason: "a credential has its mark of use beside it; no rule reads it",
    },
];

/// Uses of other crates that [`IMPURE_PATHS`] forbids, by files that are pure all the same.
pub const FOREIGN: &[Exception] = &[
    Exception {
        from: "mint::jws",
        to: "aws_lc_rs::rand",
        reason: "a signature takes a source of randomness: same verdict, other bytes",
    },
    Exception {
        from: "audit::ship::findings",
        to: "async_nats",
        reason: "the types of what a server says about itself; nothing is asked",
    },
];

/// Files that may know hyper: what turns connections into requests and answers.
pub const KNOW_HYPER: &[&str] = &["listener", "http", "daemon"];

/// The crates of that stack.
pub const HYPER: &[&str] = &[
    "hyper",
    "hyper_util",
    "http_body_util",
    "http",
    "http_body",
    "h2",
];

/// Modules that may sign: `.sign(…)` is called nowhere else.
pub const SIGN: &[Exception] = &[Exception {
    from: "mint::jws",
    to: "",
    reason: "tokens: the one place that signs them",
}];

/// Modules whose types serde fills.
pub const DESERIALIZE: &[Exception] = &[
    Exception {
        from: "registry::file",
        to: "",
        reason: "the files of the registry",
    },
    Exception {
        from: "settings::file",
        to: "",
        reason: "grantd.toml",
    },
    Exception {
        from: "keys::file",
        to: "",
        reason: "key files: self-describing, so that they outlive the store",
    },
    Exception {
        from: "audit::chain",
        to: "",
        reason: "lines of a journal or a stream, which an auditor reads from anywhere",
    },
    Exception {
        from: "audit::ship::reply",
        to: "",
        reason: "what a NATS server answers",
    },
    Exception {
        from: "cli::json",
        to: "",
        reason: "objects that a server, a token or the cache holds: untyped, each member once",
    },
    Exception {
        from: "admin::protocol",
        to: "",
        reason: "what goes over the admin socket",
    },
    Exception {
        from: "store::overlay",
        to: "",
        reason: "what operators took away, as the store keeps it",
    },
];

/// Modules that `design.md` calls pure, each with all below it.
pub const PURE: &[&str] = &[
    "domain",
    "client_auth",
    "grant",
    "mint",
    "explain",
    "registry::file",
    "registry::check",
    "registry::snapshot",
    "registry::diff",
    "registry::overlay",
    "registry::meaning",
    "registry::approval",
    "registry::policy",
    "registry::guard",
    "keys::ring",
    "keys::schedule",
    "keys::jwks",
    "audit::event",
    "audit::chain",
];

/// What a file that says `Pure.` may not use.
pub const IMPURE_PATHS: &[&[&str]] = &[
    &["std", "fs"],
    &["std", "net", "TcpStream"],
    &["std", "net", "TcpListener"],
    &["std", "net", "UdpSocket"],
    &["std", "net", "ToSocketAddrs"],
    &["std", "os"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "io", "stdin"],
    &["std", "io", "stdout"],
    &["std", "io", "stderr"],
    &["std", "time", "SystemTime"],
    &["std", "time", "Instant"],
    &["tokio"],
    &["tokio_util"],
    &["tokio_rustls"],
    &["hyper", "body"],
    &["hyper", "client"],
    &["hyper", "server"],
    &["hyper", "service"],
    &["hyper_util"],
    &["rustix"],
    &["sled"],
    &["notify"],
    &["gix"],
    &["tempfile"],
    &["async_nats"],
    &["aws_lc_rs", "rand"],
    &["tracing"],
];

/// Longest file without its tests, in lines (`conventions.md`, Shape).
pub const MAX_FILE_LINES: usize = 500;

/// Longest body of a function, in lines of code (`conventions.md`, Shape).
pub const MAX_FUNCTION_LINES: usize = 60;

/// Most arguments of a function, `self` left out (`conventions.md`, Shape).
pub const MAX_ARGUMENTS: usize = 5;
