//! Policies as people say them: numbers in words, articles, other verbs.
//!
//! The language reads like English, so somebody who has not read its pages writes
//! English. What was meant can mostly be told from the words around the one that
//! does not belong there.

use super::habit::{Place, is_number, is_word};
use super::tokens;
use crate::diagnostic::Diagnostic;
use crate::policy::parse::unit_of;

/// Numbers that people write in letters.
const NUMBERS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
];

/// The number that a word is.
pub(crate) fn number_of(word: &str) -> Option<usize> {
    match word {
        "a" | "an" => Some(1),
        word => NUMBERS.iter().position(|name| *name == word),
    }
}

/// What was meant by a sentence that only people understand.
pub(super) fn of_sentence(
    place: &Place<'_>,
    previous: &str,
    one_before: &str,
) -> Option<Diagnostic> {
    let token = place.token();
    let after = place.after().trim();
    match (previous, token) {
        (_, "the") if !place.begins_line() => {
            let finding = place.finding("there are no articles in the language");
            let space = place.after().len() - place.after().trim_start().len();
            let finding = finding.help(format!("leave out `the`: `{previous} {after}`"));
            Some(place.replaced_with_next(finding, space, String::new()))
        }
        (word, unit) if number_of(word).is_some() && unit_of(unit).is_some() => {
            let number = number_of(word)?;
            let finding = place.finding("numbers are written in digits");
            let finding = finding.help(format!("write `{number} {unit}`"));
            Some(place.replaced_with_previous(finding, format!("{number} {unit}")))
        }
        (_, number) if number.strip_prefix('-').is_some_and(is_number) => {
            let finding = place.finding("an amount cannot be negative");
            Some(finding.help(
                "write it without the sign: `older than 1 day` is more than a day ago, `newer than 1 day` less",
            ))
        }
        (_, text) if takes_amount(previous) && amount(text).is_some() => {
            let amount = amount(text)?;
            let finding = place.finding("times and sizes stand without quotes");
            let finding = finding.help(format!("write `{amount}`"));
            Some(place.replaced(finding, amount))
        }
        (_, "larger" | "bigger" | "greater" | "smaller" | "less" | "lower" | "higher")
            if place.next() == "than" =>
        {
            Some(compared(place, previous, token))
        }
        (_, "younger" | "elder" | "earlier" | "later") if place.next() == "than" => {
            let word = match token {
                "younger" | "later" => "newer",
                _ => "older",
            };
            let finding = place.finding("ages are `older than` or `newer than`");
            let rest = after.trim_start_matches("than").trim_start();
            let finding = finding.help(format!("write `{word} than {rest}`"));
            Some(place.replaced(finding, word))
        }
        ("size", "is") => {
            let finding = place.finding("`size` is compared without `is`");
            let space = place.after().len() - place.after().trim_start().len();
            match place.next() {
                "over" | "under" | "at" => {
                    let finding = finding.help(format!("write `size {after}`"));
                    Some(place.replaced_with_next(finding, space, String::new()))
                }
                _ => Some(finding.help("write `size over 3 MB`, `under`, `at least` or `at most`")),
            }
        }
        ("name" | "path" | "}", "ends" | "starts" | "begins" | "contains" | "like" | "has") => {
            Some(pattern(place, previous, token))
        }
        ("name", "matches") => Some(pattern(place, previous, "like")),
        (
            "delete" | "keep",
            "all" | "any" | "every" | "everything" | "files" | "old" | "forever",
        ) => Some(whole_sentence(place, previous, token)),
        ("keep" | "delete", pattern) if pattern.starts_with(['"', '*']) => {
            let finding = place.finding("which files are meant is a condition");
            let rest = place.source_line_from_token();
            let written = match pattern.starts_with('"') {
                true => pattern.trim_matches('"'),
                false => rest.split_whitespace().next().unwrap_or_default(),
            };
            let pattern = anywhere(written);
            Some(finding.help(format!(
                "write `{previous} when path matches \"{pattern}\"`"
            )))
        }
        ("or", text) if text.starts_with('"') && one_before.starts_with('"') => either(place),
        ("not", "in" | "open") if matches!(place.next(), "use" | "for") || token == "open" => {
            let finding = place.finding("that a file is in use is no condition");
            Some(
                finding.help(
                    "leave it out: a file that a program has open for writing is kept by itself",
                ),
            )
        }
        _ => of_statement(place, previous, one_before)
            .or_else(|| synonym(place, previous, one_before)),
    }
}

