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
    Stop(Stop),
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
    Stop(Stop),
}

/// What an age is measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// mtime.
    LastModified,
    /// The newer of mtime and ctime.
    LastModifiedOrChanged,
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// By the collection's clock.
    OldestFirst,
    /// By length, longest first.
    LargestFirst,
    /// By length, shortest first.
    SmallestFirst,
    /// By access time.
    LeastRecentlyUsedFirst,
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
}

/// `before delete, run PLUGIN(…) into DESTINATION`.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    pub(crate) plugin: Spanned<String>,
    pub(crate) arguments: Vec<(Spanned<String>, Spanned<Argument>)>,
    pub(crate) destination: Option<Spanned<String>>,
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
    ModifiedMoreThanAgo(Spanned<Value>),
    ModifiedWithin(Spanned<Value>),
    Size(Comparison, Spanned<Value>),
    CaptureIs(Spanned<String>, Spanned<String>),
    CaptureIsNot(Spanned<String>, Spanned<String>),
    CaptureIn(Spanned<String>, Vec<Spanned<String>>),
    CaptureMatches(Spanned<String>, Spanned<String>),
    PathMatches(Spanned<String>),
}

/// How a size is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Strictly more.
    Over,
    /// Strictly less.
    Under,
    /// As much or more.
    AtLeast,
    /// As much or less.
    AtMost,
}
