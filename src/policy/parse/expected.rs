//! What the grammar would have accepted, in words a person uses.
//!
//! pest reports the rules it tried at the furthest position. This module turns
//! that into a message; no rule's name gets past it.

use std::ops::Range;

use pest::error::{Error, ErrorVariant, InputLocation};

use super::habit::{self, Place};
use super::{Rule, quotes, tokens};
use crate::diagnostic::{Diagnostic, Source, is_sole_nearest, nearest};

/// The word a keyword rule stands for.
pub(super) fn keyword(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::k_above => "above",
        Rule::k_after => "after",
        Rule::k_allowing => "allowing",
        Rule::k_below => "below",
        Rule::k_by => "by",
        Rule::k_deletes => "deletes",
        Rule::k_directories => "directories",
        Rule::k_disk => "disk",
        Rule::k_evict => "evict",
        Rule::k_expect => "expect",
        Rule::k_free => "free",
        Rule::k_full => "full",
        Rule::k_given => "given",
        Rule::k_now => "now",
        Rule::k_on => "on",
        Rule::k_protections => "protections",
        Rule::k_store => "store",
        Rule::k_then => "then",
        Rule::k_types => "types",
        Rule::k_until => "until",
        Rule::k_using => "using",
        Rule::k_age => "age",
        Rule::k_ago => "ago",
        Rule::k_always => "always",
        Rule::k_and => "and",
        Rule::k_anyway => "anyway",
        Rule::k_at => "at",
        Rule::k_a => "a",
        Rule::k_back => "back",
        Rule::k_backups => "backups",
        Rule::k_because => "because",
        Rule::k_before => "before",
        Rule::k_changed => "changed",
        Rule::k_collection => "collection",
        Rule::k_count => "count",
        Rule::k_created => "created",
        Rule::k_date => "date",
        Rule::k_accessed => "accessed",
        Rule::k_delete => "delete",
        Rule::k_down => "down",
        Rule::k_edition => "edition",
        Rule::k_empty => "empty",
        Rule::k_env => "env",
        Rule::k_evicting => "evicting",
        Rule::k_files => "files",
        Rule::k_first => "first",
        Rule::k_for => "for",
        Rule::k_from => "from",
        Rule::k_group => "group",
        Rule::k_hold => "hold",
        Rule::k_if => "if",
        Rule::k_in => "in",
        Rule::k_into => "into",
        Rule::k_is => "is",
        Rule::k_keep => "keep",
        Rule::k_keeping => "keeping",
        Rule::k_largest => "largest",
        Rule::k_last => "last",
        Rule::k_least => "least",
        Rule::k_let => "let",
        Rule::k_limit => "limit",
        Rule::k_lowest => "lowest",
        Rule::k_matches => "matches",
        Rule::k_matching => "matching",
        Rule::k_measured => "measured",
        Rule::k_modified => "modified",
        Rule::k_more => "more",
        Rule::k_most => "most",
        Rule::k_name => "name",
        Rule::k_never => "never",
        Rule::k_newer => "newer",
        Rule::k_newest => "newest",
        Rule::k_not => "not",
        Rule::k_number => "number",
        Rule::k_of => "of",
        Rule::k_older => "older",
        Rule::k_oldest => "oldest",
        Rule::k_one => "one",
        Rule::k_or => "or",
        Rule::k_otherwise => "otherwise",
        Rule::k_over => "over",
        Rule::k_owner => "owner",
        Rule::k_path => "path",
        Rule::k_per => "per",
        Rule::k_protect => "protect",
        Rule::k_prove => "prove",
        Rule::k_recently => "recently",
        Rule::k_replace => "replace",
        Rule::k_run => "run",
        Rule::k_semver => "semver",
        Rule::k_size => "size",
        Rule::k_smallest => "smallest",
        Rule::k_stop => "stop",
        Rule::k_test => "test",
        Rule::k_text => "text",
        Rule::k_than => "than",
        Rule::k_timezone => "timezone",
        Rule::k_to => "to",
        Rule::k_total => "total",
        Rule::k_type => "type",
        Rule::k_under => "under",
        Rule::k_up => "up",
        Rule::k_use => "use",
        Rule::k_used => "used",
        Rule::k_user => "user",
        Rule::k_when => "when",
        Rule::k_where => "where",
        Rule::k_within => "within",
        Rule::k_would => "would",
        Rule::k_true => "true",
        Rule::k_false => "false",
        _ => return None,
    })
}

