//! The configuration read again when it changes, or when somebody says so.
//!
//! Contents are hashed every few seconds instead of waiting for the kernel's word: a
//! ConfigMap is a link to a link that is swapped, a bind mount may never say anything,
//! and ten small files cost less to read than that is worth.

use std::sync::Arc;
use std::time::Duration;

use super::loaded::Loaded;
use super::state::{Event, Shared};
use crate::diagnostic::Look;
use crate::time::Now;

/// How often the files are looked at.
const AGAIN: Duration = Duration::from_secs(5);

/// Looks for changes for as long as the service runs.
pub(super) async fn watch(shared: Arc<Shared>) {
    // What was found wrong is said once, not every few seconds.
    let mut refused = None;
    loop {
        let asked = tokio::select! {
            () = shared.woken_to_reload() => true,
            () = tokio::time::sleep(AGAIN) => false,
        };
        let loaded = shared.loaded();
        let found = tokio::task::spawn_blocking(move || {
            let found = loaded.fingerprint_now();
            (found, found != loaded.fingerprint, loaded)
        });
        let Ok((found, changed, loaded)) = found.await else {
            continue;
        };
        if !asked && (!changed || refused == Some(found)) {
            continue;
        }
        let origin = loaded.origin.clone();
        let read = tokio::task::spawn_blocking(move || Loaded::read(origin)).await;
        let Ok(read) = read else { continue };
        let refusal = match read {
            Ok(new) => match outside(&shared, &new) {
                None => {
                    accept(&shared, new);
                    refused = None;
                    continue;
                }
                Some(message) => message,
            },
            Err(error) => {
                let told = error.0.0.iter().map(|finding| finding.render(Look::Plain));
                told.collect::<Vec<_>>().join("\n")
            }
        };
        refused = Some(found);
        refuse(&shared, refusal);
    }
}

/// A process that has given up writing elsewhere cannot take it back.
fn outside(shared: &Shared, new: &Loaded) -> Option<String> {
    let known = &shared.places;
    let mut places = new.places().into_iter();
    let strange = places.find(|place| !known.iter().any(|known| place.starts_with(known)))?;
    Some(format!(
        "`{}` was not configured when this process gave up writing anywhere else; restart it",
        strange.display()
    ))
}

fn accept(shared: &Shared, new: Loaded) {
    shared.swap(new);
    let now = Now::from_clock().timestamp();
    {
        let mut reloaded = shared.reloaded();
        reloaded.successful = true;
        reloaded.at = now.to_string();
        reloaded.running_since = now.to_string();
        reloaded.message = None;
    }
    shared.numbers.reloaded(true, now);
    tracing::info!("the configuration was read again and runs now");
    shared.tell(Event::Reloaded {
        successful: true,
        message: None,
    });
}

fn refuse(shared: &Shared, message: String) {
    let now = Now::from_clock().timestamp();
    {
        let mut reloaded = shared.reloaded();
        reloaded.successful = false;
        reloaded.at = now.to_string();
        reloaded.message = Some(message.clone());
    }
    shared.numbers.reloaded(false, now);
    tracing::error!(
        reason = %message,
        "the changed configuration is refused; the one before goes on"
    );
    shared.tell(Event::Reloaded {
        successful: false,
        message: Some(message),
    });
}
