//! A policy as it was written: every part with the span it came from.
//!
//! Units are already resolved (a literal is a size, a span or a count), names are
//! not. Nothing here is known to make sense; that is `check`'s judgement.

use std::ops::Range;

use crate::units;

/// A value with the bytes of the source it was read from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) at: Range<usize>,
}

/// Statements of a file in the order written.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) statements: Vec<Statement<Item>>,
}

/// A statement with what may stand around every one.
#[derive(Clone, Debug)]
pub(crate) struct Statement<T> {
    pub(crate) at: Range<usize>,
    pub(crate) label: Option<Spanned<String>>,
    pub(crate) because: Option<Spanned<String>>,
    pub(crate) item: T,
}

/// What may stand at file level.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Edition(Spanned<u64>),
    Timezone(Spanned<String>),
    Type(TypeDef),
    Let(LetDef),
    Collection(Collection),
    Protect {
        template: Spanned<String>,
        filter: Option<Condition>,
    },
    Hold(Hold),
    Stop(Stop),
    Pressure(Pressure),
    Use(Use),
    Test(TestBlock),
}

/// `hold "name" on TEMPLATE where COND until DATE`.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) name: Spanned<String>,
    pub(crate) template: Option<Spanned<String>>,
    pub(crate) filter: Option<Condition>,
    pub(crate) until: Option<Spanned<Moment>>,
}

/// `when disk is above …, free until below … { … }`.
#[derive(Clone, Debug)]
pub(crate) struct Pressure {
    pub(crate) on: PressureOn,
    pub(crate) above: Spanned<Fill>,
    pub(crate) below: Spanned<Fill>,
    pub(crate) stages: Vec<Stage>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PressureOn {
    Disk,
    Store,
}

/// How full something is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fill {
    Percent(u64),
    Value(Value),
}

/// `evict from C where COND, ORDER`.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) collection: Spanned<String>,
    pub(crate) filter: Option<Condition>,
    pub(crate) order: Spanned<Order>,
}

/// `use types from "file.retain" allowing deletes`.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    pub(crate) what: Used,
    pub(crate) file: Spanned<String>,
    pub(crate) deletes: bool,
}

/// Which statements of a used file count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Used {
    All,
    Protections,
    Types,
}

/// `test "…" { … }`.
#[derive(Clone, Debug)]
pub(crate) struct TestBlock {
    pub(crate) name: Spanned<String>,
    pub(crate) now: Option<Spanned<Moment>>,
    /// Percentage of the disk that is in use.
    pub(crate) disk: Option<Spanned<u64>>,
    pub(crate) variables: Vec<(Spanned<String>, Spanned<String>)>,
    pub(crate) files: Vec<GivenFile>,
    pub(crate) expectations: Vec<Expectation>,
}

/// `given "path" modified 7 days ago, 3 MB`.
#[derive(Clone, Debug)]
pub(crate) struct GivenFile {
    pub(crate) path: Spanned<String>,
    pub(crate) facts: Vec<Spanned<GivenFact>>,
}

#[derive(Clone, Debug)]
pub(crate) enum GivenFact {
    Ago(StampOf, Spanned<Value>),
    At(StampOf, Spanned<Moment>),
    Owner(Spanned<Who>),
    Group(Spanned<Who>),
    Size(Spanned<Value>),
    Empty,
}

/// Which stamp of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StampOf {
    Modified,
    Changed,
    Accessed,
    Created,
}

/// `expect delete "path" by @label`.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) at: Range<usize>,
    pub(crate) fate: Fate,
    pub(crate) path: Spanned<String>,
    pub(crate) by: Option<Spanned<String>>,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Keep,
    /// It goes.
    Delete,
    /// A plugin's archive of it takes its place.
    Replace,
}

/// A day, a minute or a second as written, on no particular calendar yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) at: jiff::civil::DateTime,
    /// Only a day was written: a moment is before it or after all of it.
    pub(crate) whole_day: bool,
}

impl Moment {
    /// Reads `2026-03-10`, `2026-03-10 12:00` or `2026-03-10T12:00:30`.
    pub(crate) fn parse(text: &str) -> Option<Moment> {
        let text = text.trim();
        let (day, time) = match text.split_once(['T', ' ']) {
            Some((day, time)) => (day, Some(time.trim())),
            None => (text, None),
        };
        let mut parts = day.split('-');
        let mut part = || parts.next()?.parse::<i16>().ok();
        let (year, month, day) = (part()?, part()?, part()?);
        if parts.next().is_some() {
            return None;
        }
        let date = jiff::civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        let time: Option<jiff::civil::Time> = match time {
            // `6:00` is read as people write it; the library wants two digits.
            Some(time) if time.find(':') == Some(1) => Some(format!("0{time}").parse().ok()?),
            Some(time) => Some(time.parse().ok()?),
            None => None,
        };
        Some(Moment {
            at: date
                .ok()?
                .to_datetime(time.unwrap_or(jiff::civil::Time::midnight())),
            whole_day: time.is_none(),
        })
    }
}

