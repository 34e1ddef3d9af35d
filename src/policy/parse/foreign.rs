//! Declarations as other languages write them.
//!
//! Whoever writes a `type` or a `let` has written one before, in TypeScript, in a
//! configuration or in a shell.

use super::habit::{Place, is_word};
use super::tokens;
use crate::diagnostic::Diagnostic;

/// What was meant by a statement of the file.
pub(super) fn of_declaration(
    place: &Place<'_>,
    previous: &str,
    one_before: &str,
) -> Option<Diagnostic> {
    let token = place.token();
    let statement = place.before().trim_start();
    let begins = |word: &str| {
        let mut tokens = tokens::tokens(statement).map(|token| token.text(statement));
        tokens.find(|token| *token != "@") == Some(word)
    };
    if place.begins_line() && is_word(token) && place.next() == "=" {
        return Some(constant(place, token));
    }
    if begins("type") {
        return of_type(place, previous);
    }
    if begins("let") {
        return of_let(place, previous);
    }
    if begins("when") {
        return of_pressure(place, previous);
    }
    if begins("given") || begins("expect") || begins("test") {
        return of_test(place, previous);
    }
    let after = place.after().trim();
    match (previous, token) {
        ("timezone" | "edition" | "use", "=" | ":") => {
            let finding = place.finding(format!("`{previous}` takes its value without `{token}`"));
            let finding = finding.help(format!("write `{previous} {after}`"));
            Some(place.replaced(finding, ""))
        }
        ("edition", text) if text.starts_with('"') => {
            let number = text.trim_matches('"');
            let finding = place.finding("an edition stands without quotes");
            Some(place.replaced(finding.help(format!("write `edition {number}`")), number))
        }
        (_, "include" | "import" | "source" | "require") if place.begins_line() => {
            let finding = place.finding(format!("`{token}` is written `use` here"));
            Some(place.replaced(finding.help(format!("write `use {after}`")), "use"))
        }
        ("protect", "where" | "when" | "if") => {
            let finding = place.finding("`protect` names files by a template first");
            Some(finding.help(format!(
                "write `protect \"**\" where {after}` for the whole store"
            )))
        }
        ("hold", word) if !word.starts_with('"') => {
            let finding = place.finding("a hold needs a name by which it is released");
            let line = place.source_line_from_token();
            let pattern = line.split_whitespace().next().unwrap_or_default();
            Some(finding.help(match word.starts_with(['*', '{', '.', '/']) {
                true => format!("write `hold \"case 26-117\" on \"{pattern}\"`"),
                false => format!("write `hold \"{word}\"`"),
            }))
        }
        (name, text) if one_before == "hold" && name.starts_with('"') && text.starts_with('"') => {
            let finding = place.finding("which files a hold covers stands behind `on`");
            Some(place.replaced(
                finding.help(format!("write `on {text}`")),
                format!("on {text}"),
            ))
        }
        (name, "for") if one_before == "hold" && name.starts_with('"') => {
            let finding =
                place.finding("a hold has no age: it holds until a day or until it is released");
            Some(finding.help("write `until 2026-12-31`, or nothing"))
        }
        (_, "in" | "on" | "of") if one_before == "collection" => {
            let finding = place.finding("which files a collection has stands behind `at`");
            Some(place.replaced(finding.help(format!("write `at {after}`")), "at"))
        }
        (name, text) if one_before == "collection" && text.starts_with('"') => {
            let finding = place.finding("which files a collection has stands behind `at`");
            let finding = finding.help(format!("write `collection {name} at {text}`"));
            Some(place.replaced(finding, format!("at {text}")))
        }
        (_, "collection") if place.begins_line() && after.matches('"').count() > 2 => {
            let finding = place.finding("a quote inside a template ends it");
            Some(finding.help(
                "give the type a name above, `type stamp = date \"%Y-%m-%d\"`, and write `{on: stamp}`",
            ))
        }
        (_, "collection") if place.begins_line() && after.contains(" at ") => {
            let finding = place.finding("a collection's statements stand in braces");
            let head = after.trim_end_matches([':', ' ', '{']);
            Some(finding.help(format!(
                "write `collection {head} {{`, and `}}` behind the last of them"
            )))
        }
        _ => None,
    }
}

/// `ttl = 6 hours`, without its `let`.
fn constant(place: &Place<'_>, name: &str) -> Diagnostic {
    let finding = place.finding("a constant is defined by `let`");
    let finding = finding.help(format!("write `let {name}{}`", place.after()));
    place.replaced(finding, format!("let {name}"))
}

