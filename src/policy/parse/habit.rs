//! Slips that people make who come from other tools, told by the words around them.
//!
//! The grammar knows only that a token does not belong where it stands. Somebody who
//! writes `age > 6 hours` or `delete after 6 hours` is better served by the sentence
//! that was meant.

use std::ops::Range;

use super::{english, foreign, quotes, tokens};
use crate::diagnostic::{Diagnostic, Source, is_sole_nearest, nearest};
use crate::policy::parse::unit_of;

/// The token a text stumbled on, and the tokens around it.
pub(super) struct Place<'a> {
    source: &'a Source,
    /// The statement up to the token.
    before: &'a str,
    /// What it stumbled on; none at the end of the statement.
    at: Option<Range<usize>>,
    /// The rest of the token's line.
    after: &'a str,
    begins_line: bool,
}

impl<'a> Place<'a> {
    /// `offset..end` is the statement, `at` a token in it.
    pub(super) fn new(
        source: &'a Source,
        offset: usize,
        at: Option<Range<usize>>,
        end: usize,
    ) -> Place<'a> {
        let text = source.text();
        let (start, stop) = at.as_ref().map_or((end, end), |at| (at.start, at.end));
        let after = text.get(stop..end).and_then(|rest| rest.lines().next());
        let line_start = text.get(..start).and_then(|text| text.lines().next_back());
        Place {
            source,
            before: text.get(offset..start).unwrap_or_default(),
            after: after.unwrap_or_default(),
            begins_line: at.is_some()
                && (text.get(..start).is_some_and(|text| text.ends_with('\n'))
                    || line_start.is_none_or(|line| line.trim().is_empty())),
            at,
        }
    }

    pub(super) fn token(&self) -> &'a str {
        let at = self.at.clone().unwrap_or_default();
        self.source.text().get(at).unwrap_or_default()
    }

    pub(super) fn before(&self) -> &'a str {
        self.before
    }

    pub(super) fn after(&self) -> &'a str {
        self.after
    }

    pub(super) fn begins_line(&self) -> bool {
        self.begins_line
    }

    /// The token and the rest of its line.
    pub(super) fn source_line_from_token(&self) -> &'a str {
        let start = self.at.as_ref().map_or(0, |at| at.start);
        let rest = self.source.text().get(start..).unwrap_or_default();
        rest.lines().next().unwrap_or_default()
    }

    /// The tokens before it, the nearest first.
    pub(super) fn previous(&self) -> [&'a str; 2] {
        let before: Vec<&str> = tokens::tokens(self.before)
            .map(|token| token.text(self.before))
            .collect();
        let back = |count| before.iter().rev().nth(count).copied();
        [back(0).unwrap_or_default(), back(1).unwrap_or_default()]
    }

    pub(super) fn next(&self) -> &'a str {
        tokens::tokens(self.after)
            .next()
            .map_or("", |token| token.text(self.after))
    }

    pub(super) fn finding(&self, message: impl Into<String>) -> Diagnostic {
        let at = self.at.clone().unwrap_or_default();
        Diagnostic::error("R0102", self.source, at, message)
    }

    pub(super) fn replaced(&self, finding: Diagnostic, with: impl Into<String>) -> Diagnostic {
        finding.edit(self.at.clone().unwrap_or_default(), with)
    }

    /// Replaces the token and so many bytes behind it.
    pub(super) fn replaced_with_next(
        &self,
        finding: Diagnostic,
        bytes: usize,
        with: String,
    ) -> Diagnostic {
        let at = self.at.clone().unwrap_or_default();
        finding.edit(at.start..at.end + bytes, with)
    }

    /// Replaces the token and the one before it.
    pub(super) fn replaced_with_previous(
        &self,
        finding: Diagnostic,
        with: impl Into<String>,
    ) -> Diagnostic {
        let at = self.at.clone().unwrap_or_default();
        let previous = tokens::tokens(self.before).last();
        let back = previous.map_or(0, |token| self.before.len() - token.at.start);
        finding.edit(at.start - back..at.end, with)
    }

    /// Replaces an operator of one or more of the same or like characters by a word.
    fn in_words(&self, finding: Diagnostic, characters: &[char], word: &str) -> Diagnostic {
        let further = self.after.len() - self.after.trim_start_matches(characters).len();
        let space = |apart: bool| if apart { "" } else { " " };
        let before = space(self.before.ends_with(char::is_whitespace));
        let after = self.after.get(further..).unwrap_or_default();
        let after = space(after.starts_with(char::is_whitespace));
        self.replaced_with_next(finding, further, format!("{before}{word}{after}"))
    }
}

