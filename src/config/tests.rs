use super::*;

fn load(text: &str, environment: &Environment) -> Result<Config, Diagnostics> {
    let source = Source::new("retain.toml", text);
    Config::read(PathBuf::from("/srv/retain.toml"), source, environment)
}

fn home() -> Environment {
    Environment::default().with("HOME", "/home/ann")
}

#[test]
fn relative_paths_begin_at_the_configuration_not_at_the_working_directory() {
    let config = load(
        "[stores.charts]\npath = \"${CHARTS:-./output/charts}\"\npolicy = \"charts.retain\"\n",
        &home(),
    )
    .unwrap();
    let store = &config.stores["charts"];
    assert_eq!(store.path.path, Path::new("/srv/output/charts"));
    assert_eq!(store.policy.path, Path::new("/srv/charts.retain"));
}

#[test]
fn the_chosen_environment_overlays_key_by_key() {
    let text = "[stores.charts]\npath = \"dev\"\npolicy = \"p\"\nevery = \"15 min\"\n\
        [environments.production.stores.charts]\npath = \"/app/data/charts\"\n";
    let path =
        |environment: Environment| load(text, &environment).unwrap().stores["charts"].clone();
    assert_eq!(path(home()).path.path, Path::new("/srv/dev"));
    let production = path(home().with("ENVIRONMENT", "production"));
    assert_eq!(production.path.path, Path::new("/app/data/charts"));
    assert_eq!(production.schedule, Schedule::Every(Span::Exact(900)));
}

#[test]
fn every_mistake_is_found_at_once_and_has_its_place() {
    let text = "[stores.charts]\npaht = \"x\"\nevery = \"15 m\"\n[state]\npath = \"${NOWHERE}\"\n";
    let Diagnostics(found) = load(text, &home()).unwrap_err();
    let codes: Vec<_> = found.iter().map(Diagnostic::code).collect();
    assert_eq!(codes, ["R0604", "R0603", "R0606", "R0607"]);
    let lines: Vec<_> = found
        .iter()
        .map(|finding| finding.source().position(finding.span().start).0)
        .collect();
    assert_eq!(lines, [1, 2, 3, 5]);
}

#[test]
fn a_store_inside_another_is_a_boundary_of_the_outer_one() {
    let text = "[stores.all]\npath = \"/d/output\"\npolicy = \"p\"\n\
        [stores.charts]\npath = \"/d/output/charts\"\npolicy = \"q\"\n";
    let config = load(text, &home()).unwrap();
    let inner = RelPath::parse("charts").unwrap();
    assert_eq!(config.stores["all"].boundaries, [inner]);
    assert_eq!(config.stores["charts"].boundaries, []);
    assert_eq!(config.warnings.len(), 1);
}
