//! The tables of a configuration, each read into its type.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use toml::de::DeTable;

use crate::config::codes;
use crate::config::reader::{Complaint, Findings, Place, Reader, Section, absolute};
use crate::config::schema::{self, joined};
use crate::config::{
    Cron, Destination, Environment, Filter, Grants, Growth, Io, MissingRoot, Plugin, Schedule,
    Service, Store, Warn, Wasm, Writers, service, syntax,
};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, nearest};
use crate::entry::Symlinks;
use crate::receipt::Proof;
use crate::units::{Size, Span, UnitError};
use crate::url::UrlError;

/// Everything a document says, before its places are compared.
pub(super) struct Parts {
    pub(super) stores: BTreeMap<String, Store>,
    pub(super) destinations: BTreeMap<String, Destination>,
    pub(super) plugins: BTreeMap<String, Plugin>,
    pub(super) service: Service,
    pub(super) state: PathBuf,
    pub(super) remember: Option<Span>,
    pub(super) plan_expiry: Span,
}

/// Reads every table, so that every mistake is found, even where one is fatal.
pub(super) fn read(document: &Section<'_>, reader: &mut Reader<'_>) -> Option<Parts> {
    let stores = each(&document.section("stores"), reader, read_store);
    let destinations = each(&document.section("destinations"), reader, read_destination);
    let plugins = each(&document.section("plugins"), reader, read_plugin);
    check_granted_destinations(document, reader);
    let service = service::read(&document.section("service"), reader);
    let section = document.section("state");
    let remember = reader.parsed(&section, "remember", parse_span);
    let plan_expiry = reader.parsed(&section, "plan_expiry", parse_span);
    let state = read_state(&section, reader)?;
    Some(Parts {
        stores,
        destinations,
        plugins,
        service,
        state,
        remember: remember.filter(|span| !span.is_zero()),
        plan_expiry: plan_expiry.unwrap_or(Span::Exact(DAY)),
    })
}

/// A saved plan is for today.
const DAY: u64 = 86_400;