/// What a statement of this kind should have said.
fn of_statement(place: &Place<'_>, previous: &str, one_before: &str) -> Option<Diagnostic> {
    let token = place.token();
    let after = place.after().trim();
    match (previous, token) {
        ("at", "least") if one_before == "keep" => {
            let finding = place.finding("`keep newest` is at least so many already");
            let number = after.trim_start_matches("newest").trim_start();
            Some(finding.help(format!("write `keep newest {number}`")))
        }
        ("keep", "minimum" | "min" | "atleast") => {
            let finding = place.finding(format!("`keep {token}` is not in the language"));
            Some(place.replaced(
                finding.help(format!("write `keep newest {after}`")),
                "newest",
            ))
        }
        ("for", "at") if place.next() == "least" => {
            let finding = place.finding("`keep for` is at least so long already");
            let rest = after.trim_start_matches("least").trim_start();
            Some(finding.help(format!("write `keep for {rest}`")))
        }
        ("keep", "until") => {
            let finding = place.finding("what is kept until a day is held");
            Some(finding.help(format!(
                "write `hold \"a name\" until {after}` outside the collection, with `on \"*.png\"` for a part of the store"
            )))
        }
        ("when" | "where" | "and" | "or" | "not" | "(", "before" | "after") => {
            let finding = place.finding("a day is compared with a stamp");
            let finding = finding.help(format!("write `modified {token} {after}`"));
            Some(place.replaced(finding, format!("modified {token}")))
        }
        (year, rest) if one_before == "than" && is_number(year) && is_rest_of_day(rest) => {
            let finding = place.finding("an age is a span, not a day");
            Some(finding.help(format!("write `modified before {year}{rest}`")))
        }
        ("}", "not") if place.next() == "in" => {
            let finding = place.finding("`not` stands before a condition");
            Some(finding.help(format!("write `not {{{one_before}}} {after}`")))
        }
        ("not", "in") if one_before == "is" => {
            let finding = place.finding("`not` stands before a condition");
            Some(finding.help("write `not {symbol} in [\"AAPL\", \"MSFT\"]`"))
        }
        ("}", "in") => {
            let finding = place.finding("a list stands in square brackets");
            Some(finding.help(format!("write `{{{one_before}}} in [\"AAPL\", \"MSFT\"]`")))
        }
        (_, "empty") if is_condition(previous) => {
            let finding = place.finding("that a file is empty is told by its size");
            Some(place.replaced(finding.help("write `size at most 0 B`"), "size at most 0 B"))
        }
        (_, "unused" | "idle") if is_condition(previous) => {
            let finding = place.finding("when a file was used is told by a stamp");
            let rest = after.trim_start_matches("for").trim_start();
            Some(finding.help(format!(
                "write `accessed more than {rest} ago`, or `modified more than {rest} ago`"
            )))
        }
        (_, "last")
            if is_condition(previous) && matches!(place.next(), "modified" | "accessed") =>
        {
            let finding = place.finding("`last` stands only where an age is measured");
            let space = place.after().len() - place.after().trim_start().len();
            let finding = finding.help(format!("write `{after}`"));
            Some(place.replaced_with_next(finding, space, String::new()))
        }
        ("delete", "directories" | "folders" | "dirs") => {
            let finding = place.finding("directories go when they are empty");
            Some(finding.help(
                "write `delete empty directories`; a template with `/` at its end is for whole directories",
            ))
        }
        ("if", "more") if one_before == "stop" => {
            let finding = place.finding("a breaker says what a run would do");
            Some(place.replaced(
                finding.help(format!("write `stop if a run would delete more {after}`")),
                "a run would delete more",
            ))
        }
        ("," | "delete", name)
            if place.before().trim_start().starts_with("before") && is_word(name) =>
        {
            let finding = place.finding("a plugin stands behind `run`");
            let finding = finding.help(format!("write `before delete, run {name} {after}`"));
            Some(place.replaced(finding, format!("run {name}")))
        }
        (_, "files") if place.before().trim_start().starts_with("limit count") => {
            let finding = place.finding("a count is of files, it does not say so again");
            Some(place.replaced(finding.help("leave `files` out"), ""))
        }
        _ => None,
    }
}

