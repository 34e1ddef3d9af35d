//! `examples/stock-analysis`: six stores, three environments, one policy each.

use std::fs;
use std::path::Path;

use retain::config::{Config, Environment, Schedule, Wasm};
use retain::units::Span;

use crate::inventory::{check, policy, repository};

pub(crate) const STORES: [&str; 6] = [
    "analysis",
    "cache",
    "charts",
    "datasets",
    "enhanced-data",
    "logs",
];

fn load(variables: &[(&str, &str)]) -> Config {
    let environment = variables
        .iter()
        .fold(Environment::default(), |environment, (name, value)| {
            environment.with(name, value)
        });
    Config::load(
        &repository("examples/stock-analysis/retain.toml"),
        &environment,
    )
    .unwrap()
}

fn paths(config: &Config) -> Vec<&Path> {
    STORES
        .iter()
        .map(|store| config.stores[*store].path.path.as_path())
        .collect()
}

#[test]
fn development_lies_beside_the_configuration() {
    let here = repository("examples/stock-analysis");
    let expected = [
        "output",
        "cache",
        "output/charts",
        "analysis_datasets",
        "enhanced_sector_data",
        "logs",
    ]
    .map(|path| here.join(path));
    assert_eq!(paths(&load(&[])), expected);
    let documented = load(&[
        ("ENVIRONMENT", "development"),
        ("STORAGE_BASE_PATH", "./output"),
        ("STORAGE_CHARTS_PATH", "./output/charts"),
        ("STORAGE_ANALYSIS_PATH", "./output"),
        ("STORAGE_DATASETS_PATH", "./analysis_datasets"),
    ]);
    assert_eq!(paths(&documented), expected);
}

#[test]
fn the_charts_inside_the_analysis_of_development_are_a_boundary_and_a_warning() {
    let config = load(&[]);
    let inner: Vec<String> = config.stores["analysis"]
        .boundaries
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(inner, ["charts"]);
    let warnings: Vec<_> = config
        .warnings
        .iter()
        .map(|w| (w.code(), w.message()))
        .collect();
    let words = "the store `charts` lies inside the store `analysis`, at `charts`";
    assert_eq!(warnings, [("R0613", words)]);
}

#[test]
fn staging_and_production_have_a_base_of_their_own() {
    for (environment, base) in [("staging", "/app/staging"), ("production", "/app/data")] {
        let config = load(&[("ENVIRONMENT", environment)]);
        let expected = [
            "analysis",
            "cache",
            "charts",
            "datasets",
            "enhanced_sector_data",
            "logs",
        ]
        .map(|path| Path::new(base).join(path));
        assert_eq!(paths(&config), expected);
        assert_eq!(config.warnings.len(), 0, "{environment}");
    }
}

#[test]
fn every_store_can_be_moved_by_its_own_variable_in_every_environment() {
    for environment in ["development", "staging", "production"] {
        let config = load(&[
            ("ENVIRONMENT", environment),
            ("STORAGE_ANALYSIS_PATH", "/m/analysis"),
            ("STORAGE_CACHE_PATH", "/m/cache"),
            ("STORAGE_CHARTS_PATH", "/m/charts"),
            ("STORAGE_DATASETS_PATH", "/m/datasets"),
            ("STORAGE_ENHANCED_DATA_PATH", "/m/enhanced-data"),
            ("STORAGE_LOGS_PATH", "/m/logs"),
        ]);
        assert_eq!(
            paths(&config),
            STORES.map(|store| Path::new("/m").join(store))
        );
    }
}

#[test]
fn a_base_moves_all_six_stores_of_production_at_once() {
    let config = load(&[
        ("ENVIRONMENT", "production"),
        ("STORAGE_BASE_PATH", "/mnt/d"),
    ]);
    assert!(paths(&config).iter().all(|path| path.starts_with("/mnt/d")));
}

#[test]
fn the_charts_are_cleaned_as_their_variables_say() {
    let usual = &load(&[]).stores["charts"];
    assert_eq!(
        (&usual.schedule, usual.enabled),
        (&Schedule::Every(Span::Exact(900)), true)
    );
    let config = load(&[
        ("CHART_CLEANUP_INTERVAL_MINUTES", "5"),
        ("CHART_ENABLE_CLEANUP", "false"),
    ]);
    let charts = &config.stores["charts"];
    assert_eq!(
        (&charts.schedule, charts.enabled),
        (&Schedule::Every(Span::Exact(300)), false)
    );
}

