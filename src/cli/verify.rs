//! `retain verify`

use anyhow::Context;
use serde_json::json;

use super::{Edge, Exit, at_seconds, complain, say};
use crate::config::Config;
use crate::destination::DestinationError;
use crate::journal::{Journal, StoredReceipt};
use crate::plugin::{Catalogue, RestoreError};

/// Prove stored archives again: each is restored into nothing and compared.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Only a part, chosen anew each time: `5%`.
    #[arg(long, value_name = "PERCENT")]
    sample: Option<String>,
    /// Only archives of this store.
    #[arg(long)]
    store: Option<String>,
    /// Only archives of this run: its name, the beginning or end of it, or `last`.
    #[arg(long)]
    run: Option<String>,
}

impl Verify {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let share = self.sample.as_deref().map(share).transpose()?;
        let config = edge.load()?;
        super::confined::confined(&config, None)?;
        let all = self.stored(&config)?;
        let chosen = match share {
            Some(share) => sampled(&all, share)?,
            None => all.iter().collect(),
        };
        let names = config.plugins.keys().map(String::as_str);
        let catalogue = Catalogue::load(&config, names);
        let (mut failed, mut gone) = (0_usize, 0_usize);
        for StoredReceipt { run: by, receipt } in &chosen {
            let proved = catalogue.verify(receipt);
            // What lay in its file's place went like that file would have gone.
            if let Err(RestoreError::Destination(DestinationError::Missing { .. })) = &proved
                && receipt.in_place
            {
                gone += 1;
                continue;
            }
            failed += usize::from(proved.is_err());
            let error = proved.err().map(|error| error.to_string());
            if edge.is_json() {
                say(&json!({
                    "store": receipt.store,
                    "path": receipt.path,
                    "run": by.as_str(),
                    "at": receipt.at,
                    "proved": error.is_none(),
                    "error": error,
                })
                .to_string())?;
            } else if let Some(error) = error {
                say(&format!(
                    "{}, archived {}: {error}",
                    receipt.path,
                    at_seconds(&receipt.at)
                ))?;
            }
        }
        if !edge.is_json() {
            say(&format!(
                "proved {} of {} archives; {} are recorded",
                chosen.len() - failed - gone,
                chosen.len() - gone,
                all.len()
            ))?;
            if gone > 0 {
                say(&format!(
                    "{gone} lay in their files' places and are gone from their stores"
                ))?;
            }
        }
        if failed > 0 {
            complain(
                "help: `retain restore` refuses what is damaged; look after the destination's disk",
            );
        }
        Ok(match failed {
            0 => Exit::Done,
            _ => Exit::Trouble,
        })
    }

    fn stored(&self, config: &Config) -> anyhow::Result<Vec<StoredReceipt>> {
        let journal = Journal::open_existing(&config.state)?.with_context(|| {
            format!(
                "nothing was archived yet: there is no journal in `{}`; if it was lost, run `retain catalogue rebuild`",
                config.state.display()
            )
        })?;
        let run = self.run.as_deref().map(|run| journal.find_run(run));
        let run = run.transpose()?;
        Ok(journal.receipts(self.store.as_deref(), None, run.as_ref())?)
    }
}

/// A share in hundredths of a percent.
fn share(text: &str) -> anyhow::Result<u64> {
    let number = text.trim().strip_suffix('%').map(str::trim_end);
    let percent: Option<f64> = number.and_then(|number| number.parse().ok());
    let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
    let percent = percent
        .with_context(|| format!("`--sample {text}` is no share; write it as `--sample 5%`"))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 10,000"
    )]
    let share = (percent * 100.0).ceil() as u64;
    Ok(share)
}

/// Archives by chance, at least one of those there are: a fixed choice would leave the
/// others unproved for ever.
fn sampled(all: &[StoredReceipt], share: u64) -> anyhow::Result<Vec<&StoredReceipt>> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
    let mut ranked: Vec<_> = (0_u64..)
        .zip(all)
        .map(|(n, stored)| {
            let rank = blake3::keyed_hash(&seed, &n.to_le_bytes());
            (*rank.as_bytes(), n, stored)
        })
        .collect();
    ranked.sort_unstable_by_key(|(rank, ..)| *rank);
    let wanted = (all.len() as u64).saturating_mul(share).div_ceil(10_000);
    ranked.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
    ranked.sort_unstable_by_key(|(_, n, _)| *n);
    Ok(ranked.into_iter().map(|(.., stored)| stored).collect())
}
