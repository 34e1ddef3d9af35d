//! What a store looks like: is it there, how much is in it, how full is its disk.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{MissingRoot, Store};
use crate::confine::Grounds;
use crate::plan::{Census, Group, Plan, Tally};
use crate::policy::{Collection, Limit, Policy};
use crate::store::{CONTROL, Root, StoreError, in_words};

/// Groups that are listed of one question, the largest first.
pub(super) const GROUPS: usize = 1000;

/// A number of files and the bytes they occupy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::service) struct Amount {
    /// How many.
    pub files: u64,
    /// Allocated bytes.
    pub bytes: u64,
}

impl From<Tally> for Amount {
    fn from(tally: Tally) -> Amount {
        Amount {
            files: tally.files,
            bytes: tally.bytes,
        }
    }
}

/// Whether a directory can be worked in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::service) struct Health {
    /// Whether all of it is as it must be.
    pub healthy: bool,
    /// Whether it is there.
    pub exists: bool,
    /// Whether it is a directory.
    pub directory: bool,
    /// Whether this process may list it.
    pub readable: bool,
    /// Whether this process may write in it.
    pub writable: bool,
    /// The numbers of its user and group.
    pub owner: Option<String>,
    /// Its permissions in octal digits.
    pub mode: Option<String>,
    /// What is wrong, and what to do.
    pub message: Option<String>,
}

impl Health {
    /// Looks at a store's root.
    pub(super) fn of(store: &Store, grounds: &Grounds) -> Health {
        let path = store.path.path.as_path();
        let mut health = Health {
            healthy: false,
            exists: false,
            directory: false,
            readable: false,
            writable: false,
            owner: None,
            mode: None,
            message: None,
        };
        let in_reach = grounds.reach(path);
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                health.message = Some(match error.kind() {
                    std::io::ErrorKind::NotFound => missing(store, in_reach),
                    _ => format!("`{}` cannot be seen: {}", path.display(), in_words(&error)),
                });
                return health;
            }
        };
        health.exists = true;
        health.directory = metadata.is_dir();
        health.owner = Some(format!("{}:{}", metadata.uid(), metadata.gid()));
        health.mode = Some(format!("{:04o}", metadata.mode() & 0o7777));
        let may = |access| rustix::fs::access(path, access).is_ok();
        health.readable = may(rustix::fs::Access::READ_OK | rustix::fs::Access::EXEC_OK);
        health.writable = may(rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
        let permitted = health.directory && health.readable && health.writable;
        health.message = match permitted {
            false => Some(health.complaint(path, &metadata)),
            true if !in_reach => Some(replaced(path)),
            true => distrusted(path),
        };
        health.writable &= in_reach;
        health.healthy = health.message.is_none();
        health
    }

    fn complaint(&self, path: &Path, metadata: &std::fs::Metadata) -> String {
        let path = path.display();
        if !self.directory {
            return format!("`{path}` is no directory");
        }
        let verb = match self.readable {
            true => "write in",
            false => "list",
        };
        format!(
            "user {} with group {} cannot {verb} `{path}`, which belongs to {}:{} with mode {:04o}: run as that user, or in group {} with the mode's group bits set (Kubernetes: `fsGroup: {}`)",
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
            metadata.uid(),
            metadata.gid(),
            metadata.mode() & 0o7777,
            metadata.gid(),
            metadata.gid(),
        )
    }
}

fn missing(store: &Store, in_reach: bool) -> String {
    let path = store.path.path.display();
    match (in_reach, store.missing) {
        (false, _) => format!(
            "`{path}` was removed while the service ran, which may write in the directories it began with and in no others: make it or bring it back, and restart retain"
        ),
        (true, MissingRoot::Create) => format!("`{path}` is not there; the next run makes it"),
        (true, MissingRoot::Refuse) => {
            format!("`{path}` is not there: mount the volume, or say `create = true`")
        }
    }
}

fn replaced(path: &Path) -> String {
    format!(
        "`{}` is another directory than when the service began, which may write in the directories it began with and in no others: restart retain",
        path.display()
    )
}

