//! `retain explain`

use serde_json::json;

use super::{Edge, Exit, complain, say};
use crate::diagnostic::{Diagnostics, nearest};

/// What a code means, why it is an error, and how it is written instead.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The code of a message, such as R0103; all codes with their titles when none is
    /// given.
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// Every code with its page, compiled in: a service in an empty container explains itself.
macro_rules! pages {
    ($($code:literal,)*) => {
        &[$(($code, include_str!(concat!("../../docs/codes/", $code, ".md"))),)*]
    };
}

const PAGES: &[(&str, &str)] = pages![
    "R0101", "R0102", "R0103", "R0104", "R0105", "R0106", "R0107", "R0108", "R0109", "R0110",
    "R0111", "R0190", "R0199", "R0201", "R0202", "R0203", "R0204", "R0205", "R0206", "R0207",
    "R0208", "R0209", "R0210", "R0211", "R0212", "R0213", "R0230", "R0231", "R0232", "R0299",
    "R0301", "R0302", "R0303", "R0304", "R0305", "R0306", "R0307", "R0310", "R0311", "R0312",
    "R0313", "R0314", "R0315", "R0320", "R0321", "R0322", "R0330", "R0341", "R0350", "R0351",
    "R0352", "R0353", "R0354", "R0360", "R0361", "R0370", "R0371", "R0372", "R0373", "R0401",
    "R0402", "R0403", "R0404", "R0405", "R0407", "R0408", "R0409", "R0410", "R0501", "R0502",
    "R0503", "R0504", "R0505", "R0506", "R0507", "R0508", "R0509", "R0510", "R0511", "R0601",
    "R0602", "R0603", "R0604", "R0605", "R0606", "R0607", "R0608", "R0609", "R0610", "R0611",
    "R0612", "R0613", "R0614", "R0615", "R0616", "R0617", "R0618", "R0619", "R0620", "R0901",
];

/// The codes there is a page for, ascending.
pub fn explained_codes() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(code, _)| *code)
}

impl Explain {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let Some(asked) = &self.code else {
            return list(edge);
        };
        let code = asked.to_ascii_uppercase();
        let Some((code, page)) = PAGES.iter().find(|(known, _)| *known == code) else {
            complain(&format!("error: there is no code `{asked}`"));
            complain(&match nearest(&code, explained_codes()) {
                Some(near) => format!("help: did you mean `{near}`?"),
                None => "help: `retain explain` lists all of them".to_owned(),
            });
            return Ok(Exit::Refused);
        };
        match edge.is_json() {
            true => say(
                &json!({ "code": code, "title": title(page), "text": plain(page) }).to_string(),
            )?,
            false => say(&plain(page))?,
        }
        Ok(Exit::Done)
    }
}

fn list(edge: &Edge) -> anyhow::Result<Exit> {
    if edge.is_json() {
        let codes: Vec<_> = PAGES
            .iter()
            .map(|(code, page)| json!({ "code": code, "title": title(page) }))
            .collect();
        say(&json!({ "codes": codes }).to_string())?;
        return Ok(Exit::Done);
    }
    for (code, page) in PAGES {
        say(&format!("{code}  {}", title(page)))?;
    }
    Ok(Exit::Done)
}

/// The first line without its code.
fn title(page: &str) -> &str {
    let first = page.lines().next().unwrap_or_default();
    first.split_once(": ").map_or(first, |(_, title)| title)
}

/// A page for a terminal: blocks indented instead of fenced, headings bare.
fn plain(page: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside {
            lines.push(format!("    {line}").trim_end().to_owned());
        } else {
            lines.push(line.trim_start_matches('#').trim_start().to_owned());
        }
    }
    lines.join("\n")
}

/// Where more is said about the first of some findings.
pub(super) fn hint(findings: &Diagnostics) -> Option<String> {
    let first = findings.0.first()?;
    Some(format!("`retain explain {}` says more", first.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_have_titles() {
        assert!(PAGES.is_sorted_by_key(|(code, _)| *code));
        for (code, page) in PAGES {
            let title = title(page);
            assert!(!title.is_empty() && !title.contains('#'), "{code}: {title}");
            assert!(title.chars().count() <= 70, "{code}: {title}");
        }
    }

    #[test]
    fn a_page_for_a_terminal_has_no_marks() {
        let page = "# R0103: a unit\n\nText.\n\n## Wrong\n\n```retain,wrong\nedition 2026\n```\n";
        let shown = "R0103: a unit\n\nText.\n\nWrong\n\n    edition 2026";
        assert_eq!(plain(page), shown);
    }
}
