//! How long each stage of the registry's flow takes, by the spans that it opens.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// What was measured since it was last taken: each span in the order of its end, with when it ended.
static ENDED: Mutex<Vec<(&'static str, Duration, Instant)>> = Mutex::new(Vec::new());

struct Watch;

struct Opened(Instant);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Watch {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Opened(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let now = Instant::now();
        let Some(span) = context.span(&id) else {
            return;
        };
        if let Some(Opened(at)) = span.extensions().get::<Opened>() {
            let took = now.duration_since(*at);
            ENDED
                .lock()
                .expect("no panic")
                .push((span.name(), took, now));
        }
    }
}

/// Begins to measure, once for the process.
pub fn install() {
    let only = tracing_subscriber::filter::Targets::new()
        .with_target("grantd::registry", tracing::Level::DEBUG);
    let _again = tracing_subscriber::registry()
        .with(Watch.with_filter(only))
        .try_init();
}

/// The stages since the last call, in order.
pub fn take() -> Vec<(&'static str, Duration, Instant)> {
    std::mem::take(&mut *ENDED.lock().expect("no panic"))
}

/// The sum of each stage, by name.
pub fn sums(stages: &[(&'static str, Duration, Instant)]) -> BTreeMap<&'static str, Duration> {
    let mut sums = BTreeMap::new();
    for (name, took, _) in stages {
        *sums.entry(*name).or_default() += *took;
    }
    sums
}
