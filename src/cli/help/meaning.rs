//! The help of the commands that ask what a registry means. Pure.

/// `grantd plan`
pub(in crate::cli) const PLAN: &str = "\
Examples:
  grantd plan                   what is not committed yet, in ./registry.d
  grantd plan registry.d --from origin/main --to HEAD --approvals
  grantd plan registry.d --from origin/main --to HEAD --merge-base
  grantd plan registry.d --from ./old --to ./new --format json
  grantd plan registry.d --from live=http://127.0.0.1:9464 --to HEAD
  grantd plan registry.d --from origin/main --to HEAD --format markdown
  grantd plan registry.d --from origin/main --to HEAD \\
      --approved-by team-billing,team-platform

Exit codes:
  0  nothing changes
  1  failed, or the arguments are wrong: the message says why
  2  there are changes
  3  refused: by check, by a guard of the policy, or an approval is missing;
     with --approved-by a guard alone does not refuse what has all approvals

As a gate:
  --approved-by must run from the workflow of the base branch, with --from the
  tip of the base and --to the merge result: a workflow that a pull request
  brings approves itself, and where a branch parted (--merge-base) former
  owners are named. docs/plan.md shows it.";

/// `grantd explain`
pub(in crate::cli) const EXPLAIN: &str = "\
Examples:
  grantd explain --client nightly --resource billing --scope invoice:read
  grantd explain --client nightly --at 2027-07-01 registry.d
  grantd explain --client nightly --credential rotation \\
      --config /etc/grantd/grantd.toml
  grantd explain --client nightly --resource https://billing.example.com/api \\
      --format json

Exit codes:
  0  the request would be granted
  1  failed: the folder or the settings can't be read, or the client has no
     such secret
  2  the arguments are wrong
  3  the request would be refused, or the registry is by check; the first FAIL
     is what the daemon would answer with

What it can't know:
  Whether the caller has the secret; whether the daemon serves this registry
  and has a key to sign with (grantd status); what operators took away above
  it (grantd overlay list). A token also ends before its signing key leaves
  the published keys.";

/// `grantd access`
pub(in crate::cli) const ACCESS: &str = "\
Examples:
  grantd access --resource billing
  grantd access --resource billing --scope payment:release
  grantd access --client nightly registry.d
  grantd access --resource https://billing.example.com/api --format json

Exit codes:
  0  listed, though it may be nobody
  1  failed: no such client, resource or scope, or the folder can't be read
  2  the arguments are wrong
  3  the registry is refused by check

States:
  active     may ask for tokens
  disabled   switched off by `disabled = true`
  expired    its `expires` has passed
  no-secret  none of its secrets may be used now";

/// `grantd schema`
pub(in crate::cli) const SCHEMA: &str = "\
Examples:
  grantd schema >registry.schema.json
  grantd schema --format json

Exit codes:
  0  printed
  1  stdout can't be written
  2  the arguments are wrong

What next:
  A first line `#:schema ./registry.schema.json` in a file, or a rule in
  .taplo.toml for all of them, and the editor knows: docs/gitops.md shows how.";
