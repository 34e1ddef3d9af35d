//! Templates and globs: which names a statement speaks of, and what they capture.
//!
//! A template is compiled twice: as one automaton over the whole path, which gives
//! the captures, and component by component, which tells the walk where it need
//! not go. Matching is on bytes; a capture's value is always UTF-8.

mod captured;
mod compile;
mod direct;
mod product;
mod text;
mod value;

use std::sync::Arc;

use regex_automata::meta;
use regex_automata::nfa::thompson::NFA;
use regex_automata::util::primitives::NonMaxUsize;

use crate::entry::Visit;
use crate::path::RelPath;

use direct::Direct;
use smallvec::SmallVec;

pub(crate) use captured::{Spans, Values};
pub(crate) use compile::{CompileError, ValueType};
pub(crate) use product::TooLarge;
pub(crate) use text::TemplateText;
pub(crate) use value::{FormatError, Ordinal, ValueKind};

/// A compiled template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    names: Names,
    /// For names that are not UTF-8, where a `?` may be a byte; none without a `?`.
    lenient: Option<Names>,
    /// As `names`, but a capture takes any name: tells "wrong type" from "elsewhere".
    relaxed: Names,
    levels: Vec<Level>,
    captures: Arc<[String]>,
    /// How each capture's values are read.
    kinds: Vec<ValueKind>,
    /// What every name it matches begins with.
    prefix: Vec<u8>,
    nfa: NFA,
    lenient_nfa: Option<NFA>,
    directory: bool,
}

/// How names are held against a template.
#[derive(Clone, Debug)]
enum Names {
    Direct(Direct),
    Automaton(meta::Regex),
}

impl Names {
    fn is_match(&self, path: &[u8]) -> bool {
        match self {
            Names::Direct(direct) => direct.captures(path).is_some(),
            Names::Automaton(regex) => regex.is_match(path),
        }
    }

    /// Where so many captures lie in a name, unless it does not match.
    fn captures(&self, path: &[u8], count: usize) -> Option<Spans> {
        let regex = match self {
            Names::Direct(direct) => return direct.captures(path),
            Names::Automaton(regex) => regex,
        };
        if count == 0 {
            return regex.is_match(path).then(Spans::default);
        }
        // Two slots for the whole match, then two for each capture.
        let mut slots: SmallVec<[Option<NonMaxUsize>; 8]> = SmallVec::new();
        slots.resize(2 * (count + 1), None);
        regex.search_slots(&regex_automata::Input::new(path), &mut slots)?;
        let mut spans = Spans::default();
        for pair in slots.chunks_exact(2).skip(1) {
            match pair {
                [Some(start), Some(end)] => spans.push(start.get()..end.get())?,
                _ => return None,
            }
        }
        Some(spans)
    }
}

/// What a directory's path tells about a template's names in it.
#[derive(Clone, Debug)]
pub(crate) enum Entered {
    /// None of them matches.
    Never,
    /// The directory has these captures; what is left to be read are the names.
    Captures(Spans),
    /// Nothing by itself.
    Open,
}

/// One component of a template.
#[derive(Clone, Debug)]
enum Level {
    /// `**`: any number of components.
    Deep,
    /// `*`, or the last one, which no directory above a member is held against.
    Any,
    Literal(Vec<u8>),
    One(meta::Regex),
}

impl Level {
    /// Whether a directory's name may stand in its place.
    fn admits(&self, name: &[u8]) -> bool {
        match self {
            Level::Deep | Level::Any => true,
            Level::Literal(literal) => literal == name,
            Level::One(regex) => regex.is_match(name),
        }
    }
}

impl Template {
    /// The template of all files.
    pub(crate) fn everything() -> Option<Template> {
        let text = TemplateText::parse("**").ok()?;
        text.compile(&std::collections::HashMap::new()).ok()
    }

    /// The names of its captures, from left to right.
    pub(crate) fn captures(&self) -> &Arc<[String]> {
        &self.captures
    }

    /// Where a capture of that name stands.
    pub(crate) fn capture(&self, name: &str) -> Option<usize> {
        self.captures.iter().position(|capture| capture == name)
    }

    /// How a capture's values are read.
    pub(crate) fn kind(&self, capture: usize) -> &ValueKind {
        self.kinds.get(capture).unwrap_or(&ValueKind::Text)
    }

    /// Whether it names whole directories.
    pub(crate) fn is_directory(&self) -> bool {
        self.directory
    }

    /// What every name it matches begins with; empty when that is open.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Where a path has its captures, or nothing when the path does not match.
    pub(crate) fn matches(&self, path: &[u8]) -> Option<Spans> {
        if !path.starts_with(&self.prefix) {
            return None;
        }
        let names = match (&self.names, &self.lenient) {
            // Its captures have no types, and it has no `?`.
            (Names::Direct(direct), _) => return direct.captures(path),
            (_, Some(lenient)) if std::str::from_utf8(path).is_err() => lenient,
            (names, _) => names,
        };
        let spans = names.captures(path, self.captures.len())?;
        let values = spans.values(path);
        let mut kinds = self.kinds.iter().enumerate();
        let admitted = kinds.all(|(at, kind)| values.get(at).is_some_and(|it| kind.admits(it)));
        admitted.then_some(spans)
    }

