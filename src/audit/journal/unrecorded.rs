//! Why a decision could not be recorded. Pure.

/// No record, so no token: the answer is 503, and needs no record itself.
///
/// The event may stand nevertheless after [`Unrecorded::DeadlinePassed`]: an issued event means that
/// the token was made, not that it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unrecorded {
    /// The journal's bound is reached, in bytes or in age: ship, or make it larger.
    #[error("the journal is full")]
    Full,
    /// The disk has no space left.
    #[error("the disk is full")]
    DiskFull,
    /// More waits for the disk than the queue takes.
    #[error("too many events wait for the disk")]
    QueueFull,
    /// The event was not durable, or not in the stream where that is asked for, in time.
    #[error("the event was not recorded in time")]
    DeadlinePassed,
    /// A write or an fsync failed, or the journal's folder is gone: the daemon must stop.
    #[error("the journal has failed")]
    Failed,
    /// The journal is closed.
    #[error("the daemon is stopping")]
    Stopping,
    /// An event longer than a line may be. Its bounds make that impossible.
    #[error("the event is too long")]
    TooLong,
}

impl Unrecorded {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Full,
        Self::DiskFull,
        Self::QueueFull,
        Self::DeadlinePassed,
        Self::Failed,
        Self::Stopping,
        Self::TooLong,
    ];

    /// The reason as logs and metrics spell it.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::DiskFull => "disk_full",
            Self::QueueFull => "queue_full",
            Self::DeadlinePassed => "deadline_passed",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
            Self::TooLong => "too_long",
        }
    }
}