fn of_type(place: &Place<'_>, previous: &str) -> Option<Diagnostic> {
    let token = place.token();
    let (message, help) = match (previous, token) {
        ("=", "string" | "str") => (
            "any text is what a capture without a type holds",
            "leave the type out, or write `text matching \"[a-z]+\"`",
        ),
        ("=", "regex" | "regexp" | "pattern" | "matching" | "/") => (
            "a text of a certain form is written in words",
            "write `text matching \"[a-z]+\"`; the regex matches the whole value",
        ),
        ("=", "enum" | "in" | "[" | "(" | "{" | "either" | "any") => (
            "the values of a type are listed in words",
            "write `one of \"1h\", \"1d\"`",
        ),
        ("=", text) if text.starts_with('"') => (
            "the values of a type are listed in words",
            "write `one of \"1h\", \"1d\"`",
        ),
        ("of", "[" | "(" | "{") => (
            "the values of a type stand without brackets",
            "write `one of \"1h\", \"1d\"`",
        ),
        ("=", "int" | "integer" | "float" | "uint" | "num") => {
            let finding = place.finding(format!("`{token}` is written `number` here"));
            return Some(place.replaced(finding.help("write `number`"), "number"));
        }
        ("=", "version") => {
            let finding = place.finding("`version` is written `semver` here");
            return Some(place.replaced(finding.help("write `semver`: `1.2.3`"), "semver"));
        }
        ("=", "day" | "datetime" | "timestamp" | "time") => {
            ("a date says how it is written", "write `date \"%Y-%m-%d\"`")
        }
        (text, "|" | "or") if text.starts_with('"') => {
            let finding = place.finding("the values of a type are separated by commas");
            return Some(place.replaced(finding.help("write `one of \"1h\", \"1d\"`"), ","));
        }
        _ => return None,
    };
    Some(place.finding(message).help(help))
}

fn of_let(place: &Place<'_>, previous: &str) -> Option<Diagnostic> {
    let token = place.token();
    let finding = |message| Some(place.finding(message));
    match (previous, token) {
        ("=", "$") => {
            let line = place.after().trim_start_matches('{');
            let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = line.get(..end.unwrap_or(line.len())).unwrap_or_default();
            finding("a variable of the environment is named in words")
                .map(|finding| finding.help(format!("write `env \"{name}\" or 6 hours`")))
        }
        ("env", "(") => finding("`env` is a word, not a function")
            .map(|finding| finding.help("write `env \"TTL\" or 6 hours`")),
        (_, "+" | "-" | "*" | "/") => {
            finding("there is no arithmetic in the language").map(|finding| {
                finding.help("write what it comes to: `8 hours` for `6 hours + 2 hours`")
            })
        }
        _ => None,
    }
}

fn of_pressure(place: &Place<'_>, previous: &str) -> Option<Diagnostic> {
    let token = place.token();
    let after = place.after().trim();
    match (previous, token) {
        ("disk" | "store", "above" | "over") => {
            let finding = place.finding("a mark is put as a sentence");
            let finding = finding.help(format!("write `when {previous} is above {after}`"));
            Some(place.replaced(finding, "is above"))
        }
        ("is", "over" | "more" | "fuller" | "at") => {
            let finding = place.finding("a mark is passed from below");
            let rest = after.trim_start_matches("than").trim_start();
            Some(finding.help(format!("write `is above {rest}`")))
        }
        ("disk" | "store", "usage" | "size" | "space" | "use") => {
            let space = place.after().len() - place.after().trim_start().len();
            let finding = place.finding(format!("`{previous}` says that already"));
            let finding = finding.help(format!("write `when {previous} {after}`"));
            Some(place.replaced_with_next(finding, space, String::new()))
        }
        (_, "{") if !place.before().contains("free") => {
            let finding = place.finding("under pressure a second mark says when it is enough");
            Some(finding.help("write `, free until below 80% {`"))
        }
        ("until", mark) if mark.starts_with(|c: char| c.is_ascii_digit()) => {
            let finding = place.finding("files go until the mark is passed downwards");
            let finding = finding.help(format!("write `until below {mark}{}`", place.after()));
            Some(place.replaced(finding, format!("below {mark}")))
        }
        ("{" | "then", "delete" | "remove" | "purge") => {
            let finding = place.finding("under pressure files are evicted");
            let finding = finding
                .help("write `evict from cache, oldest first`, with the name of a collection");
            Some(place.replaced(finding, "evict"))
        }
        _ => None,
    }
}

fn of_test(place: &Place<'_>, previous: &str) -> Option<Diagnostic> {
    let token = place.token();
    let after = place.after().trim();
    match (previous, token) {
        ("test", "{") => {
            let finding = place.finding("a test has a name");
            Some(finding.help("write `test \"AAPL outlives the rest\" {`"))
        }
        ("given", "file") => {
            let space = place.after().len() - place.after().trim_start().len();
            let finding = place.finding("what is given by a path is a file");
            let finding = finding.help(format!("write `given {after}`"));
            Some(place.replaced_with_next(finding, space, String::new()))
        }
        (_, "age" | "aged" | "old" | "older") => {
            let finding = place.finding("how old a file is follows from its stamps");
            Some(finding.help("write `modified 3 days ago`"))
        }
        ("expect", text) if text.starts_with('"') => {
            let verb = match place.next() {
                word if word.starts_with("keep") || word.starts_with("kept") => "keep",
                _ => "delete",
            };
            let finding = place.finding("what is expected stands before the file");
            Some(finding.help(format!("write `expect {verb} {text}`")))
        }
        ("expect", "deleted" | "removed" | "gone" | "remove") => {
            let finding = place.finding(format!("`{token}` is written `delete` here"));
            Some(place.replaced(
                finding.help(format!("write `expect delete {}`", place.next())),
                "delete",
            ))
        }
        ("expect", "kept" | "stays" | "stay") => {
            let finding = place.finding(format!("`{token}` is written `keep` here"));
            Some(place.replaced(
                finding.help(format!("write `expect keep {}`", place.next())),
                "keep",
            ))
        }
        _ => None,
    }
}
