//! Templates that need no automaton: literals, untyped captures, a `*` that only a
//! literal follows, at most one `**`.
//!
//! Every part of such a template begins where the one before it ends, so a name is read
//! once from left to right. A policy with a collection for each of ten thousand symbols
//! has as many templates; held against automata, most of the time went into fetching
//! their tables from memory.

use std::ops::Range;

use smallvec::SmallVec;

use super::captured::Spans;
use super::text::{Component, Part, TemplateText};

/// A template read from left to right, cut before its last component: all names of one
/// directory have the rest alike.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    /// Components of the directory before a `**`, or all of them.
    before: Vec<Vec<Step>>,
    /// Those behind the `**`, if there is one.
    behind: Option<Vec<Vec<Step>>>,
    /// The last component; nothing where that is the `**`, and takes any name.
    last: Option<Vec<Step>>,
}

#[derive(Clone, Debug)]
enum Step {
    Literal(Box<[u8]>),
    /// `*` up to the literal that ends the component.
    AnyBefore(Box<[u8]>),
    /// An untyped capture: up to the character that follows it, or to the end.
    Capture(Option<Box<[u8]>>),
}

impl Direct {
    /// The same template, where it is so simple.
    pub(super) fn new(text: &TemplateText) -> Option<Direct> {
        let mut before = Vec::new();
        let mut behind: Option<Vec<Vec<Step>>> = None;
        for component in &text.components {
            match (component, &mut behind) {
                (Component::Deep, Some(_)) => return None,
                (Component::Deep, None) => behind = Some(Vec::new()),
                (Component::Parts(parts), None) => before.push(steps(parts)?),
                (Component::Parts(parts), Some(behind)) => behind.push(steps(parts)?),
            }
        }
        let last = match &mut behind {
            Some(behind) => behind.pop(),
            None => Some(before.pop()?),
        };
        Some(Direct {
            before,
            behind,
            last,
        })
    }

    /// Where a name's captures lie, unless the name does not match.
    pub(super) fn captures(&self, path: &[u8]) -> Option<Spans> {
        if path.contains(&0) {
            return None;
        }
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let directory = slash.and_then(|slash| path.get(..slash));
        let spans = self.enter(directory)?;
        self.captures_in(path, slash.map_or(0, |slash| slash + 1), &spans)
    }

    /// Where a directory has its captures, if names in it may match; nothing stands for the
    /// root. No directory has a NUL in its path.
    pub(super) fn enter(&self, directory: Option<&[u8]>) -> Option<Spans> {
        let path = directory.unwrap_or_default();
        let mut captures = Spans::default();
        let mut rest = 0..path.len();
        // Components are parted by `/`, so after the last one nothing is left at all.
        let mut left = directory.is_some();
        for steps in &self.before {
            if !left {
                return None;
            }
            let tail = path.get(rest.clone())?;
            let end = tail.iter().position(|byte| *byte == b'/');
            let at = rest.start..end.map_or(rest.end, |end| rest.start + end);
            component(path, at.clone(), steps, &mut captures)?;
            left = end.is_some();
            rest.start = at.end + usize::from(left);
        }
        let Some(behind) = &self.behind else {
            return (!left).then_some(captures);
        };
        // From the end, so that what is left is the `**`.
        let mut ends = SmallVec::<[Range<usize>; 4]>::new();
        for _ in behind {
            if !left {
                return None;
            }
            let start = path.get(rest.clone())?.iter().rposition(|b| *b == b'/');
            let at = start.map_or(rest.start, |start| rest.start + start + 1)..rest.end;
            left = start.is_some();
            rest.end = at.start.saturating_sub(usize::from(left));
            ends.push(at);
        }
        for (steps, at) in behind.iter().zip(ends.into_iter().rev()) {
            component(path, at, steps, &mut captures)?;
        }
        let deep = path.get(rest)?;
        let is_whole = !left || deep.split(|b| *b == b'/').all(|name| !name.is_empty());
        is_whole.then_some(captures)
    }

