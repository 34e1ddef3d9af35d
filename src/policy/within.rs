//! What a directory's path decides for all names in it: which collections they may lie in,
//! and what of their captures it has already.

use smallvec::SmallVec;

use super::matcher::{Matcher, Membership, Memberships};
use super::template::Entered;
use crate::path::RelPath;

/// More collections than these are looked up by what each name begins with.
const FEW: usize = 8;

/// The collections that names in one directory may lie in. That of no directory tells nothing:
/// then the whole of each path is held against the templates.
#[derive(Clone, Debug, Default)]
pub struct Within(Option<Inside>);

#[derive(Clone, Debug)]
struct Inside {
    directory: RelPath,
    /// Where names begin in their paths.
    begin: usize,
    /// Ascending by their collections.
    places: SmallVec<[(usize, Entered); 1]>,
}

impl Matcher<'_> {
    /// What a directory's path decides for all names in it.
    pub fn within(&self, directory: &RelPath) -> Within {
        let mut places: SmallVec<[(usize, Entered); 1]> = SmallVec::new();
        for collection in self.files.below(directory) {
            let Some(definition) = self.policy.collections.get(collection) else {
                continue;
            };
            match definition.template.enter(directory) {
                Entered::Never => {}
                _ if places.len() == FEW => return Within::default(),
                entered => places.push((collection, entered)),
            }
        }
        places.sort_unstable_by_key(|(collection, _)| *collection);
        let slash = usize::from(!directory.is_root());
        Within(Some(Inside {
            directory: directory.clone(),
            begin: directory.as_bytes().len() + slash,
            places,
        }))
    }

    /// [`Matcher::memberships`] of a path, by what is known of its directory if that is the one.
    pub fn memberships_within(&self, within: &Within, path: &RelPath) -> Memberships {
        // A name asked for by another directory could miss a `keep`.
        let inside = within.0.as_ref();
        let inside = inside.filter(|inside| path.directory() == inside.directory.as_bytes());
        let Some(inside) = inside else {
            return self.memberships(path);
        };
        let members = inside.places.iter().filter_map(|(collection, entered)| {
            let definition = self.policy.collections.get(*collection)?;
            let template = &definition.template;
            let spans = template.matches_in(path, inside.begin, entered)?;
            Some(Membership {
                collection: *collection,
                spans,
            })
        });
        members.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::Source;
    use crate::policy::{Environment, load};
    use crate::time::Now;

    const TEMPLATES: [&str; 18] = [
        "*",
        "**",
        "a*",
        "{x}",
        "{x}_{y}",
        "a/*",
        "a/a*",
        "a/b/*.b",
        "a/**",
        "a/**/b",
        "a/**/b/*",
        "**/a_*",
        "**/{x}/b",
        "{x}_{y}/{z}.b",
        "{x: short}/*",
        "a/{x: short}.b",
        "b?/a*",
        "**/{x: short}",
    ];

    fn policy(templates: &[&str]) -> String {
        let mut text = "edition 2026\ntype short = text matching \"[ab]{1,2}\"\n".to_owned();
        for (n, template) in templates.iter().enumerate() {
            let _ = writeln!(
                text,
                "collection c{n} at \"{template}\" {{\nkeep always\n}}"
            );
        }
        text
    }

    #[test]
    fn all_templates_are_ones() {
        for template in TEMPLATES {
            let source = Source::new("p.retain", policy(&[template]));
            let loaded = load(&source, Environment::nothing());
            assert!(loaded.is_ok(), "{template}: {loaded:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn a_name_lies_where_its_whole_path_says(
            templates in prop::sample::subsequence(&TEMPLATES[..], 1..=TEMPLATES.len()),
            directories in prop::collection::vec("([ab_]{1,3}/){0,4}", 4),
            names in prop::collection::vec("[ab_.é]{1,4}(\\.b)?", 6),
            stray in any::<bool>(),
        ) {
            let source = Source::new("p.retain", policy(&templates));
            let policy = load(&source, Environment::nothing()).unwrap().policy;
            let matcher = Matcher::new(&policy, &Now::at(jiff::Timestamp::UNIX_EPOCH));
            let mut last = None;
            for directory in directories {
                let directory = RelPath::parse(directory.trim_end_matches('/')).unwrap();
                let within = matcher.within(&directory);
                // What is known of another directory tells nothing.
                let other = last.replace(within.clone()).unwrap_or_default();
                for name in &names {
                    let mut name = name.clone().into_bytes();
                    name.extend(stray.then_some(0xff));
                    let Ok(path) = directory.join(&name) else { continue };
                    let whole = matcher.memberships(&path);
                    prop_assert_eq!(&matcher.memberships_within(&within, &path), &whole, "{}", path);
                    prop_assert_eq!(&matcher.memberships_within(&other, &path), &whole, "{}", path);
                }
            }
        }
    }
}