#[test]
fn what_the_policies_name_is_what_the_configuration_grants() {
    let config = load(&[("ENVIRONMENT", "production")]);
    assert_eq!(
        config.plugins["backup"].wasm,
        Wasm::Builtin("backup".to_owned())
    );
    for store in STORES {
        let file = config.stores[store].policy.path.clone();
        let name = file
            .strip_prefix(repository(""))
            .unwrap()
            .display()
            .to_string();
        for hook in policy(&name, &[]).hooks() {
            let plugin = &config.plugins[&hook.plugin];
            let (destination, _) = hook.destination.as_ref().unwrap();
            assert!(plugin.grants.destinations.contains(destination), "{store}");
            assert!(config.destinations.contains_key(destination), "{store}");
        }
    }
}

fn shipped(name: &str, environment: &[(&str, &str)]) -> retain::policy::Policy {
    policy(
        &format!("examples/stock-analysis/policies/{name}.retain"),
        environment,
    )
}

#[test]
fn charts_go_after_hours_and_aapl_outlives_the_rest() {
    check(
        &shipped("charts", &[]),
        "goes  | MSFT_1h/candles.png     | 7 hours | 600 KB
         stays | MSFT_1h/volume.png      | 5 hours | 600 KB
         goes  | RELIANCE_day/macd.png   | 7 hours | 600 KB
         goes  | M&M_1d/macd.png         | 7 hours | 600 KB
         stays | AAPL_1h/candles.png     | 29 days | 600 KB
         goes  | AAPL_1h/volume.png      | 31 days | 600 KB
         stays | AAPL_1h/notes.txt       | 31 days | 1 KB
         stays | comparison/candles.png  | 31 days | 600 KB",
    );
}

#[test]
fn one_busy_symbol_pays_for_itself_before_anybody_else_does() {
    check(
        &shipped("charts", &[("CHART_MAX_SIZE_MB", "30")]),
        "goes  | MSFT_1h/a.png | 3 hours | 8 MB
         goes  | MSFT_1h/b.png | 2 hours | 8 MB
         stays | MSFT_1h/c.png | 1 hour  | 8 MB
         stays | MSFT_1d/d.png | 30 min  | 8 MB
         stays | NVDA_1h/a.png | 5 hours | 8 MB
         stays | TSLA_1h/a.png | 4 hours | 3 MB
         stays | AAPL_1h/a.png | 6 days  | 40 MB",
    );
}

#[test]
fn the_age_of_charts_follows_its_variable() {
    check(
        &shipped("charts", &[("CHART_MAX_AGE_HOURS", "2")]),
        "goes  | MSFT_1h/a.png | 3 hours | 1 MB
         stays | MSFT_1h/b.png | 1 hour  | 1 MB",
    );
}

#[test]
fn results_go_only_with_their_backup_and_the_last_three_of_a_symbol_stay() {
    let plan = check(
        &shipped("analysis", &[]),
        "stays | AAPL/results.json          | 1 day   | 1 MB
         stays | AAPL/2026-02/results.json  | 32 days | 1 MB
         stays | AAPL/2026-01/results.json  | 60 days | 1 MB
         goes  | AAPL/2025-12/results.json  | 90 days | 1 MB
         stays | DELISTED/results.json      | 900 days | 1 MB
         stays | sector.json                | 900 days | 1 MB",
    );
    for step in &plan.steps {
        // One archive, whether it goes or has its daily backup.
        let [hook] = step.ruling.hooks.as_slice() else {
            panic!("{step:?}");
        };
        assert_eq!(plan.hooks[*hook].destination.as_deref(), Some("cold"));
    }
    assert_eq!(plan.totals.backed_up.files, 4);
    assert_eq!(plan.tripped.len(), 0);
}

#[test]
fn datasets_go_after_ninety_days_but_never_the_last_ten_or_what_describes_them() {
    let young = |n: u32| format!("stays | sectors/{n:02}.csv | {n} days | 5 MB\n");
    let mut table: String = (1..=10).map(young).collect();
    table.push_str(
        "goes  | sectors/banks.csv    | 91 days  | 5 MB
         stays | sectors/energy.csv   | 89 days  | 5 MB
         stays | sectors/README.md    | 400 days | 1 KB
         stays | schema-v1.json       | 400 days | 1 KB",
    );
    let plan = check(&shipped("datasets", &[]), &table);
    assert_eq!(plan.steps.get(0).unwrap().ruling.hooks.len(), 1);
}