/// What a run would refuse about the store's own files.
fn distrusted(path: &Path) -> Option<String> {
    let root = Root::open(path);
    let error = root.and_then(|root| root.check_control()).err()?;
    let advice = match &error {
        StoreError::Untrusted { .. } => format!(
            "; no run touches this store until `chmod -R go= {0}` where it was opened to others, or `chown -R` where it changed hands",
            path.join(CONTROL).display()
        ),
        _ => String::new(),
    };
    Some(format!("{}{advice}", crate::diagnostic::chain(&error)))
}

/// How full a store's file system is.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(in crate::service) struct DiskView {
    /// Its size in bytes.
    pub size: u64,
    /// Bytes an ordinary process may still use.
    pub available: u64,
    /// The used share of what ordinary processes may have, 0 to 1, as `df` counts.
    pub used_ratio: f64,
}

impl DiskView {
    /// Asks the file system a path lies on.
    pub(super) fn of(path: &Path) -> Option<DiskView> {
        let stat = rustix::fs::statvfs(path).ok()?;
        let block = stat.f_frsize;
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        let all = used.saturating_add(stat.f_bavail);
        Some(DiskView {
            size: stat.f_blocks.saturating_mul(block),
            available: stat.f_bavail.saturating_mul(block),
            used_ratio: match all {
                0 => 0.0,
                all => used as f64 / all as f64,
            },
        })
    }
}

/// What one collection holds.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(in crate::service) struct CollectionView {
    /// Its name.
    pub collection: String,
    /// Its captures, in the order of its template.
    pub captures: Vec<String>,
    /// Its files.
    pub files: u64,
    /// Their allocated bytes.
    pub bytes: u64,
    /// When its oldest file was last modified, RFC 3339.
    pub oldest: Option<String>,
    /// When its newest file was last modified, RFC 3339.
    pub newest: Option<String>,
}

/// How much of a budget is used.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::service) struct BudgetView {
    /// The statement: `charts.retain:12 @budget`.
    pub rule: String,
    /// Its text.
    pub text: String,
    /// The fullest of its groups; empty where it has one.
    pub group: String,
    /// What that uses: bytes, or files for a limit of a count.
    pub used: u64,
    /// What it may use.
    pub cap: u64,
}

/// What was seen of a store at one moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::service) struct Survey {
    /// When, RFC 3339.
    pub at: String,
    /// Files that were seen, in collections or not. Where no collection can have a file is
    /// not looked.
    pub total: Amount,
    /// Files in some collection.
    pub covered: Amount,
    /// Files no collection names; they are never touched.
    pub uncovered: Amount,
    /// What a run would have removed then.
    pub removable: Amount,
    /// Files that would have gone, were they not protected.
    pub protected: Amount,
    /// Collection by collection.
    pub collections: Vec<CollectionView>,
    /// Budgets, the fullest first.
    pub budgets: Vec<BudgetView>,
    /// Budgets that no eviction can meet.
    pub unmet: Vec<String>,
    /// What the breaker would have refused.
    pub tripped: Vec<String>,
    /// Seconds the look took.
    pub seconds: f64,
}

impl Survey {
    /// Sums up what a plan was made from, of a store whose files were counted.
    pub(super) fn of(policy: &Policy, census: &Census, plan: &Plan, seconds: f64) -> Survey {
        let totals = &plan.totals;
        // A survey is of all files, so all were looked at.
        let uncovered = Amount {
            files: totals.uncovered.files,
            bytes: totals.uncovered.bytes.unwrap_or_default(),
        };
        Survey {
            at: plan.now.timestamp().to_string(),
            total: Amount {
                files: totals.covered.files + uncovered.files,
                bytes: totals.covered.bytes.saturating_add(uncovered.bytes),
            },
            covered: totals.covered.into(),
            uncovered,
            removable: totals.removed.into(),
            protected: totals.protected.into(),
            collections: collections(policy, census),
            budgets: budgets(policy, census),
            unmet: plan
                .unmet
                .iter()
                .map(|unmet| {
                    let rule = plan.rules.get(unmet.rule).map(ToString::to_string);
                    let rule = rule.unwrap_or_default();
                    match unmet.group.as_str() {
                        "" => format!("{rule}: {}", unmet.reason),
                        group => format!("{rule} for {group}: {}", unmet.reason),
                    }
                })
                .collect(),
            tripped: plan
                .tripped
                .iter()
                .map(|tripped| tripped.reason.clone())
                .collect(),
            seconds,
        }
    }