/// An owner or group by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Name(String),
    Number(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct TypeDef {
    pub(crate) name: Spanned<String>,
    pub(crate) shape: Shape,
}

/// What values a type has.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    OneOf(Vec<Spanned<String>>),
    Matching(Spanned<String>),
    Date(Spanned<String>),
    Number,
    Semver,
    User,
}

#[derive(Clone, Debug)]
pub(crate) struct LetDef {
    pub(crate) name: Spanned<String>,
    pub(crate) value: LetValue,
}

#[derive(Clone, Debug)]
pub(crate) enum LetValue {
    Literal(Spanned<Literal>),
    Env(FromEnv),
}

/// `env "VAR" in UNIT or LITERAL, at least L, at most L`.
#[derive(Clone, Debug)]
pub(crate) struct FromEnv {
    pub(crate) variable: Spanned<String>,
    pub(crate) unit: Option<Spanned<Unit>>,
    pub(crate) default: Spanned<Literal>,
    pub(crate) at_least: Option<Spanned<Literal>>,
    pub(crate) at_most: Option<Spanned<Literal>>,
}

/// What a unit word counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    Time(units::SpanUnit),
    Bytes(u64),
}

/// A constant with its kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Span(units::Span),
    Size(units::Size),
    Count(u64),
    Text(String),
}

/// A constant or the name of one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Literal(Literal),
    Name(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Collection {
    pub(crate) name: Spanned<String>,
    pub(crate) template: Spanned<String>,
    pub(crate) members: Vec<Statement<Member>>,
}

/// What may stand in a collection.
#[derive(Clone, Debug)]
pub(crate) enum Member {
    Clock(Spanned<Clock>),
    Delete(When),
    Limit(Limit),
    Keep(Keep),
    Before(Before),
    Replace(Replace),
    BackUp(BackUp),
    DeleteBackups(DeleteBackups),
    EmptyDirectories(Option<Spanned<Value>>),
    Stop(Stop),
}

/// What an age is measured from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Clock {
    /// mtime.
    LastModified,
    /// The newer of mtime and ctime.
    LastModifiedOrChanged,
    /// atime.
    LastAccessed,
    /// Birth time.
    Created,
    /// The date a name holds.
    Capture(Spanned<String>),
}

/// `back up [daily], run PLUGIN(…) into DESTINATION`.
#[derive(Clone, Debug)]
pub(crate) struct BackUp {
    /// At most one archive of a file in each; without one, each of its generations.
    pub(crate) period: Option<Period>,
    pub(crate) plugin: Spanned<String>,
    pub(crate) arguments: Arguments,
    pub(crate) destination: Spanned<String>,
}

/// `delete backups when older than D, keeping newest N`.
#[derive(Clone, Debug)]
pub(crate) struct DeleteBackups {
    pub(crate) age: Spanned<Value>,
    pub(crate) newest: Option<Spanned<Value>>,
}

impl BackUp {
    /// How often there may be.
    pub(crate) const PERIODS: [Period; 3] = [Period::Hourly, Period::Daily, Period::Weekly];
}

/// `replace when COND, using PLUGIN(…)`.
#[derive(Clone, Debug)]
pub(crate) struct Replace {
    pub(crate) condition: Condition,
    pub(crate) plugin: Spanned<String>,
    pub(crate) arguments: Arguments,
}

/// Arguments of a plugin, by name.
pub(crate) type Arguments = Vec<(Spanned<String>, Spanned<Argument>)>;

#[derive(Clone, Debug)]
pub(crate) enum When {
    Always,
    If(Condition),
}

#[derive(Clone, Debug)]
pub(crate) struct Limit {
    pub(crate) measure: Measure,
    pub(crate) cap: Spanned<Value>,
    pub(crate) per: Vec<Spanned<String>>,
    pub(crate) filter: Option<Condition>,
    pub(crate) order: Spanned<Order>,
    pub(crate) down_to: Option<Spanned<DownTo>>,
}

