//! Matching names against any template: the walk is never kept from a match, and the
//! same template protects whatever it collects.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use retain_fuzz::diagnostic::Source;
use retain_fuzz::entry::{Entry, Facts, FileId, Kind, Visit};
use retain_fuzz::judge;
use retain_fuzz::path::RelPath;
use retain_fuzz::policy::{Matcher, Verdict};
use retain_fuzz::time::{Now, Stamp};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    paths: [&'a [u8]; 3],
    template: &'a str,
}

libfuzzer_sys::fuzz_target!(|input: Input<'_>| {
    let template = input.template;
    if template.contains(['"', '\n']) || template.len() > 200 {
        return;
    }
    let policy = |further: &str| {
        let text = format!(
            "edition 2026 type one = one of \"a\", \"bb\" type upper = text matching \"[A-Z]{{1,3}}\" \
             type n = number type v = semver type d = date \"%Y-%m-%d\"\n\
             collection all at \"{template}\" {{ delete always }}\n{further}"
        );
        judge(&Source::new("fuzz", text))
    };
    let Ok(open) = policy("") else { return };
    // A trailing `/` collects directories; a protection names files.
    let guarded = policy(&format!("protect \"{template}\"")).ok();
    let now = Now::at("2026-03-10T12:00:00Z".parse().expect("an instant"));
    let matcher = Matcher::new(&open.policy, &now);
    for path in input.paths {
        let Ok(path) = RelPath::parse(path) else {
            continue;
        };
        let entry = entry(path.clone());
        let memberships = matcher.memberships(&path);
        if memberships.is_empty() {
            continue;
        }
        let mut above = path.parent();
        while let Some(directory) = above {
            assert_ne!(
                matcher.visit(&directory),
                Visit::Nothing,
                "{directory} hides {path}"
            );
            above = directory.parent();
        }
        if let Some(guarded) = &guarded {
            let matcher = Matcher::new(&guarded.policy, &now);
            let verdict = matcher.judge(&entry, &matcher.memberships(&path));
            assert!(
                matches!(verdict, Verdict::Kept(_)),
                "{path} is not protected: {verdict:?}"
            );
        }
    }
});

fn entry(path: RelPath) -> Entry {
    let stamp = Stamp::new(1_700_000_000, 0);
    let facts = Facts {
        kind: Kind::File,
        id: FileId {
            device: 1,
            inode: 1,
        },
        size: 1,
        allocated: 4096,
        modified: stamp,
        changed: stamp,
        accessed: stamp,
        created: Some(stamp),
        links: 1,
        mode: 0o100_644,
        owner: 0,
        group: 0,
    };
    Entry {
        path,
        facts: Ok(facts),
    }
}