/// A slip the token itself gives away.
pub(super) fn of_token(place: &Place<'_>) -> Option<Diagnostic> {
    let token = place.token();
    let [previous, one_before] = place.previous();
    if token.is_empty() {
        return None;
    }
    let error = |message: &str| Some(place.finding(message));
    match (previous, token) {
        (_, "'" | "\u{201c}" | "\u{201d}" | "`") => Some(quotes::other(place, token)),
        (_, ";") => error("statements do not end with `;`").map(|finding| {
            let finding = finding.help("leave it out; a statement ends where the next begins");
            place.replaced(finding, "")
        }),
        (_, "=" | "!") if is_compared(place, previous) => error("values are compared in words")
            .map(|finding| {
                let finding =
                    finding.help("write `{symbol} is \"AAPL\"` or `{symbol} is not \"AAPL\"`");
                match (previous, token) {
                    ("}", "!") => place.in_words(finding, &['='], "is not"),
                    ("}", _) => place.in_words(finding, &['='], "is"),
                    _ => finding,
                }
            }),
        ("size" | "}", "<" | ">") => {
            let equal = place.after.starts_with('=');
            let word = match (token, equal, previous) {
                (">", true, "size") => "at least",
                ("<", true, "size") => "at most",
                (">", ..) => "over",
                _ => "under",
            };
            let finding = place.finding("values are compared in words");
            let amount = place.after.trim_start_matches('=').trim();
            match (equal, previous) {
                (true, "}") => {
                    Some(finding.help("write `over` or `under` and the number beside it"))
                }
                _ => {
                    let finding = finding.help(format!("write `{word} {amount}`"));
                    Some(place.in_words(finding, &['='], word))
                }
            }
        }
        (_, "<" | ">") => error("values are compared in words").map(|finding| {
            finding.help("write `older than 6 hours`, `size over 10 MB` or `size at most 1 MiB`")
        }),
        (_, "&" | "|") if !place.before.trim_start().starts_with("type") => {
            error("conditions are joined in words").map(|finding| {
                let finding = finding.help("write `and` or `or`");
                match token {
                    "&" => place.in_words(finding, &['&'], "and"),
                    _ => place.in_words(finding, &['|'], "or"),
                }
            })
        }
        (_, "/") if place.next() == "/" || previous.is_empty() => error("comments begin with `#`")
            .map(|finding| {
                let finding = finding.help("write `# …`; patterns are quoted");
                match place.after.starts_with('/') {
                    true => place.replaced_with_next(finding, 1, "#".to_owned()),
                    false => finding,
                }
            }),
        ("not", "not") => {
            error("a double `not` says nothing").map(|finding| finding.help("leave both out"))
        }
        ("than" | "to" | "over" | "under" | "newest" | "for", "-") => {
            error("an amount cannot be negative")
                .map(|finding| finding.help("write it without the sign"))
        }
        ("is", "[") => error("`is` compares with one value").map(|finding| {
            let finding = finding.help("write `{symbol} in [\"AAPL\", \"MSFT\"]`");
            place.replaced_with_previous(finding, "in [")
        }),
        _ => of_sentence(place, previous, one_before)
            .or_else(|| foreign::of_declaration(place, previous, one_before))
            .or_else(|| english::of_sentence(place, previous, one_before)),
    }
}

