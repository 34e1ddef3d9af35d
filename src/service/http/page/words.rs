//! Numbers and times as people read them.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::time::Now;
use crate::units::Size;

/// `12,345`.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `1 file`, `12,345 files`.
pub(super) fn files(count: u64) -> String {
    plural(count, "file", "files")
}

/// A number with its noun.
pub(super) fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// `200 MB`, with a space that does not break.
pub(super) fn size(bytes: u64) -> String {
    Size(bytes).to_string().replace(' ', "\u{a0}")
}

/// `+24 MB a day`.
pub(super) fn growth(bytes_per_day: f64) -> String {
    let amount = size(bytes_per_day.abs() as u64);
    match bytes_per_day {
        rate if rate >= 1.0 => format!("+{amount} a day"),
        rate if rate <= -1.0 => format!("−{amount} a day"),
        _ => "steady".to_owned(),
    }
}

/// A share in whole percent; what is not nothing is never shown as nothing.
pub(super) fn percent(ratio: f64) -> String {
    match (ratio * 100.0).round() {
        0.0 if ratio > 0.0 => "< 1 %".to_owned(),
        whole => format!("{whole:.0} %"),
    }
}

/// A moment, in words for people and exactly for everything else. The script keeps the
/// words true while the page is open.
pub(super) fn when(at: &str) -> Markup {
    let Ok(moment) = at.parse::<Timestamp>() else {
        return html! { (at) };
    };
    let exact = moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let seconds = moment
        .duration_since(Now::from_clock().timestamp())
        .as_secs();
    html! {
        time datetime=(at) title=(exact) { (distance(seconds, moment)) }
    }
}

/// How far away a moment is: ahead of nothing in the future, behind it in the past.
fn distance(seconds: i64, moment: Timestamp) -> String {
    let away = seconds.unsigned_abs();
    let count = |unit: u64, name: &str| format!("{}\u{a0}{name}", away / unit);
    let span = match away {
        0..45 if seconds > 0 => return "in a moment".to_owned(),
        0..45 => return "just now".to_owned(),
        45..3_600 => format!("{}\u{a0}min", (away / 60).max(1)),
        3_600..172_800 => count(3_600, "h"),
        172_800..5_184_000 => count(86_400, "days"),
        _ => return moment.strftime("%Y-%m-%d").to_string(),
    };
    match seconds > 0 {
        true => format!("in {span}"),
        false => format!("{span} ago"),
    }
}

/// A message with what it quotes in backticks set as code.
pub(super) fn marked(text: &str) -> Markup {
    let pieces: Vec<&str> = text.split('`').collect();
    // An odd tick is only a tick.
    if pieces.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (at, piece) in pieces.iter().enumerate() {
            @if at % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

/// Percent-encodes what would mean something in a query, and everything odd.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_in_threes() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(12_345), "12,345");
        assert_eq!(number(1_000_000), "1,000,000");
        assert_eq!(files(1), "1 file");
    }

    #[test]
    fn a_share_that_is_not_nothing_is_not_shown_as_nothing() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.001), "< 1 %");
        assert_eq!(percent(0.415), "42 %");
    }

    #[test]
    fn moments_are_told_by_their_distance() {
        let moment: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let told = |seconds| distance(seconds, moment).replace('\u{a0}', " ");
        assert_eq!(told(20), "in a moment");
        assert_eq!(told(0), "just now");
        assert_eq!(told(-3), "just now");
        assert_eq!(told(-125), "2 min ago");
        assert_eq!(told(3 * 3_600), "in 3 h");
        assert_eq!(told(-47 * 3_600), "47 h ago");
        assert_eq!(told(-5 * 86_400), "5 days ago");
        assert_eq!(told(-90 * 86_400), "2026-03-01");
    }

    #[test]
    fn what_a_message_quotes_is_code_and_still_escaped() {
        let shown = |text| marked(text).into_string();
        assert_eq!(shown("say `a < b`!"), "say <code>a &lt; b</code>!");
        assert_eq!(shown("a ` alone"), "a ` alone");
    }

    #[test]
    fn what_means_something_in_a_query_is_encoded() {
        assert_eq!(encoded("BTC/USD=1&ü"), "BTC%2FUSD%3D1%26%C3%BC");
    }
}