/// Words of the language that this version only reserves: never suggested.
fn is_later(rule: Rule) -> bool {
    rule == Rule::k_prove
}

/// What a rule that is more than one word asks for.
fn phrase(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::statement | Rule::one_statement => {
            "a statement such as `collection charts at \"*.png\" { … }`"
        }
        Rule::member | Rule::one_member => "a statement such as `delete when older than 6 hours`",
        Rule::condition | Rule::unary | Rule::predicate => {
            "a condition such as `older than 6 hours`"
        }
        Rule::value | Rule::literal | Rule::list_item => {
            "a value such as `6 hours`, `200 MB` or `3`"
        }
        Rule::number => "a number",
        Rule::percent => "a percentage such as `50%`",
        Rule::unit => "a unit such as `hours` or `MB`",
        Rule::text | Rule::text_body => "a text in double quotes",
        Rule::ident | Rule::name => "a name",
        Rule::capture | Rule::grouping => "a capture such as `{symbol}`",
        Rule::order => {
            "`oldest first`, `largest first`, `smallest first`, `least recently used first` or `lowest {version} first`"
        }
        Rule::moment | Rule::date => "a day such as `2026-03-10`",
        Rule::version | Rule::operand => "a number such as `3` or a version such as `1.2.3`",
        Rule::slot => "a slot such as `7 daily`",
        Rule::fill => "a mark such as `90% full` or `40 GB`",
        Rule::evict => "a stage such as `evict from charts, oldest first`",
        Rule::given => "a fact such as `given \"a.png\" modified 7 days ago, 3 MB`",
        Rule::expect => "an expectation such as `expect keep \"a.png\"`",
        Rule::fact => "a fact such as `modified 7 days ago` or `3 MB`",
        Rule::fact_clock => "`modified`, `changed`, `accessed` or `created`",
        Rule::on_disk | Rule::on_store => "`disk` or `store`",
        Rule::stop_bound => "a bound such as `50% of files`, `1000 files` or `5 GB`",
        Rule::argument | Rule::argument_value => "an argument such as `level: 3`",
        Rule::arguments => "`(`",
        Rule::size_over | Rule::size_under => "`over`, `under`, `at least` or `at most`",
        Rule::last_modified | Rule::last_accessed => {
            "`last modified`, `last modified or changed`, `last accessed`, `created` or a date's capture"
        }
        _ => return keyword_phrase(rule),
    })
}

fn keyword_phrase(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::because | Rule::label | Rule::decoration => return None,
        Rule::per => "`per`",
        Rule::filter => "`where`",
        Rule::evicting => "`evicting`",
        Rule::into => "`into`",
        Rule::otherwise => "`otherwise keep`",
        Rule::down_to => "`down to`",
        Rule::at_least => "`at least`",
        Rule::at_most => "`at most`",
        Rule::in_unit => "`in hours`",
        Rule::or_changed => "`or changed`",
        Rule::junction => "`and` or `or`",
        Rule::collection_head => "`collection`",
        Rule::until => "`until`",
        Rule::hold_on => "`on`",
        Rule::allowing => "`allowing deletes`",
        Rule::use_what => "`types` or `protections`",
        Rule::is_not => "`not`",
        _ => return None,
    })
}