/// A word for which the language has another one.
fn synonym(place: &Place<'_>, previous: &str, one_before: &str) -> Option<Diagnostic> {
    let token = place.token();
    let statement = place.before().trim_start();
    let begins = |word: &str| statement.starts_with(word);
    let word = match (previous, token) {
        ("empty", "folders" | "folder" | "dirs" | "dir" | "directory") => "directories",
        ("before", "deleting" | "deletion" | "removing" | "removal") => "delete",
        ("stop", "when") => "if",
        ("run", "deletes" | "removes") if begins("stop") => "would delete",
        ("limit", "files" | "number" | "copies" | "versions") => "count",
        ("limit", "space" | "bytes" | "storage") => "total size",
        ("size", "under" | "below") if one_before == "total" => "to",
        ("count", "under" | "below") if one_before == "limit" => "to",
        (",", "delete" | "remove" | "deleting" | "removing" | "dropping") if begins("limit") => {
            "evicting"
        }
        (",", "oldest" | "largest" | "smallest") if begins("limit") => {
            let finding = place.finding("what a limit takes is evicted");
            let finding = finding.help(format!("write `evicting {token}{}`", place.after()));
            return Some(place.replaced(finding, format!("evicting {token}")));
        }
        (_, "with") if begins("replace") => "using",
        (_, "if" | "when") if begins("keep for") || begins("keep newest") || begins("limit") => {
            "where"
        }
        ("keep", "if" | "where") => "when",
        _ => return None,
    };
    let finding = place.finding(format!("`{token}` is written `{word}` here"));
    let finding = finding.help(format!("write `{word}{}`", place.after().trim_end()));
    Some(place.replaced(finding, word))
}

/// Whether a condition begins behind this word.
fn is_condition(word: &str) -> bool {
    matches!(word, "when" | "where" | "and" | "or" | "not" | "(")
}

/// The months and the day behind a year.
fn is_rest_of_day(text: &str) -> bool {
    let mut parts = text.split('-');
    parts.next() == Some("") && parts.next().is_some_and(is_number) && parts.all(is_number)
}

/// Whether a word stands before times and sizes.
fn takes_amount(word: &str) -> bool {
    matches!(
        word,
        "than"
            | "to"
            | "over"
            | "under"
            | "least"
            | "most"
            | "for"
            | "within"
            | "newest"
            | "above"
            | "below"
    )
}

/// What stands between quotes, if it is an amount.
fn amount(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut tokens = tokens::tokens(inner).map(|token| token.text(inner));
    let number = tokens.next()?;
    let digits = number.trim_start_matches(|c: char| c.is_ascii_digit());
    let unit = match digits {
        "" => tokens.next(),
        unit => Some(unit),
    };
    let known = digits.len() < number.len()
        && unit.is_none_or(|unit| unit_of(unit).is_some())
        && tokens.next().is_none();
    known.then_some(inner)
}

/// `larger than 3 MB`, in the words of the language.
fn compared(place: &Place<'_>, previous: &str, token: &str) -> Diagnostic {
    let word = match token {
        "larger" | "bigger" | "greater" | "higher" => "over",
        _ => "under",
    };
    let word = match previous {
        "size" | "}" => word.to_owned(),
        _ => format!("size {word}"),
    };
    let rest = place.after();
    let skipped = rest.len() - rest.trim_start().len() + "than".len();
    let behind = rest.get(skipped..).unwrap_or_default().trim();
    let finding = place.finding("sizes and numbers are `over` or `under`");
    let subject = if previous == "size" { "size " } else { "" };
    let finding = finding.help(format!("write `{subject}{word} {behind}`"));
    place.replaced_with_next(finding, skipped, word)
}