/// Whether `=` or `!` stands where values are compared, not where they are given.
fn is_compared(place: &Place<'_>, previous: &str) -> bool {
    let statement = place.before.trim_start();
    let gives = ["let", "timezone", "edition", "use"];
    previous != "=" && !previous.is_empty() && !gives.iter().any(|word| statement.starts_with(word))
}

/// A slip in how a sentence is put.
fn of_sentence(place: &Place<'_>, previous: &str, one_before: &str) -> Option<Diagnostic> {
    let token = place.token();
    let after = place.after.trim();
    match (previous, token) {
        (
            "delete" | "keep",
            "older" | "newer" | "size" | "modified" | "path" | "not" | "{" | "(",
        )
        | ("delete", "if" | "where") => {
            let condition = match token {
                "if" | "where" => after.to_owned(),
                "{" => format!("{token}{after}"),
                _ => format!("{token} {after}"),
            };
            let finding = place.finding("a condition follows `when`");
            let finding = finding.help(format!("write `{previous} when {condition}`"));
            Some(match token {
                "if" | "where" => place.replaced(finding, "when"),
                _ => place.replaced(finding, format!("when {token}")),
            })
        }
        ("delete", "after") => {
            let finding = place.finding("an age is part of a condition");
            let finding = finding.help(format!("write `delete when older than {after}`"));
            Some(place.replaced(finding, "when older than"))
        }
        ("always", "where") => {
            let finding = place.finding("`always` has no condition");
            let finding = finding.help(format!("write `{one_before} when {after}`"));
            Some(place.replaced_with_previous(finding, "when"))
        }
        (_, "unless" | "except") if one_before != "keep" => {
            let finding = place.finding(format!("`{token}` is not in the language"));
            Some(finding.help("write `and not` and a condition, or a `keep when …` of its own"))
        }
        ("newest", _) => {
            let finding = place.finding("`newest` needs a number");
            Some(finding.help(format!("write `keep newest 3 {token}{}`", place.after)))
        }
        ("otherwise", _) => {
            let finding = place.finding(format!("a failed backup cannot end in `{token}`"));
            let finding = finding.help("write `otherwise keep`: a file whose backup fails stays");
            Some(place.replaced(finding, "keep"))
        }
        ("per", name) if is_word(name) => Some(without_braces(place, name)),
        ("keep", "last" | "latest" | "recent") => {
            let finding = place.finding(format!("`keep {token}` is not in the language"));
            let finding = finding.help(format!("write `keep newest {after}`"));
            Some(place.replaced(finding, "newest"))
        }
        ("hold", "on" | "where" | "until") => {
            let finding = place.finding("a hold needs a name by which it is released");
            Some(finding.help(format!(
                "write `hold \"case 26-117\" {token}{}`",
                place.after
            )))
        }
        ("from", "mtime" | "modified" | "modification") if one_before == "measured" => {
            let finding = place.finding(format!("`{token}` is called `last modified` here"));
            let finding = finding.help("write `age is measured from last modified`");
            Some(place.replaced(finding, "last modified"))
        }
        ("from", "ctime" | "changed") if one_before == "measured" => {
            let finding = place.finding(format!("`{token}` alone is no age"));
            let finding = finding.help(
                "write `age is measured from last modified or changed`: the newer of the two",
            );
            Some(place.replaced(finding, "last modified or changed"))
        }
        ("from", "atime" | "accessed" | "access") if one_before == "measured" => {
            let finding = place.finding(format!("`{token}` is called `last accessed` here"));
            let finding = finding.help("write `age is measured from last accessed`");
            Some(place.replaced(finding, "last accessed"))
        }
        ("limit", "to" | "size") => {
            let finding = place.finding("this limit does not say what it counts");
            let finding = finding.help("write `limit total size to 200 MB` or `limit count to 3`");
            Some(match token {
                "size" => place.replaced(finding, "total size"),
                _ => finding,
            })
        }
        ("when" | "where" | "and" | "or" | "not" | "(", "age" | "mtime" | "ctime" | "atime") => {
            let finding = place.finding("ages are compared in words");
            Some(finding.help(match compared_age(place.after) {
                Some(meant) => format!("write `{meant}`"),
                None => "write `older than 7 days` or `newer than 7 days`".to_owned(),
            }))
        }
        ("when" | "where" | "and" | "or" | "not" | "(", name)
            if is_word(name) && matches!(place.next(), "is" | "in" | "matches") =>
        {
            Some(without_braces(place, name))
        }
        (unit, number) if unit_of(unit).is_some() && is_number(number) => {
            let finding = place.finding("the number stands before its unit");
            let finding = finding.help(format!("write `{number} {unit}`"));
            Some(place.replaced_with_previous(finding, format!("{number} {unit}")))
        }
        (name, "{") if one_before == "collection" => {
            let finding = place.finding(format!("`{name}` does not say which files it holds"));
            Some(finding.help(format!(
                "write `collection {name} at \"*.png\" {{`, or `at \"**\"` for all of the store"
            )))
        }
        _ => None,
    }
}

