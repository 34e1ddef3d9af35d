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

#[test]
fn a_service_s_secrets_are_read_when_it_starts_and_short_ones_are_refused() {
    let room = tempfile::TempDir::new().unwrap();
    let file = room.path().join("token");
    let text = format!(
        "[service]\nlisten = \"0.0.0.0:8787\"\ntoken = {{ file = \"{}\" }}\n\
         [service.webhook]\nurl = \"https://chat.example/hooks/1\"\nsecret = {{ env = \"KEY\" }}\n",
        file.display()
    );
    let config = load(&text, &home()).unwrap();
    let found = |environment: &Environment| {
        let Diagnostics(found) = config.credentials(environment).unwrap_err();
        let message = |finding: &Diagnostic| {
            let line = finding.source().position(finding.span().start).0;
            format!("{line} {} {finding}", finding.code())
        };
        found.iter().map(message).collect::<Vec<_>>()
    };
    let missing = found(&home());
    assert!(missing[0].starts_with("3 R0620 cannot read the secret"));
    assert_eq!(missing[1], "6 R0620 the variable `KEY` is not set");
    std::fs::write(&file, "fifteen bytes..\n").unwrap();
    let environment = home().with("KEY", "a key of the webhook");
    let short = found(&environment);
    assert_eq!(short.len(), 1);
    assert!(short[0].ends_with("has 15 bytes, fewer than 16"));
    std::fs::write(&file, "sixteen bytes...\r\n").unwrap();
    let read = config.credentials(&environment).unwrap();
    assert_eq!(read.token.as_deref(), Some(&b"sixteen bytes..."[..]));
    assert!(!format!("{read:?} {config:?}").contains("sixteen bytes"));
}

#[test]
fn a_webhook_s_address_is_shown_without_its_path() {
    let text = "[service]\nhosts = [\"Retain.Example\"]\n\
        [service.webhook]\nurl = \"https://chat.example/hooks/s3cret\"\n";
    let service = load(text, &home()).unwrap().service;
    let url = service.webhook.unwrap().url;
    assert_eq!(url.to_string(), "https://chat.example");
    assert_eq!(format!("{url:?}"), "https://chat.example");
    assert_eq!(url.uri().path(), "/hooks/s3cret");
    assert_eq!(service.hosts, ["retain.example"]);
}

#[test]
fn the_collector_of_traces_is_the_configured_one_or_the_variable_s() {
    let variable = home().with("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318");
    let collector = |text: &str, environment: &Environment| {
        let config = load(text, environment).unwrap();
        let shown = config.service.otlp.map(|remote| remote.to_string());
        (shown, config.warnings.len())
    };
    let configured = "[service.otlp]\nendpoint = \"http://b:4318\"\n";
    assert_eq!(collector("", &home()), (None, 0));
    assert_eq!(
        collector("", &variable),
        (Some("http://a:4318".to_owned()), 0)
    );
    let expected = (Some("http://b:4318".to_owned()), 0);
    assert_eq!(collector(configured, &variable), expected);
    let broken = home().with("OTEL_EXPORTER_OTLP_ENDPOINT", "a:4318");
    assert_eq!(collector("", &broken), (None, 1));
}