/// What a limit adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Allocated bytes.
    TotalSize,
    /// Files.
    Count,
}

/// Which file of a group goes first; ties go by path bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// By the collection's clock.
    Oldest,
    /// By length, longest first.
    Largest,
    /// By length, shortest first.
    Smallest,
    /// By access time.
    LeastRecentlyUsed,
    /// By a capture's value.
    Lowest(Spanned<String>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DownTo {
    Percent(u64),
    Value(Value),
}

#[derive(Clone, Debug)]
pub(crate) enum Keep {
    Always,
    When(Condition),
    For {
        span: Spanned<Value>,
        filter: Option<Condition>,
    },
    Newest {
        count: Spanned<Value>,
        per: Vec<Spanned<String>>,
        filter: Option<Condition>,
    },
    Slots {
        slots: Vec<(Spanned<u64>, Period)>,
        per: Vec<Spanned<String>>,
        filter: Option<Condition>,
    },
}

/// A calendar bucket of a grandfather-father-son scheme, from short to long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// An hour of the clock.
    Hourly,
    /// A calendar day.
    Daily,
    /// An ISO 8601 week, Monday to Sunday.
    Weekly,
    /// A calendar month.
    Monthly,
    /// Three calendar months from January, April, July or October.
    Quarterly,
    /// A calendar year.
    Yearly,
}

impl Period {
    /// Every period with its word.
    pub(crate) const WORDS: [(&'static str, Period); 6] = [
        ("hourly", Period::Hourly),
        ("daily", Period::Daily),
        ("weekly", Period::Weekly),
        ("monthly", Period::Monthly),
        ("quarterly", Period::Quarterly),
        ("yearly", Period::Yearly),
    ];

    /// The word of the language.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Period::Hourly => "hourly",
            Period::Daily => "daily",
            Period::Weekly => "weekly",
            Period::Monthly => "monthly",
            Period::Quarterly => "quarterly",
            Period::Yearly => "yearly",
        }
    }
}

/// `before delete, run PLUGIN(…) into DESTINATION`.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    pub(crate) plugin: Spanned<String>,
    pub(crate) arguments: Arguments,
    pub(crate) destination: Option<Spanned<String>>,
    /// Where `otherwise delete anyway` stands, if it does.
    pub(crate) anyway: Option<Range<usize>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Argument {
    Flag(bool),
    Value(Value),
    List(Vec<Spanned<Value>>),
}

#[derive(Clone, Debug)]
pub(crate) enum Stop {
    Never,
    Over(Spanned<Bound>),
}

#[derive(Clone, Debug)]
pub(crate) enum Bound {
    Percent(u64),
    Files(u64),
    Size(Value),
}

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Test(Spanned<Test>),
}

/// One question about one file.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Older(Spanned<Value>),
    Newer(Spanned<Value>),
    MoreThanAgo(StampOf, Spanned<Value>),
    Within(StampOf, Spanned<Value>),
    StampBefore(StampOf, Spanned<Moment>),
    StampAfter(StampOf, Spanned<Moment>),
    Size(Comparison, Spanned<Value>),
    CaptureIs(Spanned<String>, Spanned<String>),
    CaptureIsNot(Spanned<String>, Spanned<String>),
    CaptureIn(Spanned<String>, Vec<Spanned<String>>),
    CaptureMatches(Spanned<String>, Spanned<String>),
    CaptureOver(Spanned<String>, Spanned<Operand>),
    CaptureUnder(Spanned<String>, Spanned<Operand>),
    CaptureBefore(Spanned<String>, Spanned<Moment>),
    CaptureAfter(Spanned<String>, Spanned<Moment>),
    PathMatches(Spanned<String>),
    NameIs(Spanned<String>),
    OwnerIs(Spanned<Who>),
    GroupIs(Spanned<Who>),
}

/// What a number or a version is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    /// `3` or `1.2.3`, as written.
    Text(String),
    /// A constant's name.
    Name(String),
}

/// How a size is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Strictly more.
    Over,
    /// Strictly less.
    Under,
    /// As much or more.
    AtLeast,
    /// As much or less.
    AtMost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_may_have_one_digit() {
        let moment = |text| Moment::parse(text).map(|moment| moment.at);
        let six = moment("2026-03-10 06:00");
        assert!(six.is_some());
        assert_eq!(moment("2026-03-10 6:00"), six);
        assert_eq!(moment("2026-03-10T6:00:00"), six);
        assert_eq!(moment("2026-03-10 25:00"), None);
        assert_eq!(moment("2026-02-30 6:00"), None);
    }
}