fn without_braces(place: &Place<'_>, name: &str) -> Diagnostic {
    let finding = place.finding(format!("`{name}` stands without braces"));
    let finding = finding.help(format!("a capture is written `{{{name}}}`"));
    place.replaced(finding, format!("{{{name}}}"))
}

/// What only `retain.toml` can say.
const SCHEDULES: [&str; 4] = ["schedule", "cron", "every", "interval"];

const IN_FILE: [&str; 11] = [
    "collection",
    "protect",
    "hold",
    "let",
    "type",
    "stop",
    "when",
    "test",
    "use",
    "timezone",
    "edition",
];
const IN_COLLECTION: [&str; 8] = [
    "delete", "keep", "limit", "before", "replace", "back", "age", "stop",
];

/// What other tools call it, and what is written here.
const OTHER_TOOLS: [(&[&str], &str); 5] = [
    (
        &["remove", "rm", "purge", "clean", "expire", "unlink"],
        "files go with `delete when older than 6 hours`, or by a `limit`",
    ),
    (
        &["exclude", "ignore", "skip", "except", "include"],
        "what must stay is kept: write `keep when path matches \"*.log\"`",
    ),
    (
        &["max", "maximum", "budget", "quota", "size", "count"],
        "a budget is a limit: write `limit total size to 3 GB, evicting oldest first`, or `limit count to 3`",
    ),
    (
        &["compress", "gzip", "zip"],
        "a file is compressed in its place: write `replace when older than 7 days, using compress`",
    ),
    (
        &["backup", "archive", "copy", "run"],
        "a file is backed up before it goes: write `before delete, run backup into cold`",
    ),
];

/// The block a line stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    File,
    Collection,
    Test,
    Pressure,
}

impl Block {
    /// Words its lines begin with.
    fn words(self) -> &'static [&'static str] {
        match self {
            Block::File => &IN_FILE,
            Block::Collection => &IN_COLLECTION,
            Block::Test => &["given", "expect"],
            Block::Pressure => &["evict", "then"],
        }
    }
}

