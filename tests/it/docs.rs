//! What the documentation shows is what happens.
//!
//! Fenced blocks are told apart by their first line: a ```retain block that begins with
//! `edition` is a whole policy without mistakes or warnings whose tests hold; one marked
//! `mistake` or `wrong` has exactly the findings of the ```text block behind it. A mark
//! `NAME.retain` names a file that other blocks of the page may use, `NAME=VALUE` sets a
//! variable. `UPDATE_DOCS=1` writes what the tool says into the ```text blocks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use retain::config::{Config, Environment};
use retain::diagnostic::{Diagnostic, Diagnostics, Source};
use retain::run::Job;

use crate::corpus::{check_policy, drawn};
use crate::inventory::repository;

/// A fenced block.
#[derive(Clone, Debug)]
struct Block {
    language: String,
    marks: Vec<String>,
    text: String,
    /// The line of its first line, from 1.
    line: usize,
    /// Whether only blank lines stand between the block before it and this one.
    follows: bool,
}

impl Block {
    fn is(&self, mark: &str) -> bool {
        self.marks.iter().any(|known| known == mark)
    }

    /// The name under which other blocks use it, and messages show it.
    fn name(&self) -> &str {
        let named = self.marks.iter().find(|mark| mark.ends_with(".retain"));
        named.map_or("policy.retain", String::as_str)
    }

    fn variable(&self, name: &str) -> Option<String> {
        let mut marks = self.marks.iter().filter_map(|mark| mark.split_once('='));
        let found = marks.find(|(known, _)| *known == name);
        found.map(|(_, value)| value.to_owned())
    }

    fn is_policy(&self) -> bool {
        self.language == "retain" && self.text.starts_with("edition")
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let mut follows = false;
    for (index, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(info), None) => {
                let mut words = info.split(',').map(|word| word.trim().to_owned());
                open = Some(Block {
                    language: words.next().unwrap_or_default(),
                    marks: words.collect(),
                    text: String::new(),
                    line: index + 2,
                    follows,
                });
            }
            (Some(_), Some(block)) => {
                blocks.push(block);
                follows = true;
            }
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => follows &= line.trim().is_empty(),
        }
    }
    assert!(open.is_none(), "a block is not closed: {open:?}");
    blocks
}

/// Every page below a directory, the deepest last.
fn pages(directory: &str) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(repository(directory)).sort_by_file_name();
    let files = files
        .into_iter()
        .flatten()
        .map(walkdir::DirEntry::into_path);
    files
        .filter(|file| file.extension().is_some_and(|ending| ending == "md"))
        .collect()
}

/// What a block is judged in: the named files of its page, its variables, no users.
fn within<T>(
    block: &Block,
    page: &[Block],
    judge: impl FnOnce(&Source, retain::policy::Environment<'_>) -> T,
) -> T {
    let source = Source::new(block.name(), block.text.clone());
    let variable = |name: &str| Ok(block.variable(name));
    let file = |_: &Source, name: &str| {
        let named = page.iter().find(|other| other.name() == name);
        let missing = || "no such file or directory".to_owned();
        named
            .map(|other| Source::new(name, other.text.clone()))
            .ok_or_else(missing)
    };
    let world = retain::policy::Environment {
        variable: &variable,
        file: &file,
        ..retain::policy::Environment::nothing()
    };
    judge(&source, world)
}

/// Errors and warnings of a policy.
fn findings(source: &Source, world: retain::policy::Environment<'_>) -> Diagnostics {
    match retain::policy::load(source, world) {
        Ok(checked) => checked.warnings,
        Err(findings) => findings,
    }
}

/// A policy that is held up as an example, and how many tests it has.
fn sound(block: &Block, page: &[Block]) -> Result<usize, String> {
    within(block, page, |source, world| {
        let warnings = findings(source, world);
        match warnings.0.is_empty() {
            true => check_policy(source, world),
            false => Err(drawn(&warnings)),
        }
    })
}

/// What the tool says of a policy or a configuration with mistakes, as the page shows it.
fn answer(block: &Block, page: &[Block]) -> String {
    let said = match block.language.as_str() {
        "toml" => configured(block, policy_of(page, Side::Right)).1,
        _ => within(block, page, |source, world| drawn(&findings(source, world))),
    };
    let lines: Vec<_> = said.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_end())
}

