//! The tables of the chosen environment, laid over the base tables.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::codes;
use crate::config::environment::Environment;
use crate::config::reader::Findings;
use crate::diagnostic::{Diagnostic, nearest};

/// Keys of one table of which only one may stand; an overlay's choice replaces the
/// base's instead of quarrelling with it.
const EXCLUSIVE: [[&str; 2]; 2] = [["every", "cron"], ["file", "env"]];

/// Takes `environments` out of the document and lays the chosen one over the rest.
pub(super) fn apply<'a>(
    document: &mut DeTable<'a>,
    environment: &Environment,
    findings: &mut Findings,
) {
    let Some(overlays) = document.remove("environments") else {
        return;
    };
    let (DeValue::Table(mut overlays), Some(chosen)) =
        (overlays.into_inner(), environment.text("ENVIRONMENT"))
    else {
        return;
    };
    match overlays.remove(chosen).map(Spanned::into_inner) {
        Some(DeValue::Table(overlay)) => lay_over(document, overlay),
        // No table at all: the check of the keys has said so.
        Some(_) => {}
        None => warn_if_mistyped(&overlays, chosen, findings),
    }
}

/// Tables are merged key by key; anything else is replaced as a whole.
fn lay_over<'a>(base: &mut DeTable<'a>, overlay: DeTable<'a>) {
    drop_rivals(base, &overlay);
    for (key, value) in overlay {
        let span = value.span();
        match (base.get_mut(&key).map(Spanned::get_mut), value.into_inner()) {
            (Some(DeValue::Table(below)), DeValue::Table(above)) => lay_over(below, above),
            (_, value) => {
                // Removed first, so that key and value point at the overlay together.
                base.remove(&key);
                base.insert(key, Spanned::new(span, value));
            }
        }
    }
}

fn drop_rivals(base: &mut DeTable<'_>, overlay: &DeTable<'_>) {
    for [one, other] in EXCLUSIVE {
        for (present, rival) in [(one, other), (other, one)] {
            if overlay.contains_key(present) && !overlay.contains_key(rival) {
                base.remove(rival);
            }
        }
    }
}

/// An environment without an overlay is fine; one letter beside an overlay is not.
fn warn_if_mistyped(overlays: &DeTable<'_>, chosen: &str, findings: &mut Findings) {
    let names = overlays.keys().map(|key| key.get_ref().as_ref());
    let Some(near) = nearest(&chosen.to_lowercase(), names) else {
        return;
    };
    let span = overlays
        .get_key_value(near)
        .map_or(0..0, |(key, _)| key.span());
    let message = format!("there is no overlay for `ENVIRONMENT={chosen}`, only the base is used");
    findings.push(
        Diagnostic::warning(codes::ENVIRONMENT, findings.source(), span, message).help(format!(
            "set `ENVIRONMENT={near}`, or call the table `environments.{chosen}`"
        )),
    );
}