    /// The same store after a run, as far as that tells.
    pub(super) fn after(&self, removed: u64, freed: u64) -> Survey {
        let mut after = self.clone();
        for amount in [&mut after.total, &mut after.covered, &mut after.removable] {
            amount.files = amount.files.saturating_sub(removed);
            amount.bytes = amount.bytes.saturating_sub(freed);
        }
        after
    }
}

fn collections(policy: &Policy, census: &Census) -> Vec<CollectionView> {
    let collections = policy.collections.iter().enumerate();
    let view = |(index, collection): (usize, &Collection)| {
        let sum = census.of_collection(index);
        let amount = sum.map_or(Amount::default(), |sum| sum.tally.into());
        CollectionView {
            collection: collection.name.to_string(),
            captures: collection.template.captures().to_vec(),
            files: amount.files,
            bytes: amount.bytes,
            oldest: sum.map(|sum| sum.oldest.to_string()),
            newest: sum.map(|sum| sum.newest.to_string()),
        }
    };
    collections.map(view).collect()
}

/// The fullest group of each budget.
fn budgets(policy: &Policy, census: &Census) -> Vec<BudgetView> {
    let mut budgets: Vec<BudgetView> = Vec::new();
    for (of, collection) in policy.collections.iter().enumerate() {
        for (index, limit) in collection.limits.iter().enumerate() {
            // Of two that are equally full the last one by its values, whatever their order.
            let fullest = census
                .of_limit(of, index)
                .max_by_key(|&(group, used)| (used, group));
            let Some((group, used)) = fullest else {
                continue;
            };
            let rule = policy.rules.get(limit.rule);
            budgets.push(BudgetView {
                rule: rule.map(ToString::to_string).unwrap_or_default(),
                text: rule.map(|rule| rule.text.clone()).unwrap_or_default(),
                group: named(limit, collection.template.captures(), group),
                used,
                cap: limit.cap,
            });
        }
    }
    let share =
        |budget: &BudgetView| (u128::from(budget.used) << 32) / u128::from(budget.cap.max(1));
    budgets.sort_by_key(|budget| std::cmp::Reverse(share(budget)));
    budgets
}

fn named(limit: &Limit, captures: &[String], group: &Group) -> String {
    let names = limit.per.iter().filter_map(|&at| captures.get(at));
    let pairs = names
        .zip(group.values())
        .map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Files of one group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::service) struct GroupView {
    /// Captures with their values.
    pub group: BTreeMap<String, String>,
    /// Its files.
    pub files: u64,
    /// Their allocated bytes.
    pub bytes: u64,
    /// When its oldest file was last modified, RFC 3339.
    pub oldest: Option<String>,
    /// When its newest file was last modified, RFC 3339.
    pub newest: Option<String>,
}

/// What was counted by the values of captures, the largest group first, and how many groups
/// there are. A file counts once, in the first collection that has all of them.
pub(super) fn groups(census: &Census, by: &[String]) -> (Vec<GroupView>, usize) {
    let mut groups: Vec<_> = census.groups().collect();
    let all = groups.len();
    groups.sort_unstable_by(|(a, one), (b, other)| {
        let larger = other.tally.bytes.cmp(&one.tally.bytes);
        larger.then_with(|| a.cmp(b))
    });
    groups.truncate(GROUPS);
    let views = groups.into_iter().map(|(group, sum)| {
        let values = group.values().map(ToString::to_string);
        GroupView {
            group: by.iter().cloned().zip(values).collect(),
            files: sum.tally.files,
            bytes: sum.tally.bytes,
            oldest: Some(sum.oldest.to_string()),
            newest: Some(sum.newest.to_string()),
        }
    });
    (views.collect(), all)
}

/// Whether a policy has anything that bounds what a store may come to hold.
pub(super) fn bounds_growth(policy: &Policy) -> bool {
    !policy.pressures.is_empty()
        || policy
            .collections
            .iter()
            .any(|collection| !collection.deletes.is_empty() || !collection.limits.is_empty())
}

/// Whether something goes without a copy anywhere: no hook before it, no grace.
pub(super) fn deletes_without_backup(policy: &Policy, store: &Store) -> bool {
    store.grace.is_none()
        && policy.collections.iter().any(|collection| {
            collection.hooks.is_empty()
                && (!collection.deletes.is_empty() || !collection.limits.is_empty())
        })
}