/// What `check` finds in a configuration and the policy beside it, and how it is drawn.
fn configured(configuration: &Block, policy: &str) -> (Vec<Diagnostic>, String) {
    let room = tempfile::TempDir::new().unwrap();
    let file = room.path().join("retain.toml");
    std::fs::write(&file, &configuration.text).unwrap();
    std::fs::write(room.path().join("policy.retain"), policy).unwrap();
    let home = room.path().to_str().unwrap();
    let mut environment = Environment::default().with("HOME", home);
    if let Some(name) = configuration.variable("ENVIRONMENT") {
        environment = environment.with("ENVIRONMENT", &name);
    }
    let found = match Config::load(&file, &environment) {
        Err(Diagnostics(found)) => found,
        Ok(config) => {
            let stores = config.stores.values();
            let jobs = stores.flat_map(|store| match Job::load(&config, store, &environment) {
                Ok(job) => job.warnings.0.clone(),
                Err(Diagnostics(found)) => found,
            });
            config.warnings.iter().cloned().chain(jobs).collect()
        }
    };
    let drawn = drawn(&Diagnostics(found.clone()));
    (found, drawn.replace(&format!("{home}/"), ""))
}

/// Which of the examples of a code's page are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Wrong,
    Right,
}

/// The policy beside the configurations of a page.
fn policy_of(page: &[Block], side: Side) -> &str {
    let policies = || page.iter().filter(|block| block.language == "retain");
    let wanted = policies().find(|block| block.is("wrong") == (side == Side::Wrong));
    let any = wanted.or_else(|| policies().next());
    any.map_or("edition 2026\n", |block| block.text.as_str())
}

/// Compares the answers a page shows with those that are given, or puts them there.
fn compare_answers(file: &Path, wrong: &mut Vec<String>) {
    let text = std::fs::read_to_string(file).unwrap();
    let page = blocks(&text);
    let mut mended = text.clone();
    for pair in page.windows(2).rev() {
        let [block, shown] = pair else { continue };
        let asks = block.is("mistake") || block.is("wrong");
        let shows = shown.language == "text" && shown.follows;
        if !asks || !shows {
            assert!(
                !block.is("mistake") || shows,
                "{}:{}",
                file.display(),
                block.line
            );
            continue;
        }
        let said = answer(block, &page);
        if said.trim().is_empty() {
            wrong.push(format!("{}:{}: no mistake", file.display(), block.line));
        } else if said != shown.text {
            let place = format!("{}:{}", file.display(), shown.line);
            wrong.push(format!("{place}: the tool says\n{said}"));
            let mut lines: Vec<&str> = mended.lines().collect();
            let begin = shown.line - 1;
            lines.splice(begin..begin + shown.text.lines().count(), said.lines());
            mended = format!("{}\n", lines.join("\n"));
        }
    }
    if std::env::var_os("UPDATE_DOCS").is_some() && mended != text {
        std::fs::write(file, mended).unwrap();
    }
}

fn all_pages() -> Vec<PathBuf> {
    let mut all = pages("docs");
    all.extend(Some(repository("README.md")).filter(|readme| readme.exists()));
    all
}

