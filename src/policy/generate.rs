//! Policies for property tests: every statement of the language, sound as a whole.
//!
//! [`policy`] makes one as the tokens it is written with, so that a test can write it
//! plainly ([`Written::plain`]), as badly as the grammar allows ([`messy`]), or with
//! its statements in another order ([`Written::statements`]).

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::Union;

use super::Environment;
use crate::diagnostic::Source;

/// A policy as statements, each as its tokens. `edition` comes first.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) statements: Vec<Vec<String>>,
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.plain())
    }
}

impl Written {
    /// One statement a line, one space between tokens.
    pub(crate) fn plain(&self) -> String {
        let lines = self.statements.iter().map(|tokens| tokens.join(" ") + "\n");
        lines.collect()
    }
}

/// A world that has the one file generated policies use.
pub(crate) fn world() -> Environment<'static> {
    Environment {
        file: &|_, name| Ok(Source::new(name, "edition 2026\ntype other = number\n")),
        user: &|_| Some(1000),
        group: &|_| Some(1000),
        ..Environment::nothing()
    }
}

/// A policy that loads in [`world`] without an error.
pub(crate) fn policy() -> impl Strategy<Value = Written> {
    let blocks = (
        vec(loose_statement(), 0..6),
        maybe(all([
            say("use"),
            maybe(say("types from")),
            text("\"used.retain\""),
        ])),
        maybe(stop()),
        maybe(pressure("disk", "% full")),
        maybe(pressure("store", " GB")),
        collection("left"),
        maybe(collection("right")),
        vec(test_block(), 0..2),
    );
    blocks.prop_map(|(loose, used, stop, disk, store, first, second, tests)| {
        let mut statements: Vec<Vec<String>> = PREAMBLE.lines().map(tokens_of).collect();
        statements.extend(loose);
        statements.extend([used, stop, disk, store, first, second]);
        statements.extend(tests);
        statements.retain(|tokens| !tokens.is_empty());
        let mut count = 0;
        for token in statements.iter_mut().flatten() {
            // A name that has to be the only one of its kind.
            if token.contains('?') && token.contains("unique") {
                count += 1;
                *token = token.replace('?', &count.to_string());
            }
        }
        Written { statements }
    })
}

/// The same policy with other white space, comments and optional commas.
pub(crate) fn messy(policy: &Written) -> impl Strategy<Value = String> + use<> {
    let tokens: Vec<String> = policy.statements.concat();
    let spaces = select(vec![
        " ",
        " ",
        " ",
        " ",
        "  ",
        "\t",
        "\n",
        "\n",
        "\n\n",
        "\r\n",
        " # a remark\n",
        "\n# {one} \"two\"  \n",
        "\n\n\n#three\n\n\n",
    ]);
    vec((spaces, any::<bool>()), tokens.len() + 1).prop_map(move |spaces| {
        let mut text = String::new();
        let mut last = ",";
        for (token, (space, close)) in tokens.iter().zip(&spaces) {
            if !(*close && (is_bracket(last) || is_bracket(token))) {
                text.push_str(space);
            }
            text.push_str(token);
            last = token;
        }
        text.push_str(spaces.last().map_or("", |(space, _)| space));
        text
    })
}

fn is_bracket(token: &str) -> bool {
    matches!(token, "," | "(" | ")" | "[" | "]")
}

const PREAMBLE: &str = r#"edition 2026
timezone "Europe/Berlin"
type kind = one of "a", "b"
type ticker = text matching "[A-Z]{1,5}([.-][A-Z])?"
type born = date "%Y-%m-%d"
type serial = number
type release = semver
type person = user
let span = env "SPAN" in hours or 6 hours , at least 1 hour , at most 7 days
let budget = env "BYTES" in MB or 200 MB at least 1 MB
let many = 12
@known protect "vault/**"
"#;

const CAPTURES: [&str; 6] = [
    "{kind}",
    "{ticker}",
    "{born}",
    "{serial}",
    "{release}",
    "{person}",
];

type Words = BoxedStrategy<Vec<String>>;

/// Words, numbers and marks as they stand between white space, texts in one.
fn tokens_of(line: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut in_text = false;
    for part in line.split_inclusive([' ', '"']) {
        let word = part.trim_end_matches(' ');
        match (in_text, tokens.last_mut()) {
            (true, Some(open)) => {
                let open: &mut String = open;
                open.push_str(part);
            }
            _ => {
                let (word, comma) = match word.strip_suffix(',') {
                    Some(word) => (word, true),
                    None => (word, false),
                };
                tokens.extend((!word.is_empty()).then(|| word.to_owned()));
                tokens.extend(comma.then(|| ",".to_owned()));
            }
        }
        if part.ends_with('"') {
            in_text = !in_text;
        }
    }
    tokens
}

