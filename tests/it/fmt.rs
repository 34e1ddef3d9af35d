//! `retain fmt`: what it writes, what it leaves, and how it ends.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Stdio;

use super::inventory::repository;
use super::shop::Shop;

const FORMATTED: &str = "edition 2026\n\
    collection all at \"**\" {\n    age is measured from last modified\n    keep newest 3\n}\n";

#[test]
fn policies_of_the_configuration_and_what_they_use_are_formatted() {
    let shop = Shop::new("keep   newest 3");
    shop.write(
        "p.retain",
        "edition 2026 use types from \"parts/t.retain\"\n",
    );
    fs::create_dir(shop.path("parts")).unwrap();
    shop.write("parts/t.retain", "edition 2026\ntype a=number # why\n");
    let said = shop.run(&["fmt"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.out, "formatted p.retain\nformatted parts/t.retain\n");
    let read = |name: &str| fs::read_to_string(shop.path(name)).unwrap();
    assert_eq!(
        read("p.retain"),
        "edition 2026\nuse types from \"parts/t.retain\"\n"
    );
    assert_eq!(
        read("parts/t.retain"),
        "edition 2026\ntype a = number  # why\n"
    );
}

#[test]
fn a_formatted_file_is_not_touched_and_any_other_keeps_its_mode() {
    let shop = Shop::new("keep newest 3");
    let file = shop.path("p.retain");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("p.retain", shop.path("link.retain")).unwrap();
    assert_eq!(
        shop.run(&["fmt", "link.retain"]).out,
        "formatted link.retain\n"
    );
    let first = fs::metadata(&file).unwrap();
    assert_eq!(first.mode() & 0o7777, 0o640);
    assert!(
        fs::symlink_metadata(shop.path("link.retain"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), FORMATTED);
    let said = shop.run(&["fmt"]);
    assert_eq!(
        (said.out.as_str(), said.err.as_str(), said.code),
        ("", "", 0)
    );
    let second = fs::metadata(&file).unwrap();
    assert_eq!(
        (second.ino(), second.modified().unwrap()),
        (first.ino(), first.modified().unwrap())
    );
}

#[test]
fn checking_changes_nothing_and_shows_what_would_change() {
    let shop = Shop::new("keep   newest 3");
    let before = fs::read_to_string(shop.path("p.retain")).unwrap();
    let said = shop.run(&["fmt", "--check"]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.out.contains("-keep   newest 3\n"), "{said:?}");
    assert!(said.out.contains("+    keep newest 3\n"), "{said:?}");
    assert_eq!(said.err, "p.retain is not formatted\n");
    assert_eq!(fs::read_to_string(shop.path("p.retain")).unwrap(), before);
    shop.run(&["fmt"]);
    let said = shop.run(&["fmt", "--check"]);
    assert_eq!((said.out.as_str(), said.code), ("", 0));
}

#[test]
fn a_policy_with_a_mistake_is_left_as_it_is() {
    let shop = Shop::new("keep newset 3");
    let before = fs::read_to_string(shop.path("p.retain")).unwrap();
    shop.write("good.retain", "edition   2026\n");
    let said = shop.run(&["fmt", "p.retain", "good.retain"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("did you mean `newest`?"), "{said:?}");
    assert_eq!(said.out, "formatted good.retain\n");
    assert_eq!(fs::read_to_string(shop.path("p.retain")).unwrap(), before);
}

#[test]
fn standard_input_goes_to_standard_output() {
    let shop = Shop::new("keep newest 3");
    let mut command = shop.command(&["fmt", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"edition    2026 # year")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"edition 2026  # year\n");
    assert!(output.status.success());
}

#[test]
fn what_this_repository_ships_is_formatted() {
    for directory in ["policies", "examples"] {
        let files = walkdir::WalkDir::new(repository(directory))
            .into_iter()
            .flatten();
        for file in files.filter(|file| file.path().extension().is_some_and(|e| e == "retain")) {
            let text = fs::read_to_string(file.path()).unwrap();
            let source = retain::diagnostic::Source::new(file.path().display().to_string(), text);
            let formatted = retain::policy::format(&source).unwrap();
            assert_eq!(formatted, source.text(), "{}", source.name());
        }
    }
}
