//! Bytes over time as a line, and shares as bars: drawn here, without script.

use maud::{Markup, html};

use super::super::stores::SampleView;
use super::words::{size, when};

/// The plane lines are drawn in; it is stretched to whatever room there is.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;

struct Drawn {
    line: String,
    area: String,
    most: u64,
}

fn drawn(samples: &[SampleView]) -> Option<Drawn> {
    let moment = |sample: &SampleView| sample.at.parse::<jiff::Timestamp>().ok();
    let points: Vec<(i64, u64)> = samples
        .iter()
        .filter_map(|sample| Some((moment(sample)?.as_second(), sample.bytes)))
        .collect();
    let (first, last) = (points.first()?.0, points.last()?.0);
    if last <= first {
        return None;
    }
    let most = points.iter().map(|point| point.1).max().unwrap_or(0).max(1);
    let mut line = String::new();
    for (at, bytes) in &points {
        let x = (at - first) as f64 / (last - first) as f64 * WIDTH;
        // A little air above the highest point.
        let y = HEIGHT - *bytes as f64 / most as f64 * HEIGHT * 0.92;
        let verb = if line.is_empty() { 'M' } else { 'L' };
        line.push_str(&format!("{verb}{x:.1} {y:.1}"));
    }
    let area = format!("{line}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z");
    Some(Drawn { line, area, most })
}

fn picture(drawn: &Drawn, label: &str) -> Markup {
    html! {
        svg.line viewBox="0 0 1000 200" preserveAspectRatio="none" role="img" aria-label=(label) {
            path.area d=(drawn.area) {}
            path.stroke d=(drawn.line) fill="none" vector-effect="non-scaling-stroke" {}
        }
    }
}

fn in_words(samples: &[SampleView]) -> String {
    let bytes = |sample: Option<&SampleView>| size(sample.map_or(0, |sample| sample.bytes));
    format!(
        "Bytes over time: from {} to {}",
        bytes(samples.first()),
        bytes(samples.last())
    )
}

/// A small line for an overview; an empty place of the same height where there is none.
pub(super) fn spark(samples: &[SampleView]) -> Markup {
    html! {
        div.spark {
            @match drawn(samples) {
                Some(drawn) => (picture(&drawn, &in_words(samples))),
                None => div.no-line aria-hidden="true" {},
            }
        }
    }
}

/// The whole line with its scale.
pub(super) fn history(samples: &[SampleView]) -> Markup {
    let (Some(drawn), Some(first)) = (drawn(samples), samples.first()) else {
        return html! {
            div.empty {
                p { strong { "No history yet." } }
                p.quiet { "A sample is taken every hour while the service runs; the line begins with the second." }
            }
        };
    };
    html! {
        figure.chart {
            div.scale.small.quiet aria-hidden="true" { span { (size(drawn.most)) } span { "0" } }
            (picture(&drawn, &in_words(samples)))
            figcaption.small.quiet { span { (when(&first.at)) } span { "now" } }
        }
    }
}

/// A share of something as a bar. The words beside it say the same.
pub(super) fn bar(ratio: f64, class: &str) -> Markup {
    let share = (ratio.clamp(0.0, 1.0) * 100.0).max(if ratio > 0.0 { 1.0 } else { 0.0 });
    html! {
        svg.bar.(class) width="100%" height="8" aria-hidden="true" focusable="false" {
            rect.track width="100%" height="8" rx="4" {}
            rect.fill width=(format!("{share:.1}%")) height="8" rx="4" {}
        }
    }
}

/// The class of a share that is better not full.
pub(super) fn fullness(ratio: f64) -> &'static str {
    match ratio {
        ratio if ratio >= 0.95 => "bad",
        ratio if ratio >= 0.8 => "warn",
        _ => "good",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: &str, bytes: u64) -> SampleView {
        SampleView {
            at: at.to_owned(),
            files: 1,
            bytes,
            disk_used_ratio: 0.5,
        }
    }

    #[test]
    fn a_line_goes_from_edge_to_edge_and_keeps_below_the_top() {
        let samples = [
            sample("2026-01-01T00:00:00Z", 50),
            sample("2026-01-01T01:00:00Z", 100),
        ];
        let drawn = drawn(&samples).unwrap();
        assert_eq!(drawn.line, "M0.0 108.0L1000.0 16.0");
        assert_eq!(drawn.most, 100);
    }

    #[test]
    fn one_sample_is_no_line_yet() {
        let one = [sample("2026-01-01T00:00:00Z", 50)];
        assert!(drawn(&one).is_none() && drawn(&[]).is_none());
        assert!(history(&one).into_string().contains("No history yet"));
    }

    #[test]
    fn a_bar_stays_inside_its_track() {
        assert!(bar(7.0, "bad").into_string().contains("\"100.0%\""));
        assert!(bar(0.0001, "good").into_string().contains("\"1.0%\""));
        assert!(bar(0.0, "good").into_string().contains("\"0.0%\""));
    }
}
