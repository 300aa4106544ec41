//! The help of the commands that ask a live daemon how it stands, and take something away from it. Pure.

/// `grantd status`
pub(in crate::cli) const STATUS: &str = "\
Examples:
  grantd status
  grantd status --config ./grantd.toml --expiring 90d
  grantd status --state /var/lib/grantd --format json
  grantd status --client nightly-invoices
  grantd status --export last-use.json
  grantd status --expect-commit 3f2a9c1d --wait 60s

Exit codes:
  0  the daemon is ready: tokens are issued; with --client and --export:
     it has answered; with --expect-commit: the commit is live
  1  no daemon runs there, or it could not be asked
  2  the arguments are wrong
  4  it runs and is not ready: the first lines say why; with
     --expect-commit: another commit was served when the time was over,
     and what holds it back

What next:
  docs/operations.md has a runbook for everything that may be wrong.";

/// `grantd client disable`
pub(in crate::cli) const CLIENT_DISABLE: &str = "\
Examples:
  grantd client disable nightly --reason ticket-4711
  grantd client disable nightly --config ./grantd.toml --format json
  grantd client disable nightly --socket /run/grantd/admin.sock

Exit codes:
  0  done: its next request gets no token; warnings say what is not as it
     should be, such as an id that the registry does not know
  1  no daemon runs there, it could not be asked, or it refuses
  2  the arguments are wrong

What next:
  1. grantd revoke --client ID makes the tokens void that it has already.
  2. Merge disabled = true, or a new secret without the old one.
  3. grantd overlay list says when the registry says the same, and
     grantd overlay clear drops the entry. docs/operations.md has the whole.";

/// `grantd client enable`
pub(in crate::cli) const CLIENT_ENABLE: &str = "\
Examples:
  grantd client enable nightly --force --reason ticket-4711
  grantd client enable nightly --config ./grantd.toml

Exit codes:
  0  done: what the registry says of it counts again
  1  no daemon runs there, it could not be asked, or it refuses: nothing
     disables the client, or the registry has it enabled and --force is not
     said
  2  the arguments are wrong";

/// `grantd overlay`
pub(in crate::cli) const OVERLAY: &str = "\
Examples:
  grantd overlay list
  grantd overlay clear 3";

/// `grantd overlay list`
pub(in crate::cli) const OVERLAY_LIST: &str = "\
Examples:
  grantd overlay list
  grantd overlay list --format json >revocations.json
  grantd overlay list --socket /run/grantd/status.sock

Exit codes:
  0  listed
  1  no daemon runs there, or it could not be asked
  2  the arguments are wrong";

/// `grantd overlay clear`
pub(in crate::cli) const OVERLAY_CLEAR: &str = "\
Examples:
  grantd overlay clear 3
  grantd overlay clear --client nightly --force --reason ticket-4711

Exit codes:
  0  dropped: what the registry says counts again
  1  no daemon runs there, it could not be asked, or it refuses: there is no
     such entry, it still holds something back and --force is not said, or it
     can't be recorded
  2  the arguments are wrong";

/// `grantd revoke`
pub(in crate::cli) const REVOKE: &str = "\
Examples:
  grantd revoke --client nightly --reason ticket-4711
  grantd revoke --jti 0123456789abcdef0123456789abcdef
  grantd revoke --before 2026-11-23T08:30:00Z
  grantd revoke --client nightly --before 2026-11-23T08:30:00Z

Exit codes:
  0  done: it is in force; warnings say what is not as it should be
  1  no daemon runs there, it could not be asked, or it refuses: TIME has not
     come
  2  the arguments are wrong

What next:
  It takes no token out of a client's hands. Verifiers refuse it that are fed
  from grantd overlay list --format json, or from the event
  admin.tokens_revoked; others accept it until it expires. It does not keep
  the client from getting new ones: grantd client disable ID does.";