#[test]
fn every_policy_in_the_documentation_is_sound_and_its_tests_hold() {
    let mut wrong = Vec::new();
    for file in all_pages() {
        let page = blocks(&std::fs::read_to_string(&file).unwrap());
        let shown = page
            .iter()
            .filter(|block| block.is_policy() && !block.is("mistake") && !block.is("wrong"));
        for block in shown {
            if let Err(reason) = sound(block, &page) {
                wrong.push(format!("{}:{}: {reason}", file.display(), block.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_in_the_documentation_has_the_answer_it_shows() {
    let mut wrong = Vec::new();
    for file in all_pages() {
        compare_answers(&file, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_statement_s_page_has_an_example_with_a_test() {
    for file in pages("docs/language") {
        let page = blocks(&std::fs::read_to_string(&file).unwrap());
        let tested = page
            .iter()
            .any(|block| block.is_policy() && sound(block, &page).is_ok_and(|tests| tests > 0));
        assert!(tested, "{} has no example with a test", file.display());
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut wrong = Vec::new();
    for file in all_pages() {
        let text = std::fs::read_to_string(&file).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let there = match path {
                "" => file.clone(),
                path => file.parent().unwrap().join(path),
            };
            let found = std::fs::read_to_string(&there).is_ok_and(|page| {
                anchor.is_empty() || headings(&page).any(|heading| heading == anchor)
            });
            if !found {
                wrong.push(format!("{}: {target}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The anchors of a page, as the places that show Markdown make them.
fn headings(page: &str) -> impl Iterator<Item = String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[test]
fn every_row_for_people_from_other_tools_has_its_policy_and_every_policy_its_test() {
    let file = repository("docs/coming-from.md");
    let page = blocks(&std::fs::read_to_string(&file).unwrap());
    assert!(page.len() >= 30, "{}", page.len());
    for block in &page {
        let tests = sound(block, &page).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(tests > 0, "{}:{}", file.display(), block.line);
    }
}

/// Codes whose pages say why they have no example.
const WITHOUT_EXAMPLE: [&str; 9] = [
    "R0199", "R0509", "R0511", "R0299", "R0506", "R0507", "R0508", "R0601", "R0620",
];

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let sources = walkdir::WalkDir::new(repository("src"));
    let mut used = BTreeSet::new();
    for file in sources.into_iter().flatten() {
        if file.path().extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(file.path()).unwrap();
            let quoted = text.split('"').filter(|word| {
                let digits = word.strip_prefix('R').unwrap_or_default();
                digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())
            });
            used.extend(quoted.map(str::to_owned));
        }
    }
    // A made-up code of the tests.
    used.remove("R0000");
    let written: BTreeSet<String> = pages("docs/codes")
        .iter()
        .map(|page| page.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let explained: BTreeSet<String> = retain::cli::explained_codes().map(str::to_owned).collect();
    assert_eq!(written, explained);
    assert_eq!(used, explained);
}

#[test]
fn the_wrong_example_of_a_code_has_it_and_the_right_one_has_not() {
    let mut wrong = Vec::new();
    for file in pages("docs/codes") {
        let code = file.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(&format!("# {code}: ")), "{code}");
        if WITHOUT_EXAMPLE.contains(&code) {
            continue;
        }
        let page = blocks(&text);
        let [bad, good] = [Side::Wrong, Side::Right].map(|side| codes_of(&page, side));
        if bad.is_empty() || bad.iter().any(|codes| !codes.contains(code)) {
            wrong.push(format!("{code}: the wrong example has {bad:?}"));
        }
        if good.is_empty() || good.iter().any(|codes| !codes.is_empty()) {
            wrong.push(format!("{code}: the right example has {good:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The codes that each of the examples of one side has.
fn codes_of(page: &[Block], side: Side) -> Vec<BTreeSet<String>> {
    let of = |found: &[Diagnostic]| found.iter().map(|f| f.code().to_owned()).collect();
    let is_asked = |block: &&Block| block.is("wrong") == (side == Side::Wrong);
    let configurations: Vec<&Block> = page.iter().filter(|b| b.language == "toml").collect();
    if let Some(shared) = configurations.first() {
        let asked = configurations.iter().copied().find(is_asked);
        let (found, _) = configured(asked.unwrap_or(shared), policy_of(page, side));
        return vec![of(&found)];
    }
    let examples = page
        .iter()
        .filter(|block| block.language == "retain" && block.name() == "policy.retain");
    examples
        .filter(is_asked)
        .map(|block| {
            within(block, page, |source, world| {
                let mut codes: BTreeSet<String> = of(&findings(source, world).0);
                if codes.is_empty() && check_policy(source, world).is_err() {
                    codes.insert("R0901".to_owned());
                }
                codes
            })
        })
        .collect()
}