fn say(words: &str) -> Words {
    Just(tokens_of(words)).boxed()
}

fn text(text: &str) -> Words {
    Just(vec![text.to_owned()]).boxed()
}

fn all(parts: impl IntoIterator<Item = Words>) -> Words {
    let parts: Vec<Words> = parts.into_iter().collect();
    parts.prop_map(|parts| parts.concat()).boxed()
}

fn any_of(choices: impl IntoIterator<Item = Words>) -> Words {
    Union::new(choices).boxed()
}

fn one_of(choices: &[&str]) -> Words {
    let choices: Vec<Vec<String>> = choices.iter().map(|choice| tokens_of(choice)).collect();
    select(choices).boxed()
}

fn maybe(words: Words) -> Words {
    any_of([Just(Vec::new()).boxed(), words])
}

fn comma() -> Words {
    maybe(say(","))
}

/// A statement with a label in front and a reason behind, or without.
fn framed(statement: Words) -> Words {
    let label = maybe(text("@unique?"));
    all([
        label,
        statement,
        maybe(all([say("because"), words_in_quotes()])),
    ])
}

fn words_in_quotes() -> Words {
    let texts = [
        "\"quarterly review\"",
        "\"a # is no remark, nor is { a brace\"",
        "\"say \\\"no\\\"  twice\"",
        "\"ein längerer Grund, der allein schon viele Spalten einer Zeile füllt, und noch einige mehr\"",
    ];
    select(texts.map(|text| vec![text.to_owned()]).to_vec()).boxed()
}

fn age() -> Words {
    let units = [
        "30 min",
        "6 hours",
        "1_000 seconds",
        "7 days",
        "3 weeks",
        "13 months",
        "2 quarters",
        "1 year",
    ];
    any_of([one_of(&units), say("span")])
}

fn size() -> Words {
    any_of([
        one_of(&["1 B", "64 kB", "200 MB", "1_500 MiB", "2 GB", "1 TiB"]),
        say("budget"),
    ])
}

fn count() -> Words {
    any_of([
        (1..500u32).prop_map(|n| vec![n.to_string()]).boxed(),
        say("many"),
    ])
}

fn date() -> Words {
    let moments = [
        "2026-03-10",
        "2026-3-1 06:00",
        "2026-03-10  12:00:30",
        "2026-03-10T12:00",
        "\"2026-01-01\"",
    ];
    select(moments.map(|moment| vec![moment.to_owned()]).to_vec()).boxed()
}