#[test]
fn enhanced_data_that_is_read_stays_and_only_its_history_ages() {
    let snapshot = |n: u32| format!("stays | history/2026/{n:02}.json | {n} days | 5 MB\n");
    let mut table: String = (1..=5).map(snapshot).collect();
    table.push_str(
        "goes  | history/2025/11.json     | 100 days | 5 MB
         stays | filtered_equity.csv      | 400 days | 5 MB
         stays | sector_performance.json  | 400 days | 5 MB",
    );
    let plan = check(&shipped("enhanced-data", &[]), &table);
    assert!(plan.steps.iter().all(|step| step.ruling.hooks.len() == 1));
    assert_eq!(plan.totals.backed_up.files, 7);
}

#[test]
fn logs_rotate_out_and_the_live_one_stays() {
    check(
        &shipped("logs", &[]),
        "stays | app.log          | 90 days | 1 MB
         stays | app.log.1        | 2 days  | 1 MB
         goes  | app.log.2.gz     | 15 days | 1 MB
         stays | worker/jobs.log.1 | 30 days | 1 MB",
    );
}

#[test]
fn the_cache_empties_itself_but_not_under_a_writer() {
    check(
        &shipped("cache", &[]),
        "goes  | quotes/MSFT.json | 25 hours | 1 MB
         stays | quotes/NVDA.json | 23 hours | 1 MB
         stays | quotes/.lock     | 90 days  | 0 B
         stays | quotes/all.lock  | 90 days  | 0 B",
    );
}

/// The variables of the deployment with what they are in production.
const VARIABLES: [(&str, &str); 12] = [
    ("ENVIRONMENT", "production"),
    ("STORAGE_BASE_PATH", "/app/data"),
    ("STORAGE_CHARTS_PATH", "/app/data/charts"),
    ("STORAGE_ANALYSIS_PATH", "/app/data/analysis"),
    ("STORAGE_DATASETS_PATH", "/app/data/datasets"),
    (
        "STORAGE_ENHANCED_DATA_PATH",
        "/app/data/enhanced_sector_data",
    ),
    ("STORAGE_LOGS_PATH", "/app/data/logs"),
    ("STORAGE_CACHE_PATH", "/app/data/cache"),
    ("CHART_MAX_AGE_HOURS", "6"),
    ("CHART_MAX_SIZE_MB", "200"),
    ("CHART_CLEANUP_INTERVAL_MINUTES", "15"),
    ("CHART_ENABLE_CLEANUP", "true"),
];

#[test]
fn the_deployments_set_every_variable_and_the_defaults_are_theirs() {
    for file in [
        "deploy/compose.yaml",
        "deploy/kubernetes/base/storage-config.yaml",
    ] {
        let text = fs::read_to_string(repository(file)).unwrap();
        for (name, value) in VARIABLES {
            let set = text.lines().filter_map(|line| line.trim().split_once(": "));
            let mut set = set.filter(|(key, _)| *key == name);
            let (_, found) = set.next().unwrap_or_else(|| panic!("{file}: no {name}"));
            assert_eq!(found.trim_matches('"'), value, "{file}: {name}");
        }
    }
    // Who sets nothing but the environment gets the same.
    let (said, silent) = (load(&VARIABLES), load(&VARIABLES[..1]));
    assert_eq!(paths(&said), paths(&silent));
    let charts = |config: &Config| {
        (
            config.stores["charts"].schedule.clone(),
            config.stores["charts"].enabled,
        )
    };
    assert_eq!(charts(&said), charts(&silent));
    for variables in [&VARIABLES[..], &[]] {
        check(
            &shipped("charts", variables),
            "goes  | MSFT_1h/a.png | 361 min | 1 MB
             stays | MSFT_1h/b.png | 359 min | 1 MB",
        );
    }
}

#[test]
fn every_promise_of_the_example_names_a_test_there_is() {
    let readme = fs::read_to_string(repository("examples/stock-analysis/README.md")).unwrap();
    let section = readme.split("## What is promised").nth(1).unwrap();
    let rows = section.split("\n## ").next().unwrap().lines();
    let rows: Vec<&str> = rows
        .filter(|line| line.starts_with("| ") && !line.starts_with("| promise"))
        .collect();
    assert!(rows.len() >= 15, "{rows:?}");
    let tests: String = ["stock_analysis", "seed", "service"]
        .map(|module| fs::read_to_string(repository(&format!("tests/it/{module}.rs"))).unwrap())
        .concat();
    for row in rows {
        let named = row.rsplit(" | ").next().unwrap();
        let names = named.trim_end_matches('|').split(',');
        for name in names.map(|name| name.trim().trim_matches('`')) {
            assert!(tests.contains(&format!("#[test]\nfn {name}()")), "{name}");
        }
    }
}