/// A pattern for a name wherever it lies.
fn anywhere(pattern: &str) -> String {
    match pattern.contains('/') {
        true => pattern.to_owned(),
        false => format!("**/{pattern}"),
    }
}

/// `name ends with ".tmp"`, as a pattern.
fn pattern(place: &Place<'_>, previous: &str, verb: &str) -> Diagnostic {
    let tokens = tokens::tokens(place.after()).map(|token| token.text(place.after()));
    let mut texts = tokens.filter(|token| token.len() > 1 && token.starts_with('"'));
    let text = texts.next().map_or("", |text| text.trim_matches('"'));
    let glob = match verb {
        "ends" => format!("*{text}"),
        "starts" | "begins" => format!("{text}*"),
        "like" => text.to_owned(),
        _ => format!("*{text}*"),
    };
    let finding = place.finding("parts of a name are compared by a pattern");
    finding.help(match previous {
        "}" => format!("write `matches \"{glob}\"`"),
        _ => format!("write `path matches \"{}\"`", anywhere(&glob)),
    })
}

/// `delete all files older than 3 days`, and what else people say of all files.
fn whole_sentence(place: &Place<'_>, verb: &str, token: &str) -> Diagnostic {
    let finding = place.finding("which files are meant is a condition");
    let rest = place.after();
    let find = |word: &str| {
        let at = tokens::tokens(rest).find(|token| token.text(rest) == word)?;
        rest.get(at.at.start..).map(str::trim_end)
    };
    let condition = ["older", "newer", "size", "modified", "path"]
        .into_iter()
        .find_map(find);
    let newest = find("newest")
        .or_else(|| find("latest"))
        .or_else(|| find("last"));
    let number = newest.and_then(|rest| {
        let mut words = rest.split_whitespace().skip(1);
        let word = words.next()?;
        word.parse::<usize>().ok().or_else(|| number_of(word))
    });
    match (verb, condition) {
        ("delete", _) if newest.is_some() => {
            let number = number.unwrap_or(3);
            finding.help(format!(
                "write `limit count to {number}, evicting oldest first`; `per {{symbol}}` counts in groups"
            ))
        }
        (verb, Some(condition)) => {
            let finding = finding.help(format!("write `{verb} when {condition}`"));
            let skipped = rest.find(condition).unwrap_or_default();
            place.replaced_with_next(finding, skipped, "when ".to_owned())
        }
        ("keep", None) => {
            let finding = finding.help("write `keep always`, or `keep when` and a condition");
            match (token, rest.trim()) {
                ("all" | "everything" | "forever", "") => place.replaced(finding, "always"),
                _ => finding,
            }
        }
        (_, None) => finding.help("write `delete when older than 7 days`, or `delete always`"),
    }
}

/// `{symbol} is "A" or "B"`, as a list.
fn either(place: &Place<'_>) -> Option<Diagnostic> {
    let before: Vec<&str> = tokens::tokens(place.before())
        .map(|token| token.text(place.before()))
        .collect();
    let mut texts = Vec::new();
    let mut rest = before.iter().rev().copied();
    loop {
        match rest.next()? {
            "or" => {}
            "is" => break,
            text if text.starts_with('"') => texts.insert(0, text),
            _ => return None,
        }
    }
    let mut subject = rest.take(3);
    let (close, name, open) = (subject.next()?, subject.next()?, subject.next()?);
    texts.push(place.token());
    let mut further = tokens::tokens(place.after()).map(|token| token.text(place.after()));
    while further.next() == Some("or") {
        match further.next() {
            Some(text) if text.starts_with('"') => texts.push(text),
            _ => break,
        }
    }
    let finding = place.finding("each `or` joins whole conditions");
    let texts = texts.join(", ");
    Some(finding.help(match (open, is_word(name), close) {
        ("{", true, "}") => format!("write `{{{name}}} in [{texts}]`"),
        _ => "write the condition out a second time behind `or`".to_owned(),
    }))
}