/// A line that begins with a word no statement begins with.
pub(super) fn of_line(place: &Place<'_>) -> Option<Diagnostic> {
    let word = place.token();
    if !place.begins_line || !is_word(word) {
        return None;
    }
    let block = block_around(place);
    let known = block.words();
    match (block, word) {
        (Block::File, "let") => return Some(incomplete(place, "let ttl = 6 hours")),
        (Block::File, "type") => {
            return Some(incomplete(place, "type kind = one of \"png\", \"jpg\""));
        }
        (_, word) if known.contains(&word) => return None,
        (Block::File, word) if IN_COLLECTION.contains(&word) => {
            let finding = place.finding(format!("`{word}` stands outside a collection"));
            return Some(finding.help(
                "it says something about the files of one: write `collection charts at \"*.png\" {` before it and `}` behind",
            ));
        }
        (Block::Collection, word) if IN_FILE.contains(&word) => {
            let finding = place.finding(format!("`{word}` stands inside a collection"));
            return Some(finding.help("move it out, or close the collection before it with `}`"));
        }
        (Block::Test | Block::Pressure, word)
            if IN_FILE.contains(&word) || IN_COLLECTION.contains(&word) =>
        {
            let name = match block {
                Block::Test => "test",
                _ => "`when`",
            };
            if block == Block::Pressure && matches!(word, "delete" | "limit") {
                let finding = place.finding("under pressure files are evicted");
                return Some(finding.help(
                    "write `evict from cache, oldest first`, with the name of a collection",
                ));
            }
            let finding = place.finding(format!("`{word}` stands inside a {name} block"));
            return Some(finding.help("close the block before it with `}`"));
        }
        _ => {}
    }
    let finding = place.finding(format!("no statement begins with `{word}`"));
    if SCHEDULES.contains(&word) {
        return Some(finding.help(
            "when a store is cleaned stands in retain.toml: `every = \"15 min\"` or `cron = \"0 3 * * *\"`",
        ));
    }
    if block == Block::Collection
        && let Some((_, help)) = OTHER_TOOLS.iter().find(|(words, _)| words.contains(&word))
    {
        return Some(finding.help(*help));
    }
    if let Some(near) = nearest(&word.to_lowercase(), known.iter().copied()) {
        let finding = finding.help(format!("did you mean `{near}`?"));
        return Some(
            match is_sole_nearest(&word.to_lowercase(), known.iter().copied()) {
                true => place.replaced(finding, near),
                false => finding,
            },
        );
    }
    let shown: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
    Some(finding.help(format!("here they begin with {}", shown.join(", "))))
}

fn incomplete(place: &Place<'_>, example: &str) -> Diagnostic {
    let finding = place.finding(format!("this `{}` is not understood", place.token()));
    finding.help(format!("write it as `{example}`"))
}

/// What an unfinished statement lacks, where its last words tell.
pub(super) fn unfinished(place: &Place<'_>) -> Option<String> {
    let before = place.before.trim();
    if before.starts_with("let") && before.contains("env") && !before.contains(" or ") {
        return Some("say what holds when the variable is not set: `or 6 hours`".to_owned());
    }
    let last = before.split_whitespace().next_back()?;
    if let Some(number) = before.strip_prefix("keep ").filter(|rest| is_number(rest)) {
        return Some(format!(
            "write `keep newest {number}`, or a slot such as `keep {number} daily`"
        ));
    }
    (before.starts_with("stop") && last.ends_with('%'))
        .then(|| format!("say of what: `{last} of files`"))
}

fn block_around(place: &Place<'_>) -> Block {
    let start = place.at.clone().unwrap_or_default().start;
    let before = place.source.text().get(..start).unwrap_or_default();
    let mut open = Vec::new();
    let mut head = "";
    // The second word behind `@` is the statement's first.
    let mut label_ends = 0;
    for token in tokens::tokens(before) {
        let word = token.text(before);
        match word {
            // A capture's braces never open a block, but they balance.
            "{" => open.push(match head {
                "test" => Block::Test,
                "when" => Block::Pressure,
                _ => Block::Collection,
            }),
            "}" => {
                open.pop();
            }
            "@" => {
                label_ends = 2;
                continue;
            }
            _ if (token.begins_line || label_ends == 1) && open.is_empty() => head = word,
            _ => {}
        }
        label_ends = usize::saturating_sub(label_ends, 1);
    }
    open.last().copied().unwrap_or(Block::File)
}

pub(super) fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic())
        && token
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// What `> 6 hours` behind an age says, in words.
fn compared_age(after: &str) -> Option<String> {
    let after = after.trim_start();
    let (word, rest) = match (after.strip_prefix('>'), after.strip_prefix('<')) {
        (Some(rest), _) => ("older", rest),
        (None, Some(rest)) => ("newer", rest),
        (None, None) => return None,
    };
    let rest = rest.trim_start_matches('=').trim_start();
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = rest.split_at_checked(digits)?;
    let unit = tokens::tokens(rest).next()?.text(rest);
    let known = is_number(number) && unit_of(unit).is_some();
    known.then(|| format!("{word} than {number} {unit}"))
}

pub(super) fn is_number(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit())
}
