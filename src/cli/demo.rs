//! `retain demo`: the whole way, on files made for it.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;

use super::show::{self, Detail};
use super::{Edge, Exit, complain, look, say};
use crate::cancel::Cancel;
use crate::journal::Journal;
use crate::plugin::Catalogue;
use crate::run::{Breaker, Wanted};
use crate::time::Now;

/// Show the whole way in a directory of its own: plan, backup, proof, removal, restore.
///
/// Nothing outside that directory is touched.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// The directory, which must not exist yet.
    #[arg(default_value = "retain-demo")]
    directory: PathBuf,
}

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// Charts as the service draws them: series, age in seconds, seed.
const CHARTS: [(&str, &str, u64); 14] = [
    ("AAPL_1d", "2026-q3.png", 20 * DAY),
    ("AAPL_1d", "earnings.png", 9 * DAY),
    ("AAPL_1h", "morning.png", 8 * HOUR),
    ("AAPL_1h", "now.png", HOUR),
    ("MSFT_1d", "week-40.png", 12 * DAY),
    ("MSFT_1d", "week-41.png", 5 * DAY),
    ("MSFT_1d", "week-42.png", 30 * HOUR),
    ("MSFT_1h", "close.png", 7 * HOUR),
    ("MSFT_1h", "open.png", 2 * HOUR),
    ("NVDA_5m", "breakout.png", 3 * HOUR),
    ("NVDA_5m", "pullback.png", 2 * HOUR),
    ("NVDA_5m", "range.png", HOUR),
    ("TSLA_1d", "exhibit-a.png", 15 * DAY),
    ("TSLA_1d", "latest.png", 40 * 60),
];

const CONFIGURATION: &str = r#"[stores.charts]
path = "output/charts"
policy = "charts.retain"

[destinations.cold]
url = "file://./cold"

[plugins.backup]
wasm = "builtin:backup"
grants = { destinations = ["cold"] }

[plugins.legal-hold]
wasm = "builtin:legal-hold"
settings = { paths = ["TSLA_*/exhibit-*"], reason = "case 26-117" }

[state]
path = "state"
"#;

const POLICY: &str = r#"edition 2026

type ticker   = text matching "[A-Z]{1,5}"
type interval = one of "1m", "5m", "15m", "1h", "4h", "1d", "1w"

let ttl    = env "CHART_MAX_AGE_HOURS" in hours or 6 hours, at least 1 hour, at most 7 days
let budget = env "CHART_MAX_SIZE_MB" in MB or 600 kB

collection charts at "{symbol:ticker}_{interval:interval}/*.png" {
    age is measured from last modified

    delete when older than ttl
    limit total size to budget where {symbol} is not "AAPL", evicting oldest first

    @aapl keep for 30 days where {symbol} is "AAPL" because "quarterly earnings review"
    keep newest 1 per {symbol}_{interval}

    before delete, run legal-hold, otherwise keep
    before delete, run backup into cold, otherwise keep
}
"#;

impl Demo {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let directory = &self.directory;
        anyhow::ensure!(
            !directory.exists(),
            "`{0}` exists; remove it, or name another: `retain demo DIRECTORY`",
            directory.display()
        );
        let root = make_tree(directory)
            .with_context(|| format!("cannot make the demo in `{}`", directory.display()))?;
        // Its own world: variables of this shell must not change what it shows.
        let edge = Edge {
            config: directory.join("retain.toml"),
            format: edge.format,
            environment: crate::config::Environment::default(),
        };
        let config = edge.load()?;
        let store = edge.store(&config, "charts")?;
        super::confined::confined(&config, None)?;
        let job = edge.job(&config, store)?;
        for warning in &job.warnings.0 {
            complain(&warning.render(look()));
        }

        say(&format!(
            "1. {} charts were made in {}\n",
            CHARTS.len(),
            root.display()
        ))?;
        let now = Now::from_clock();
        let planned = job.plan(&now, Wanted::Decisive, std::sync::Arc::default())?;
        say("2. the plan, which changes nothing\n")?;
        say(&show::plan(
            &planned.plan,
            &root.display().to_string(),
            Detail::All,
        ))?;
        let probe = planned.plan.steps.get(0).map(|step| step.path);
        let probe = probe.context("the demo's plan removes nothing")?;
        let before = fs::read(root.join(probe.as_os()))?;