    /// Where a name's captures lie that begins there in its path, unless it does not match; the
    /// directory's are those that it was entered with. No path has a NUL in it.
    pub(super) fn captures_in(&self, path: &[u8], begin: usize, entered: &Spans) -> Option<Spans> {
        let mut captures = entered.clone();
        let name = begin..path.len();
        match &self.last {
            Some(steps) => component(path, name, steps, &mut captures)?,
            None if name.is_empty() => return None,
            None => {}
        }
        Some(captures)
    }
}

/// The steps of a component, if each begins where the one before it ends.
fn steps(parts: &[Part]) -> Option<Vec<Step>> {
    let bytes = |text: &str| text.as_bytes().into();
    match parts {
        [] => Some(Vec::new()),
        [Part::Any] => Some(vec![Step::AnyBefore(bytes(""))]),
        [Part::Any, Part::Literal(end)] => Some(vec![Step::AnyBefore(bytes(end))]),
        [Part::Literal(text), rest @ ..] => {
            let mut all = vec![Step::Literal(bytes(text))];
            all.extend(steps(rest)?);
            Some(all)
        }
        [Part::Capture(capture), rest @ ..] if capture.value_type.is_none() => {
            let stop = match rest {
                [] => None,
                [Part::Literal(text), ..] => {
                    let first = text.chars().next()?;
                    Some(bytes(first.encode_utf8(&mut [0; 4])))
                }
                _ => return None,
            };
            let mut all = vec![Step::Capture(stop)];
            all.extend(steps(rest)?);
            Some(all)
        }
        _ => None,
    }
}

/// Reads one component from its first byte to its last.
fn component(
    path: &[u8],
    mut at: Range<usize>,
    steps: &[Step],
    captures: &mut Spans,
) -> Option<()> {
    for step in steps {
        let rest = path.get(at.clone())?;
        match step {
            Step::Literal(text) => {
                rest.strip_prefix(text.as_ref())?;
                at.start += text.len();
            }
            Step::AnyBefore(end) => {
                rest.strip_suffix(end.as_ref())?;
                at.start = at.end;
            }
            Step::Capture(stop) => {
                let length = match stop {
                    // The first such bytes are such a character, as UTF-8 is made.
                    Some(stop) => rest.windows(stop.len()).position(|w| w == stop.as_ref())?,
                    None => rest.len(),
                };
                let value = rest.get(..length).filter(|value| !value.is_empty())?;
                std::str::from_utf8(value).ok()?;
                captures.push(at.start..at.start + length)?;
                at.start += length;
            }
        }
    }
    at.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn template() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec![
            "a", "b", "_", ".png", "ä", "*", "{x}", "{y}_", "{z}ä", "{w}a",
        ]);
        let component = prop_oneof![
            4 => prop::collection::vec(part, 1..4).prop_map(|parts| parts.concat()),
            1 => Just("**".to_owned()),
        ];
        prop::collection::vec(component, 1..4).prop_map(|components| components.join("/"))
    }

    fn path() -> impl Strategy<Value = Vec<u8>> {
        let part: Vec<&[u8]> = vec![
            b"a",
            b"b",
            b"_",
            b".png",
            "ä".as_bytes(),
            b"/",
            b"/",
            b"\xc3",
            b"\xa4",
            b"\0",
            b"x",
        ];
        prop::collection::vec(prop::sample::select(part), 0..9).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn a_template_read_directly_matches_what_its_automaton_matches(
            template in template(),
            paths in prop::collection::vec(path(), 16),
        ) {
            let Ok(text) = TemplateText::parse(&template) else { return Ok(()) };
            let Some(direct) = Direct::new(&text) else { return Ok(()) };
            let automaton = text.automaton_of_names(&HashMap::new()).unwrap();
            let count = text.captures().count();
            for path in paths {
                let mut found = automaton.create_captures();
                automaton.captures(&path, &mut found);
                let expected: Option<Vec<_>> = found.is_match().then(|| {
                    (1..=count).map(|group| found.get_group(group).unwrap().range()).collect()
                });
                let captured = direct.captures(&path).map(|spans| spans.ranges());
                prop_assert_eq!(captured, expected, "{} on {:?}", template, path);
            }
        }
    }
}