    /// What a directory's path tells about all names in it.
    pub(crate) fn enter(&self, directory: &RelPath) -> Entered {
        match &self.names {
            Names::Direct(direct) => {
                let path = (!directory.is_root()).then(|| directory.as_bytes());
                direct.enter(path).map_or(Entered::Never, Entered::Captures)
            }
            Names::Automaton(_) => {
                let begins = directory.as_bytes().len() + usize::from(!directory.is_root());
                let rest = self.prefix.get(begins..).unwrap_or_default();
                match rest.contains(&b'/') {
                    true => Entered::Never,
                    false => Entered::Open,
                }
            }
        }
    }

    /// [`Template::matches`] of a name in a directory that was entered; it begins there in its
    /// path.
    pub(crate) fn matches_in(
        &self,
        path: &RelPath,
        begin: usize,
        entered: &Entered,
    ) -> Option<Spans> {
        match (&self.names, entered) {
            (_, Entered::Never) => None,
            (Names::Direct(direct), Entered::Captures(spans)) => {
                direct.captures_in(path.as_bytes(), begin, spans)
            }
            _ => self.matches(path.as_bytes()),
        }
    }

    /// Whether the path would match if its captures' types and encoding were right.
    pub(crate) fn nearly_matches(&self, path: &[u8]) -> bool {
        self.relaxed.is_match(path)
    }

    /// The components a path below a directory may go on with.
    fn reached(&self, directory: &RelPath) -> SmallVec<[bool; 16]> {
        let none = || SmallVec::from_elem(false, self.levels.len() + 1);
        let mut reached = none();
        reach(&mut reached, &self.levels, 0);
        for component in directory.components() {
            let mut next = none();
            for (index, level) in self.levels.iter().enumerate() {
                if !reached.get(index).copied().unwrap_or(false) {
                    continue;
                }
                match level {
                    Level::Deep => reach(&mut next, &self.levels, index),
                    one if index + 1 < self.levels.len() && one.admits(component) => {
                        reach(&mut next, &self.levels, index + 1);
                    }
                    _ => {}
                }
            }
            reached = next;
        }
        reached
    }

    /// Whether files of a directory, or the directory itself where whole ones are
    /// named, can match.
    pub(crate) fn holds_members(&self, directory: &RelPath) -> bool {
        match self.directory {
            true => self.matches(directory.as_bytes()).is_some(),
            false => {
                let last = self.levels.len().saturating_sub(1);
                self.reached(directory).get(last).copied().unwrap_or(false)
            }
        }
    }

    /// What a walk may find below a directory.
    pub(crate) fn visit(&self, directory: &RelPath) -> Visit {
        let reached = self.reached(directory);
        let alive = |index: usize| reached.get(index).copied().unwrap_or(false);
        let last = self.levels.len().saturating_sub(1);
        let all = matches!(self.levels.last(), Some(Level::Deep)) && alive(last);
        if all || (self.directory && self.is_inside(directory)) {
            Visit::All
        } else if (0..self.levels.len()).any(alive) {
            Visit::Some
        } else {
            Visit::Nothing
        }
    }

    /// Whether a directory is one that goes as a whole, or lies in such a one.
    fn is_inside(&self, directory: &RelPath) -> bool {
        let bytes = directory.as_bytes();
        let ends = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at);
        ends.chain([bytes.len()])
            .filter_map(|end| bytes.get(..end))
            .any(|ancestor| self.matches(ancestor).is_some())
    }

    /// The directories a name lies in that this template names as a whole, the
    /// outermost first; only that one is a unit.
    pub(crate) fn unit_of(&self, path: &[u8]) -> Option<(usize, Spans)> {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at);
        ends.filter_map(|end| Some((end, self.matches(path.get(..end)?)?)))
            .next()
    }

    /// A name that this template reads in two ways, if there is one.
    pub(crate) fn ambiguity(&self) -> Result<Option<Vec<u8>>, TooLarge> {
        if self.captures.is_empty() {
            Ok(None)
        } else {
            product::ambiguous(&self.nfa)
        }
    }

    /// A name that both templates match, if there is one.
    pub(crate) fn overlap(&self, other: &Template) -> Result<Option<Vec<u8>>, TooLarge> {
        // Names that share no beginning share nothing: most templates end here.
        let (one, two) = (self.prefix.as_slice(), other.prefix.as_slice());
        if !one.starts_with(two) && !two.starts_with(one) {
            return Ok(None);
        }
        let mine = self.lenient_nfa.as_ref().unwrap_or(&self.nfa);
        let theirs = other.lenient_nfa.as_ref().unwrap_or(&other.nfa);
        product::intersection(mine, theirs)
    }
}