/// The entries of a table of tables; one that cannot be read has been reported.
fn each<T>(
    table: &Section<'_>,
    reader: &mut Reader<'_>,
    read: impl Fn(String, &Section<'_>, &mut Reader<'_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let entries = table.named().into_iter();
    entries
        .filter_map(|(name, section)| {
            let value = read(name.clone(), &section, reader)?;
            Some((name, value))
        })
        .collect()
}

fn read_store(name: String, section: &Section<'_>, reader: &mut Reader<'_>) -> Option<Store> {
    let path = reader.place(section, "path");
    if let Some(path) = &path {
        refuse_url(section, "path", path, reader);
    }
    let policy = reader.place(section, "policy");
    let schedule = read_schedule(section, reader);
    let enabled = reader.flag(section, "enabled").unwrap_or(true);
    let grace = reader.parsed(section, "grace", parse_span);
    let writers = match reader.flag(section, "exclusive") {
        Some(true) => Writers::Exclusive,
        Some(false) | None => Writers::Shared,
    };
    let symlinks = reader.parsed(section, "symlinks", parse_symlinks);
    let index = reader.flag(section, "index").unwrap_or(false);
    let missing = match reader.flag(section, "create") {
        Some(true) => MissingRoot::Create,
        Some(false) | None => MissingRoot::Refuse,
    };
    let warn = read_warn(&section.section("warn"), reader);
    let io = reader.parsed(section, "io", parse_io).unwrap_or(Io::Normal);
    let rate = reader.count(section, "max_removals_per_second");
    Some(Store {
        name,
        span: section.span.clone(),
        path: path?,
        policy: policy?,
        schedule,
        enabled,
        grace: grace.filter(|grace| !grace.is_zero()),
        writers,
        symlinks: symlinks.unwrap_or_default(),
        index,
        missing,
        warn,
        io,
        max_removals_per_second: rate.and_then(NonZeroU32::new),
        boundaries: Vec::new(),
    })
}

/// A root that is no directory is understood, so that nobody gets a directory `s3:`.
fn refuse_url(section: &Section<'_>, key: &str, place: &Place, reader: &mut Reader<'_>) {
    if place.written.starts_with("s3://") {
        not_yet(section, key, reader);
    } else if place.written.contains("://") {
        let help = "a store is a directory: write its path";
        let message = format!("`{}` is no path", place.written);
        reader.complain(section, key, Complaint::new(message, help));
    }
}

fn not_yet(section: &Section<'_>, key: &str, reader: &mut Reader<'_>) {
    let message = format!(
        "`{}`: object stores are not supported yet",
        joined(&section.path, key)
    );
    let span = section.value_span(key);
    let source = reader.findings.source();
    let finding = Diagnostic::error(codes::NOT_YET, source, span, message)
        .help("use a directory for now; `s3://` is reserved for a later version");
    reader.findings.push(finding);
}

fn read_schedule(section: &Section<'_>, reader: &mut Reader<'_>) -> Schedule {
    let every = reader.parsed(section, "every", |text| match parse_span(text)? {
        span if span.is_zero() => Err(Complaint::new(
            "the interval is empty",
            "write `enabled = false` for a store that is not cleaned",
        )),
        span => Ok(span),
    });
    let cron = reader.parsed(section, "cron", Cron::parse);
    if section.has("every") && section.has("cron") {
        let message = format!("`{}` has both `every` and `cron`", section.path);
        let source = reader.findings.source();
        let finding =
            Diagnostic::error(codes::CONFLICT, source, section.value_span("cron"), message)
                .also(section.value_span("every"), "the other one")
                .help("keep one of the two");
        reader.findings.push(finding);
    }
    match (every, cron) {
        (Some(span), _) => Schedule::Every(span),
        (None, Some(cron)) => Schedule::Cron(cron),
        (None, None) => Schedule::OnRequest,
    }
}

fn read_warn(section: &Section<'_>, reader: &mut Reader<'_>) -> Warn {
    Warn {
        used: reader.parsed(section, "used", parse_percent),
        growth: reader.parsed(section, "growth", parse_growth),
    }
}

fn read_destination(
    name: String,
    section: &Section<'_>,
    reader: &mut Reader<'_>,
) -> Option<Destination> {
    let written = reader.required(section, "url")?;
    if written.starts_with("s3://") {
        not_yet(section, "url", reader);
        return None;
    }
    let path = match file_path(&written) {
        Ok(path) => absolute(&reader.directory, &path),
        Err(complaint) => {
            reader.complain(section, "url", complaint);
            return None;
        }
    };
    Some(Destination {
        name,
        url: crate::url::write(&path),
        directory: Place {
            path,
            written,
            span: section.value_span("url"),
        },
    })
}

/// The path of a destination's URL, as written.
fn file_path(url: &str) -> Result<PathBuf, Complaint> {
    let no_url = format!("`{url}` is no URL of a destination");
    crate::url::parse(url).map_err(|error| match error {
        UrlError::NoScheme => Complaint::new(no_url, format!("write `file://{url}`")),
        UrlError::Scheme => {
            Complaint::new(no_url, "only `file://` is supported: `file:///backups`")
        }
        UrlError::Host => {
            let path = url.strip_prefix("file://").unwrap_or(url);
            let help =
                format!("write `file:///{path}`, or `file://./{path}` beside the configuration");
            Complaint::new(format!("`{url}` names a host"), help)
        }
        UrlError::Escape | UrlError::Nul => Complaint::new(no_url, error.to_string()),
    })
}

fn read_plugin(name: String, section: &Section<'_>, reader: &mut Reader<'_>) -> Option<Plugin> {
    let wasm = read_wasm(section, reader);
    let sha256 = reader.parsed(section, "sha256", parse_sha256);
    let written = section.section("settings");
    let settings = reader.settings(&written);
    let settings_at = settings
        .keys()
        .map(|key| (key.clone(), written.value_span(key)))
        .collect();
    let filter = read_filter(section, reader);
    let proof = reader.parsed(section, "proof", parse_proof);
    let grants = read_grants(&section.section("grants"), reader);
    Some(Plugin {
        name,
        span: section.span.clone(),
        wasm: wasm?,
        held: None,
        wasm_at: section.value_span("wasm"),
        sha256,
        sha256_at: section.has("sha256").then(|| section.value_span("sha256")),
        settings,
        settings_at,
        filter,
        proof: proof.unwrap_or(Proof::Restore),
        grants,
    })
}

fn read_filter(plugin: &Section<'_>, reader: &mut Reader<'_>) -> Option<Filter> {
    if !plugin.has("filter") {
        return None;
    }
    let section = plugin.section("filter");
    let mut texts = |key| {
        let texts = reader.texts(&section, key).into_iter();
        texts.map(|(text, _)| text).collect()
    };
    let (args, restore_args) = (texts("args"), texts("restore_args"));
    let suffix = reader.parsed(&section, "suffix", |text| match text.contains('/') {
        true => Err(Complaint::new("a suffix has no `/`", "write it as `.gz`")),
        false => Ok(text.to_owned()),
    });
    if !section.has("restore_args") {
        let message = format!("`{}` has no `restore_args`", section.path);
        let help = "say how it turns an archive into the file again: `restore_args = [\"-dc\"]`";
        let span = section.span.clone();
        reader
            .findings
            .error(codes::MISSING_KEY, span, message, help);
    }
    Some(Filter {
        args,
        restore_args,
        suffix: suffix.unwrap_or_default(),
    })
}

/// A filter as `[plugins.X]` has it, from a text by itself.
pub(super) fn filter_alone(text: &str, named: &str) -> Result<Filter, Diagnostics> {
    let source = Source::new(named.to_owned(), format!("filter = {text}"));
    let mut findings = Findings::new(source.clone());
    let (document, errors) = DeTable::parse_recoverable(source.text());
    syntax::report(&errors, &mut findings);
    if errors.is_empty() {
        schema::check_filter(document.get_ref(), &mut findings);
    }
    if findings.has_errors() {
        return Err(Diagnostics(findings.into_sorted()));
    }
    let document = document.into_inner();
    let mut reader = Reader {
        environment: &Environment::default(),
        directory: PathBuf::new(),
        findings,
    };
    let filter = read_filter(&Section::document(&document), &mut reader);
    match filter {
        Some(filter) if !reader.findings.has_errors() => Ok(filter),
        Some(_) | None => Err(Diagnostics(reader.findings.into_sorted())),
    }
}

fn read_wasm(section: &Section<'_>, reader: &mut Reader<'_>) -> Option<Wasm> {
    let place = reader.place(section, "wasm")?;
    match place.written.strip_prefix("builtin:") {
        Some(name) => Some(Wasm::Builtin(name.to_owned())),
        None => Some(Wasm::File(place)),
    }
}

fn read_grants(section: &Section<'_>, reader: &mut Reader<'_>) -> Grants {
    let default = Grants::default();
    let destinations = reader.texts(section, "destinations");
    Grants {
        destinations: destinations.into_iter().map(|(name, _)| name).collect(),
        memory: reader
            .parsed(section, "memory", parse_size)
            .unwrap_or(default.memory),
        wall_seconds: reader
            .parsed(section, "wall", parse_seconds)
            .unwrap_or(default.wall_seconds),
        in_place: reader.flag(section, "in_place").unwrap_or(default.in_place),
        output: reader.parsed(section, "output", parse_size),
    }
}

/// A granted destination that is not configured would only be found by a run.
fn check_granted_destinations(document: &Section<'_>, reader: &mut Reader<'_>) {
    let configured = document.section("destinations").named();
    let names: Vec<&str> = configured.iter().map(|(name, _)| name.as_str()).collect();
    for (_, plugin) in document.section("plugins").named() {
        let grants = plugin.section("grants");
        // Faulty texts have been reported with the plugin; they are skipped here.
        for (wanted, span) in reader.silently(|reader| reader.texts(&grants, "destinations")) {
            if names.contains(&wanted.as_str()) {
                continue;
            }
            let message = format!("`{}` names the unknown destination `{wanted}`", grants.path);
            let help = match nearest(&wanted, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add a table `[destinations.{wanted}]`"),
            };
            let source = reader.findings.source();
            let finding = Diagnostic::error(codes::REFERENCE, source, span, message).help(help);
            reader.findings.push(finding);
        }
    }
}

fn read_state(section: &Section<'_>, reader: &mut Reader<'_>) -> Option<PathBuf> {
    if section.has("path") {
        return reader.place(section, "path").map(|place| place.path);
    }
    let default = reader.environment.default_state();
    if default.is_none() {
        let message = "there is no place for state: `HOME` is not set".to_owned();
        let source = reader.findings.source();
        let finding = Diagnostic::error(codes::MISSING_KEY, source, section.span.clone(), message)
            .help("write `[state]` with a `path`");
        reader.findings.push(finding);
    }
    default
}

fn parse_span(text: &str) -> Result<Span, Complaint> {
    Span::parse(text).map_err(|error| Complaint::unit(&error, "15 min"))
}

fn parse_size(text: &str) -> Result<Size, Complaint> {
    Size::parse(text).map_err(|error| Complaint::unit(&error, "64 MiB"))
}

/// A span that must be exact: a call cannot last a calendar month.
fn parse_seconds(text: &str) -> Result<u64, Complaint> {
    match parse_span(text)? {
        Span::Exact(seconds) if seconds > 0 => Ok(seconds),
        Span::Exact(_) | Span::Months(_) => Err(Complaint::new(
            format!("`{text}` is no time to wait for a call"),
            "write it as `5 min`",
        )),
    }
}

fn parse_percent(text: &str) -> Result<u8, Complaint> {
    let number = text.trim().strip_suffix('%').map(str::trim_end);
    number
        .and_then(|number| number.parse().ok())
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| {
            Complaint::new(
                format!("`{text}` is no share from 1 % to 100 %"),
                "write it as `80%`",
            )
        })
}