/// The message for a text the grammar refused. `offset` is where the text handed
/// to pest begins in the source, `length` how long it is.
pub(super) fn translate(
    source: &Source,
    offset: usize,
    length: usize,
    error: &Error<Rule>,
) -> Diagnostic {
    let position = match error.location {
        InputLocation::Pos(position) | InputLocation::Span((position, _)) => position,
    };
    let rules = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives.as_slice(),
        ErrorVariant::CustomError { .. } => &[],
    };
    let end = offset + length;
    let found = found_at(source, offset + position, end);
    let place = Place::new(source, offset, found.clone(), end);
    let wants_text = rules.contains(&Rule::text);
    let wants_name = rules.contains(&Rule::ident);
    if let Some(finding) = habit::of_token(&place)
        .or_else(|| wants_text.then(|| quotes::unquoted(&place)).flatten())
        .or_else(|| wants_name.then(|| quotes::quoted_name(&place)).flatten())
    {
        return finding;
    }
    let words: Vec<&'static str> = rules
        .iter()
        .filter(|rule| !is_later(**rule))
        .filter_map(|rule| keyword(*rule))
        .collect();
    let here = found.as_ref().map(|at| source.slice(at).to_owned());
    if let (Some(at), Some(word)) = (&found, &here)
        && let Some(near) = nearest(word, words.iter().copied())
    {
        let finding = Diagnostic::error(
            "R0101",
            source,
            at.clone(),
            format!("`{word}` is not understood here"),
        )
        .help(format!("did you mean `{near}`?"));
        return match is_sole_nearest(word, words.iter().copied()) {
            true => finding.edit(at.clone(), near),
            false => finding,
        };
    }
    if let Some(finding) = habit::of_line(&place) {
        return finding;
    }
    let wanted = wanted(rules, &words);
    match (found, here) {
        (Some(at), Some(word)) => unexpected(source, at, &word, &wanted),
        _ => {
            let at = end_of_previous_token(source, offset, offset + position);
            Diagnostic::error("R0101", source, at, "the statement ends too early")
                .label("something is missing after this")
                .help(habit::unfinished(&place).unwrap_or_else(|| expecting(&wanted)))
        }
    }
}

fn unexpected(source: &Source, at: Range<usize>, word: &str, wanted: &[String]) -> Diagnostic {
    if word.starts_with('"') && (word.len() == 1 || !word.ends_with('"')) {
        return Diagnostic::error("R0101", source, at, "this text has no closing quote")
            .help("close it with `\"` on the same line; write `\\\"` for a quote inside it");
    }
    let shown = if word.starts_with('"') {
        "this text".to_owned()
    } else {
        format!("`{word}`")
    };
    Diagnostic::error(
        "R0101",
        source,
        at,
        format!("{shown} is not understood here"),
    )
    .help(expecting(wanted))
}

fn expecting(wanted: &[String]) -> String {
    match wanted {
        [] => "see the statements of the language in docs/language".to_owned(),
        [one] => format!("{one} belongs here"),
        // A phrase may be a list of its own.
        [most @ .., last] if wanted.iter().any(|phrase| phrase.contains(" or ")) => {
            format!("{}, or {last} belongs here", most.join(", "))
        }
        [most @ .., last] => format!("{} or {last} belongs here", most.join(", ")),
    }
}

/// At most six alternatives, phrases before bare words, each once.
fn wanted(rules: &[Rule], words: &[&'static str]) -> Vec<String> {
    let mut wanted: Vec<String> = Vec::new();
    let phrases = rules
        .iter()
        .filter_map(|rule| phrase(*rule))
        .map(str::to_owned);
    for candidate in phrases.chain(
        words
            .iter()
            .filter(|word| **word != "because")
            .map(|word| format!("`{word}`")),
    ) {
        if !wanted.contains(&candidate) {
            wanted.push(candidate);
        }
    }
    // `keep at most` is read only to be answered.
    if words.contains(&"newest") {
        wanted.retain(|candidate| candidate != "`at`");
    }
    wanted.truncate(6);
    wanted
}

/// The token at or after a position, unless the text ends before one.
fn found_at(source: &Source, position: usize, end: usize) -> Option<Range<usize>> {
    let rest = source.text().get(position..end)?;
    let token = tokens::tokens(rest).next()?;
    Some(token.at.start + position..token.at.end + position)
}

/// pest points past the white space it skipped; what is missing is missing here.
fn end_of_previous_token(source: &Source, offset: usize, position: usize) -> Range<usize> {
    let before = source.text().get(offset..position).unwrap_or_default();
    tokens::tokens(before)
        .last()
        .map_or(offset..offset, |token| {
            token.at.start + offset..token.at.end + offset
        })
}