/// Marks a level as reached, and what follows it when it may match nothing.
fn reach(reached: &mut [bool], levels: &[Level], index: usize) {
    for level in index..=levels.len() {
        if let Some(slot) = reached.get_mut(level) {
            *slot = true;
        }
        if !matches!(levels.get(level), Some(Level::Deep)) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn template(text: &str) -> Template {
        let types = HashMap::from([
            (
                "ticker".to_owned(),
                ValueType::matching("[A-Z]{1,5}([.-][A-Z])?").unwrap(),
            ),
            (
                "interval".to_owned(),
                ValueType::one_of(&["1h".into(), "1d".into()]),
            ),
            ("loose".to_owned(), ValueType::matching(".+").unwrap()),
        ]);
        TemplateText::parse(text).unwrap().compile(&types).unwrap()
    }

    fn captured(text: &str, path: &str) -> Option<Vec<String>> {
        values(&template(text), path)
    }

    fn values(template: &Template, path: &str) -> Option<Vec<String>> {
        let spans = template.matches(path.as_bytes())?;
        let values = spans.values(path.as_bytes());
        Some(values.iter().map(str::to_owned).collect())
    }

    #[test]
    fn captures_end_at_the_character_that_follows_them() {
        assert_eq!(
            captured("{symbol}_{interval}/*.png", "BRK_B_1h/x.png"),
            Some(vec!["BRK".into(), "B_1h".into()])
        );
        assert_eq!(
            captured("{a}-{b}", "x-y"),
            Some(vec!["x".into(), "y".into()])
        );
        assert_eq!(captured("{a}-{b}", "-y"), None);
        assert_eq!(captured("{a}/x", "a/b/x"), None);
    }

    #[test]
    fn a_typed_capture_takes_only_its_type_but_nearly_matches_others() {
        let charts = template("{symbol:ticker}_{interval:interval}/*.png");
        assert_eq!(
            values(&charts, "AAPL_1h/a.png"),
            Some(vec!["AAPL".into(), "1h".into()])
        );
        assert_eq!(charts.matches(b"aapl_1h/a.png"), None);
        assert!(charts.nearly_matches(b"aapl_1h/a.png"));
        assert!(charts.nearly_matches(b"\xff_1h/a.png"));
        assert!(!charts.nearly_matches(b"AAPL_1h/a.txt"));
        assert_eq!(
            captured("{x:loose}/a", "p/q/a"),
            None,
            "a type never spans directories"
        );
    }

    #[test]
    fn stars_stay_in_their_component_and_double_stars_do_not() {
        assert!(template("*.png").matches(b"a.png").is_some());
        assert!(template("*.png").matches(b"d/a.png").is_none());
        assert!(template("**/*.png").matches(b"a.png").is_some());
        assert!(template("**/*.png").matches(b"d/e/a.png").is_some());
        assert!(template("a/**").matches(b"a/b/c").is_some());
        assert!(template("a/**").matches(b"a").is_none());
        assert!(template("a/**/z").matches(b"a/z").is_some());
        assert!(template("?.txt").matches("ä.txt".as_bytes()).is_some());
        assert!(template("*").matches(b"\xff\n").is_some());
        assert!(template(r"\*").matches(b"*").is_some());
        assert!(template(r"\*").matches(b"a").is_none());
    }

    #[test]
    fn the_walk_is_told_where_nothing_can_match() {
        let directory = |text: &str| RelPath::parse(text).unwrap();
        let charts = template("charts/{symbol:ticker}/*.png");
        assert_eq!(charts.visit(&RelPath::root()), Visit::Some);
        assert_eq!(charts.visit(&directory("charts")), Visit::Some);
        assert_eq!(charts.visit(&directory("charts/AAPL")), Visit::Some);
        assert_eq!(charts.visit(&directory("charts/aapl")), Visit::Nothing);
        assert_eq!(charts.visit(&directory("charts/AAPL/x")), Visit::Nothing);
        assert_eq!(charts.visit(&directory("logs")), Visit::Nothing);
        assert_eq!(template("a/**").visit(&directory("a/b")), Visit::All);
        assert_eq!(template("**/x/*").visit(&directory("q/r")), Visit::Some);
    }

    #[test]
    fn two_readings_are_found_with_a_name_that_has_both() {
        assert_eq!(template("{a}_{b}").ambiguity().unwrap(), None);
        let twice = template("{a:loose}_{b:loose}")
            .ambiguity()
            .unwrap()
            .unwrap();
        assert!(
            twice.iter().filter(|&&b| b == b'_').count() >= 2,
            "{twice:?}"
        );
        assert!(template("*{a}").ambiguity().unwrap().is_some());
        assert_eq!(
            template("{symbol:ticker}_{interval:interval}/*")
                .ambiguity()
                .unwrap(),
            None
        );
    }

    #[test]
    fn overlap_has_a_witness_that_both_match() {
        let (a, b) = (template("charts/**"), template("**/*.png"));
        let witness = a.overlap(&b).unwrap().unwrap();
        assert!(a.matches(&witness).is_some() && b.matches(&witness).is_some());
        assert_eq!(a.overlap(&template("logs/*")).unwrap(), None);
    }
}