fn loose_statement() -> Words {
    let shapes = [
        all([say("one of"), text("\"x\""), say(","), text("\"y z\"")]),
        all([say("text matching"), text(r#""[a-z]+(\\.[0-9]{1,2})?""#)]),
        all([say("date"), text("\"%Y%m%d\"")]),
        one_of(&["number", "semver", "user"]),
    ];
    let constants = [
        one_of(&["6 hours", "200 MB", "3"]),
        text("\"AAPL\""),
        all([
            say("env"),
            text("\"SOME_SIZE\""),
            maybe(say("in MB")),
            say("or 40 MB"),
        ]),
        all([
            say("env"),
            text("\"SOME_COUNT\""),
            say("or 3"),
            maybe(say(", at least 1")),
            maybe(say("at most 9")),
        ]),
    ];
    let template = || one_of(&["\"vault/**\"", "\"{user}/keep/*\"", "\"a\\\\*b.txt\""]);
    any_of([
        framed(all([say("type unique?"), say("="), any_of(shapes)])),
        framed(all([say("let unique?"), say("="), any_of(constants)])),
        framed(all([
            say("protect"),
            template(),
            maybe(all([say("where"), facts()])),
        ])),
        framed(all([
            say("hold"),
            text("\"unique ?\""),
            maybe(all([say("on"), template()])),
            maybe(all([say("where"), facts()])),
            maybe(all([say("until"), date()])),
        ])),
    ])
}

fn stop() -> Words {
    let bounds = any_of([
        one_of(&["25% of files", "100 % of files"])
            .prop_map(join_percent)
            .boxed(),
        one_of(&["1000 files", "1 file"]),
        size(),
    ]);
    framed(any_of([
        say("stop never"),
        all([say("stop if a run would delete more than"), bounds]),
    ]))
}

/// `25 %` as the one token it is.
fn join_percent(tokens: Vec<String>) -> Vec<String> {
    tokens
        .join(" ")
        .replace(" %", "%")
        .split(' ')
        .map(str::to_owned)
        .collect()
}

fn pressure(on: &'static str, unit: &'static str) -> Words {
    let mark = |amount: u32| say(&format!("{amount}{unit}"));
    let stage = || {
        let filter = maybe(all([say("where"), condition()]));
        all([say("evict from left"), filter, comma(), order()])
    };
    let further = vec(all([say("then"), stage()]), 0..3).prop_map(|stages| stages.concat());
    framed(all([
        say("when"),
        say(on),
        say("is above"),
        mark(90),
        comma(),
        say("free until below"),
        mark(80),
        say("{"),
        stage(),
        further.boxed(),
        say("}"),
    ]))
}

fn order() -> Words {
    one_of(&[
        "oldest first",
        "largest first",
        "smallest first",
        "least recently used first",
        "lowest {release} first",
        "lowest {serial} first",
    ])
}

fn collection(name: &'static str) -> Words {
    let template = format!(
        "\"{name}/{{kind:kind}}/{{ticker:ticker}}/{{born:born}}/{{serial:serial}}/{{release:release}}/{{person:person}}/*.png\""
    );
    let clock = one_of(&[
        "age is measured from last modified",
        "age is measured from last modified or changed",
        "age is measured from last accessed",
        "age is measured from created",
        "age is measured from {born}",
    ]);
    // Limits of one scope have one order.
    let limits = order().prop_flat_map(|order| {
        let order = || Just(order.clone()).boxed();
        all([
            maybe(limit("total size", size(), order())),
            maybe(limit("count", count(), order())),
        ])
    });
    let members = (
        vec(member(), 0..8),
        limits,
        maybe(framed(all([
            say("delete empty directories"),
            maybe(say("when older than 2 hours")),
        ]))),
        maybe(stop()),
    );
    let members = members.prop_map(|(members, limits, empty, stop)| {
        [members.concat(), limits, empty, stop].concat()
    });
    framed(all([
        say("collection"),
        say(name),
        say("at"),
        text(&template),
        say("{"),
        framed(clock),
        members.boxed(),
        say("}"),
    ]))
}

fn per() -> Words {
    one_of(&[
        "per {kind}",
        "per {kind}/{ticker}",
        "per {ticker}_{born}-{serial}",
    ])
}

fn filter() -> Words {
    maybe(all([say("where"), condition()]))
}

fn limit(what: &'static str, cap: Words, order: Words) -> Words {
    // Scopes of which one contains the other.
    let per = one_of(&["per {kind}", "per {kind}/{ticker}"]);
    let down_to = match what {
        "count" => Just(Vec::new()).boxed(),
        _ => maybe(all([comma(), say("down to"), say("90%")])),
    };
    framed(all([
        say("limit"),
        say(what),
        say("to"),
        cap,
        maybe(per),
        filter(),
        comma(),
        say("evicting"),
        order,
        down_to,
    ]))
}

fn member() -> Words {
    framed(any_of([
        say("delete always"),
        all([say("delete when"), condition()]),
        say("keep always"),
        all([say("keep when"), condition()]),
        all([say("keep for"), age(), filter()]),
        all([say("keep newest"), count(), maybe(per()), filter()]),
        all([say("keep"), slots(), maybe(per()), filter()]),
        all([
            say("before delete"),
            comma(),
            say("run backup"),
            arguments(),
            maybe(say("into cold")),
            maybe(all([
                comma(),
                one_of(&["otherwise keep", "otherwise delete anyway"]),
            ])),
        ]),
        all([
            say("delete backups when older than"),
            age(),
            maybe(all([comma(), say("keeping newest"), count()])),
        ]),
        all([
            say("back up"),
            maybe(one_of(&["hourly", "daily", "weekly"])),
            comma(),
            say("run backup"),
            arguments(),
            say("into cold"),
        ]),
        all([
            say("replace when"),
            condition(),
            comma(),
            say("using zstd"),
            arguments(),
        ]),
    ]))
}

fn slots() -> Words {
    let slots = vec![
        "24 hourly",
        "7 daily",
        "5 weekly",
        "12 monthly",
        "4 quarterly",
        "7 yearly",
    ];
    subsequence(slots, 1..=6)
        .prop_map(|slots| tokens_of(&slots.join(", ")))
        .boxed()
}

fn arguments() -> Words {
    let arguments = [
        "( )",
        "( level : 3 )",
        "( level : 3, fast : true , )",
        "( names : [ \"a\", 2 MB, 3 hours, ], span : span )",
        "( note : \"a, (b)\", empty : [ ] )",
    ];
    maybe(one_of(&arguments))
}

/// What may be asked of any file, in a collection or not.
fn fact() -> Words {
    let stamp = || one_of(&["modified", "accessed", "created"]);
    any_of([
        all([stamp(), say("more than"), age(), say("ago")]),
        all([stamp(), say("within"), age()]),
        all([stamp(), one_of(&["before", "after"]), date()]),
        all([
            say("size"),
            one_of(&["over", "under", "at least", "at most"]),
            size(),
        ]),
        all([say("path matches"), text("\"**/*.tmp\"")]),
        all([
            one_of(&["owner", "group"]),
            one_of(&["is", "is not"]),
            one_of(&["\"ann\"", "1000"]),
        ]),
        all([one_of(&["name is", "name is not"]), text("\"a (1).png\"")]),
    ])
}

fn facts() -> Words {
    joined(fact())
}

fn predicate() -> Words {
    any_of([
        fact(),
        all([one_of(&["older than", "newer than"]), age()]),
        all([say("{ticker}"), one_of(&["is", "is not"]), text("\"AAPL\"")]),
        all([
            say("{kind} in ["),
            text("\"a\""),
            maybe(all([say(","), text("\"b\"")])),
            comma(),
            say("]"),
        ]),
        all([say("{ticker} matches"), text("\"A*\"")]),
        all([say("{serial}"), one_of(&["over", "under"]), count()]),
        all([
            say("{release}"),
            one_of(&["over", "under"]),
            one_of(&["1.2.3", "2.0.0-rc.1"]),
        ]),
        all([say("{born}"), one_of(&["before", "after"]), date()]),
        all([
            select(CAPTURES.map(tokens_of).to_vec()).boxed(),
            say("matches"),
            text("\"?*\""),
        ]),
    ])
}

fn condition() -> Words {
    joined(predicate())
}

/// Joined by `and` or by `or`, with parentheses around what is joined otherwise.
fn joined(leaf: Words) -> Words {
    let tree = leaf.prop_recursive(3, 12, 4, |inner| {
        let part = any_of([
            all([say("("), inner.clone().boxed(), say(")")]),
            all([say("not ("), inner.boxed(), say(")")]),
        ]);
        (any::<bool>(), vec(part, 1..4)).prop_map(|(and, parts)| {
            let junction = [if and { "and" } else { "or" }.to_owned()];
            parts.join(junction.as_slice())
        })
    });
    tree.boxed()
}

fn test_block() -> Words {
    let path = "\"left/a/AAPL/2026-03-10/1/1.2.3/ann/x.png\"";
    // Each stamp at most once.
    let facts = [
        all([say("modified"), age(), say("ago")]),
        all([say("changed"), date()]),
        all([say("accessed"), age(), say("ago")]),
        all([say("created"), date()]),
        all([say("owner"), one_of(&["\"ann\"", "1000"])]),
        all([say("group"), one_of(&["\"ann\"", "1000"])]),
        any_of([size(), say("empty")]),
    ];
    let facts: Vec<Words> = facts.into_iter().map(maybe).collect();
    let facts = facts.prop_map(|mut facts| {
        facts.retain(|fact| !fact.is_empty());
        facts.join([",".to_owned()].as_slice())
    });
    let by = maybe(say("by @known"));
    let body = [
        say("given now 2026-03-10 12:00")
            .prop_map(|_| tokens_of("given now"))
            .boxed(),
        date(),
        maybe(say("given disk 91% full")),
        maybe(all([
            say("given env"),
            text("\"SPAN\""),
            say("is"),
            text("\"12\""),
        ])),
        all([say("given"), text(path), facts.boxed()]),
        all([
            one_of(&["expect keep", "expect delete", "expect replace"]),
            text(path),
            by,
        ]),
    ];
    framed(all([
        say("test"),
        text("\"unique ?\""),
        say("{"),
        all(body),
        say("}"),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn every_generated_policy_loads(policy in policy()) {
            let source = Source::new("generated", policy.plain());
            let loaded = load(&source, world());
            let errors = loaded.err().map(|findings| {
                let errors = findings.0.iter().filter(|f| f.severity() == crate::diagnostic::Severity::Error);
                errors.map(|finding| finding.render(crate::diagnostic::Look::Plain)).collect::<String>()
            });
            prop_assert!(errors.is_none(), "{}", errors.unwrap_or_default());
        }
    }
}
