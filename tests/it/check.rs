//! `retain check`: what it mends, and what it tells programs.

use std::fs;

use super::shop::Shop;

const MISTAKES: &str = "kep newest 3;\ndelete where size over 3 mb\nkeep when {symbl} is 'A'\n\
    delete when older than 6 m";

#[test]
fn fixing_writes_what_has_one_right_answer_and_tells_the_rest() {
    let shop = Shop::new(MISTAKES);
    let said = shop.run(&["check", "--fix"]);
    assert_eq!(said.code, 2, "{said:?}");
    insta::assert_snapshot!(said.out, @r#"
    fixed p.retain:4: `kep` is now `keep` (R0102)
    fixed p.retain:5: `where` is now `when` (R0102)
    fixed p.retain:6: `'A'` is now `"A"` (R0102)
    fixed p.retain:4: removed `;` (R0102)
    fixed p.retain:5: `mb` is now `MB` (R0103)
    "#);
    assert!(
        said.err.contains("`m` is not a unit of time here"),
        "{said:?}"
    );
    let text = fs::read_to_string(shop.path("p.retain")).unwrap();
    assert!(
        text.contains("\nkeep newest 3\ndelete when size over 3 MB\n"),
        "{text}"
    );
}

#[test]
fn a_policy_that_can_be_mended_as_a_whole_is_sound_afterwards() {
    let shop = Shop::new("kep newest 3;");
    let said = shop.run(&["check", "--fix"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out.ends_with("store files: p.retain is sound\n"),
        "{said:?}"
    );
    let again = shop.run(&["check", "--fix"]);
    assert_eq!(again.out, "store files: p.retain is sound\n");
}

#[test]
fn a_policy_file_is_checked_with_its_store_or_by_itself() {
    let shop = Shop::new("delete when older than 1 day\nbefore delete, run bakup into cold");
    let said = shop.run(&["check", "p.retain"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("R0501"), "{said:?}");

    let text = fs::read_to_string(shop.path("p.retain")).unwrap();
    shop.write("other.retain", &text);
    let said = shop.run(&["check", "other.retain"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out.contains("its plugins were not looked at"),
        "{said:?}"
    );

    shop.write("other.retain", text.replace("delete when", "delete whn"));
    shop.write("retain.toml", "nonsense");
    let said = shop.run(&["check", "other.retain"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("whn") && !said.err.contains("nonsense"),
        "{said:?}"
    );
    let said = shop.run(&["check", "--fix", "other.retain"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(fs::read_to_string(shop.path("other.retain")).unwrap(), text);

    let said = shop.run(&["check", "nowhere.retain"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("there is no file `nowhere.retain`"),
        "{said:?}"
    );
}

#[test]
fn without_fix_nothing_is_written() {
    let shop = Shop::new(MISTAKES);
    let before = fs::read_to_string(shop.path("p.retain")).unwrap();
    assert_eq!(shop.run(&["check"]).code, 2);
    assert_eq!(fs::read_to_string(shop.path("p.retain")).unwrap(), before);
}

#[test]
fn programs_read_findings_as_json() {
    let shop = Shop::new("kep newest 3");
    let said = shop.run(&["check", "--format", "json"]);
    assert_eq!((said.err.as_str(), said.code), ("", 2));
    insta::assert_snapshot!(pretty(&said.out));
}

#[test]
fn programs_read_what_was_fixed_as_json() {
    let shop = Shop::new("kep newest 3");
    let said = shop.run(&["check", "--fix", "--format", "json"]);
    assert_eq!((said.err.as_str(), said.code), ("", 0));
    let fixed = r#"{"code":"R0102","file":"p.retain","line":4,"new":"keep","old":"kep"}"#;
    assert_eq!(
        said.out,
        format!("{{\"findings\":[],\"fixed\":[{fixed}]}}\n")
    );
}

#[test]
fn review_tools_read_findings_as_sarif() {
    let shop = Shop::new("kep newest 3\ndelete when older than 6 m");
    let said = shop.run(&["check", "--format", "sarif"]);
    assert_eq!((said.err.as_str(), said.code), ("", 2));
    let version = concat!("\"", env!("CARGO_PKG_VERSION"), "\"");
    insta::assert_snapshot!(pretty(&said.out).replace(version, "\"VERSION\""));
    let said = shop.run(&["plan", "--format", "sarif"]);
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn a_configuration_elsewhere_names_its_files_from_here() {
    let shop = Shop::new("kep newest 3");
    fs::create_dir(shop.path("deep")).unwrap();
    for name in ["retain.toml", "p.retain"] {
        fs::rename(shop.path(name), shop.path("deep").join(name)).unwrap();
    }
    let said = shop.run(&["check", "--config", "deep/retain.toml", "--format", "sarif"]);
    assert!(said.out.contains("\"uri\":\"deep/p.retain\""), "{said:?}");
}

fn pretty(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}