fn parse_growth(text: &str) -> Result<Growth, Complaint> {
    let example = "1 GB per day";
    let Some((size, per)) = text.split_once(" per ") else {
        let message = format!("`{text}` has no `per`");
        return Err(Complaint::new(message, format!("write it as `{example}`")));
    };
    let complain = |error: UnitError| Complaint::unit(&error, example);
    let size = Size::parse(size).map_err(complain)?;
    // `per day` means one day.
    let counted = per.trim().starts_with(|c: char| c.is_ascii_digit());
    let per = match counted {
        true => Span::parse(per),
        false => Span::parse(&format!("1 {}", per.trim())),
    };
    match per.map_err(complain)? {
        per if per.is_zero() => Err(Complaint::new("the time is empty", "write `per day`")),
        per => Ok(Growth { size, per }),
    }
}

fn parse_io(text: &str) -> Result<Io, Complaint> {
    match text {
        "normal" => Ok(Io::Normal),
        "idle" => Ok(Io::Idle),
        _ => Err(Complaint::new(
            format!("`{text}` is no way to use the disk"),
            "write `idle` or `normal`",
        )),
    }
}

fn parse_symlinks(text: &str) -> Result<Symlinks, Complaint> {
    match text {
        "keep" => Ok(Symlinks::Kept),
        "files" => Ok(Symlinks::Files),
        "follow" => Err(Complaint::new(
            "symbolic links are never followed",
            "write `keep` to leave links alone, or `files` for a policy that may remove the links themselves",
        )),
        _ => Err(Complaint::new(
            format!("`{text}` is nothing that symbolic links can be"),
            "write `keep` to leave links alone, or `files` for a policy that may remove the links themselves",
        )),
    }
}

fn parse_proof(text: &str) -> Result<Proof, Complaint> {
    match text {
        "restore" => Ok(Proof::Restore),
        "read-back" => Ok(Proof::ReadBack),
        "none" => Ok(Proof::None),
        _ => Err(Complaint::new(
            format!("`{text}` is no kind of proof"),
            "write `restore`, `read-back` or `none`",
        )),
    }
}

fn parse_sha256(text: &str) -> Result<String, Complaint> {
    let digest = text.trim().to_ascii_lowercase();
    match digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(digest),
        false => Err(Complaint::new(
            format!("`{text}` is no SHA-256"),
            "it has 64 hexadecimal digits; `sha256sum FILE` shows it",
        )),
    }
}