        say("\n3. applied: every file is archived by a WebAssembly plugin, the archive is")?;
        say("   restored in a second instance and compared, and only then the file goes\n")?;
        let taken = job.take(&now, Wanted::Decisive, std::sync::Arc::default())?;
        let done = taken.apply(&now, Breaker::Holds, &Cancel::default(), &|_, _| {})?;
        say(&show::done("charts", &done))?;

        say("\n4. the receipts\n")?;
        let journal = Journal::open(&config.state)?;
        let receipts = journal.receipts(None, None, Some(&done.id))?;
        for stored in &receipts {
            let receipt = &stored.receipt;
            let hash = receipt.source.blake3.get(..16).unwrap_or_default();
            let object = receipt
                .objects
                .first()
                .map_or("", |object| object.name.as_str());
            say(&format!(
                "   {}  blake3 {hash}…  in cold/{object}",
                receipt.path
            ))?;
        }

        say(&format!(
            "\n5. {probe} is restored and compared byte for byte\n"
        ))?;
        let wanted = receipts
            .iter()
            .find(|stored| stored.receipt.path == probe.to_string());
        let wanted = wanted.with_context(|| format!("there is no receipt of `{probe}`"))?;
        let catalogue = Catalogue::load(&config, ["backup"]);
        let opened = crate::store::Root::open(&root)?;
        catalogue.restore(&wanted.receipt, &opened, &probe)?;
        let after = fs::read(root.join(probe.as_os()))?;
        anyhow::ensure!(before == after, "`{probe}` came back with other bytes");
        say(&format!("   all {} bytes are the same", after.len()))?;

        let shown = directory.display();
        say(&format!(
            "\neverything lies in {shown}/: the policy in charts.retain, the archives in"
        ))?;
        say("cold/, the journal in state/. Try there:")?;
        say("  retain runs last")?;
        say(&format!("  retain why output/charts/{probe}"))?;
        say("  retain restore --run last --to restored")?;
        say("  retain plan")?;
        Ok(Exit::Done)
    }
}

fn make_tree(directory: &Path) -> anyhow::Result<PathBuf> {
    let root = directory.join("output/charts");
    fs::create_dir_all(&root)?;
    fs::write(directory.join("retain.toml"), CONFIGURATION)?;
    fs::write(directory.join("charts.retain"), POLICY)?;
    let now = SystemTime::now();
    for (seed, (series, name, age)) in (1..).zip(CHARTS) {
        let file = root.join(series).join(name);
        fs::create_dir_all(root.join(series))?;
        draw(&file, seed)?;
        let modified = now.checked_sub(Duration::from_secs(age)).unwrap_or(now);
        fs::File::options()
            .write(true)
            .open(&file)?
            .set_modified(modified)?;
    }
    fs::write(
        root.join("README"),
        "not a chart, so no statement names it\n",
    )?;
    // Leads out of the store; it is neither followed nor removed.
    fs::write(directory.join("outside.png"), "untouched\n")?;
    std::os::unix::fs::symlink("../../../outside.png", root.join("MSFT_1d/link.png"))?;
    Ok(root)
}

/// Side lengths of a chart in pixels.
const WIDTH: u32 = 480;
const HEIGHT: u32 = 240;

/// A price that wanders, drawn over paper with some grain, which keeps the file as
/// large as a real one.
fn draw(file: &Path, seed: u64) -> anyhow::Result<()> {
    let mut random = Wander(seed);
    let mut pixels = vec![0; (WIDTH * HEIGHT * 3) as usize];
    let mut price = f64::from(HEIGHT) / 2.0;
    let mut prices = Vec::new();
    for _ in 0..WIDTH {
        price += f64::from(random.step() % 9) - 4.0;
        price = price.clamp(8.0, f64::from(HEIGHT) - 8.0);
        prices.push(price);
    }
    for (at, pixel) in (0u32..).zip(pixels.chunks_mut(3)) {
        let (x, y) = (at % WIDTH, at / WIDTH);
        let price = prices.get(x as usize).copied().unwrap_or_default();
        let line = (f64::from(y) - price).abs() < 1.5;
        let grain = u8::try_from(random.step() % 32).unwrap_or(0);
        pixel.copy_from_slice(&match line {
            true => [20, 60 + grain, 160],
            false => [224 + grain, 224 + grain, 220 + grain],
        });
    }
    let mut encoder = png::Encoder::new(BufWriter::new(fs::File::create(file)?), WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(())
}

/// Marsaglia's xorshift: the demo draws the same charts every time.
struct Wander(u64);

impl Wander {
    fn step(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 32).unwrap_or_default()
    }
}
