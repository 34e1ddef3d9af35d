//! `retain explain`, the hint at it, and what helps at the prompt.

use crate::shop::Shop;

#[test]
fn a_code_is_explained_with_what_is_wrong_and_what_is_right() {
    let shop = Shop::new("");
    for code in ["R0103", "r0103"] {
        let said = shop.run(&["explain", code]);
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.out.starts_with("R0103: "), "{}", said.out);
        assert!(said.out.contains("    delete when older than 6 min"));
        assert!(!said.out.contains("```"), "{}", said.out);
    }
}

#[test]
fn without_a_code_all_are_listed() {
    let shop = Shop::new("");
    let said = shop.run(&["explain"]);
    assert_eq!(said.code, 0);
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines.len(), retain::cli::explained_codes().count());
    assert!(lines.iter().all(|line| line.starts_with('R')), "{lines:?}");
    let json = shop.run(&["--format", "json", "explain", "R0405"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["code"], "R0405");
}

#[test]
fn a_mistyped_code_has_its_nearest_suggested() {
    let shop = Shop::new("");
    let said = shop.run(&["explain", "R0303x"]);
    assert_eq!(said.code, 2);
    assert_eq!(
        said.err,
        "error: there is no code `R0303x`\nhelp: did you mean `R0303`?\n"
    );
    let far = shop.run(&["explain", "dates"]);
    assert_eq!(far.code, 2);
    assert!(far.err.contains("`retain explain` lists all of them"));
}

#[test]
fn a_check_that_finds_something_names_the_command_once() {
    let shop = Shop::new("delete when older than 6 m\ndelete when older than 7");
    let said = shop.run(&["check"]);
    assert_eq!(said.code, 2);
    assert_eq!(said.err.matches("`retain explain").count(), 1);
    assert!(
        said.err.ends_with("`retain explain R0103` says more\n"),
        "{}",
        said.err
    );
    let sound = Shop::new("delete when older than 6 min").run(&["check"]);
    assert!(!sound.err.contains("retain explain"), "{}", sound.err);
}

#[test]
fn shells_learn_the_commands() {
    let shop = Shop::new("");
    for shell in ["bash", "zsh", "fish"] {
        let said = shop.run(&["completions", shell]);
        assert_eq!(said.code, 0);
        assert!(said.out.contains("explain"), "{shell}");
    }
}
