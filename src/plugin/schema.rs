//! A plugin's settings held against the JSON schema in its manifest.
//!
//! The schema was written by whoever wrote the plugin, whom nobody need trust, so
//! only what can be checked in bounded time is understood: no patterns, no
//! combinations but a choice of what is required, references within the schema alone.
//! A schema that says more is refused as a whole rather than held against half of it.

use serde_json::{Map, Value};

use crate::units::{Size, Span};

/// Keywords that are checked.
const CHECKED: [&str; 17] = [
    "type",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "items",
    "properties",
    "required",
    "anyOf",
    "additionalProperties",
    "format",
    "memory-from",
    "memory-times",
    "$ref",
];

/// Keywords that say something to people.
const TOLD: [&str; 8] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "$schema",
    "$comment",
    "$defs",
];

/// How deep schemas may be nested, references included.
const DEPTH: usize = 16;

/// What is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The setting.
    pub setting: String,
    /// What is wrong, in a sentence that names it.
    pub problem: String,
}

/// Why a schema cannot be used.
pub(super) fn fault(schema: &Value) -> Option<String> {
    fault_in(schema, 0)
}

fn fault_in(schema: &Value, depth: usize) -> Option<String> {
    let Some(schema) = schema.as_object() else {
        return (!schema.is_null()).then(|| "the schema of its settings is no object".to_owned());
    };
    if depth > DEPTH {
        return Some("the schema of its settings is nested too deeply".to_owned());
    }
    let known = |key: &str| CHECKED.contains(&key) || TOLD.contains(&key);
    if let Some(key) = schema.keys().find(|key| !known(key)) {
        return Some(format!(
            "the schema of its settings uses `{key}`, which is not understood here"
        ));
    }
    let choices = schema.get("anyOf").map(|choices| choices.as_array());
    if choices.is_some_and(|choices| !choices.is_some_and(|all| all.iter().all(only_requires))) {
        let fault = "`anyOf` of the schema of its settings may only choose what is `required`";
        return Some(fault.to_owned());
    }
    let tables = ["properties", "$defs"].into_iter();
    let inner = tables.filter_map(|key| schema.get(key)?.as_object());
    let inner = inner.flat_map(|table| table.values());
    inner
        .chain(schema.get("items"))
        .find_map(|schema| fault_in(schema, depth + 1))
}

/// Whether a schema has nothing but a list of names that are required.
fn only_requires(schema: &Value) -> bool {
    let names = |value: &Value| {
        let names = value.as_array();
        names.is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string))
    };
    schema
        .as_object()
        .is_some_and(|schema| schema.len() == 1 && schema.get("required").is_some_and(names))
}

/// Settings as the plugin gets them: sizes as bytes and durations as milliseconds,
/// whoever wrote them as text. Says everything that is wrong otherwise; what is
/// missing is no fault here, because a policy may add it.
pub(super) fn settle(
    schema: &Value,
    settings: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<Objection>> {
    let mut settled = Map::new();
    let mut objections = Vec::new();
    for (key, value) in settings {
        let object = |problem| Objection {
            setting: key.clone(),
            problem,
        };
        match property(schema, key) {
            None => objections.push(object(unknown(schema, key))),
            Some(property) => {
                let mut value = value.clone();
                match (Checker { root: schema }).settle(property, &mut value, key, 0) {
                    Ok(()) => drop(settled.insert(key.clone(), value)),
                    Err(problem) => objections.push(object(problem)),
                }
            }
        }
    }
    match objections.is_empty() {
        true => Ok(settled),
        false => Err(objections),
    }
}

/// Settings without which the plugin cannot work, and that nobody gave.
pub(super) fn missing(schema: &Value, settings: &Map<String, Value>) -> Vec<Objection> {
    let lacking = required(schema).filter(|name| !settings.contains_key(*name));
    let mut objections: Vec<_> = lacking
        .map(|name| Objection {
            setting: name.to_owned(),
            problem: format!("the setting `{name}` is missing"),
        })
        .collect();
    objections.extend(no_choice(schema, settings));
    objections
}

/// The names a schema requires.
fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let required = schema.get("required").and_then(Value::as_array);
    required.into_iter().flatten().filter_map(Value::as_str)
}

/// What to say where none of the choices of `anyOf` is there.
fn no_choice(schema: &Value, settings: &Map<String, Value>) -> Option<Objection> {
    let choices = schema.get("anyOf").and_then(Value::as_array)?;
    let whole = |choice: &Value| required(choice).all(|name| settings.contains_key(name));
    if choices.iter().any(whole) {
        return None;
    }
    let named = |choice: &Value| {
        let names: Vec<_> = required(choice).map(|name| format!("`{name}`")).collect();
        names.join(" and ")
    };
    let named: Vec<_> = choices.iter().map(named).collect();
    Some(Objection {
        setting: choices.iter().flat_map(required).next()?.to_owned(),
        problem: format!("one of the settings is missing: {}", named.join(" or ")),
    })
}

/// Settings with which the plugin needs more memory than it is granted, by what it
/// says of itself: `memory-times` bytes for each unit of the value, or the bytes
/// that `memory-from` names for values from there on.
pub(super) fn too_large(
    schema: &Value,
    settings: &Map<String, Value>,
    granted: Size,
) -> Vec<Objection> {
    let objection = |(name, value): (&String, &Value)| {
        let needed = memory(property(schema, name)?, value.as_u64()?)?;
        (needed > granted.0).then(|| Objection {
            setting: name.clone(),
            problem: format!(
                "`{name}` with the value {value} needs {} of memory, and {granted} are granted; \
                 raise `grants.memory`",
                Size(needed)
            ),
        })
    };
    settings.iter().filter_map(objection).collect()
}

fn memory(property: &Value, value: u64) -> Option<u64> {
    let times = property.get("memory-times").and_then(Value::as_u64);
    let by_times = times.map(|times| value.saturating_mul(times));
    let steps = property.get("memory-from").and_then(Value::as_object);
    let steps = steps.into_iter().flatten();
    let reached = steps
        .filter(|(from, _)| from.parse().is_ok_and(|from: u64| from <= value))
        .filter_map(|(_, bytes)| bytes.as_u64());
    reached.chain(by_times).max()
}

fn property<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    schema.get("properties")?.get(key)
}

fn unknown(schema: &Value, key: &str) -> String {
    let properties = schema.get("properties").and_then(Value::as_object);
    let names: Vec<&str> = properties
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect();
    match crate::diagnostic::nearest(key, names.iter().copied()) {
        Some(near) => format!("there is no setting `{key}`; did you mean `{near}`?"),
        None if names.is_empty() => {
            format!("there is no setting `{key}`; this plugin has none")
        }
        None => {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            format!(
                "there is no setting `{key}`; there are {}",
                names.join(", ")
            )
        }
    }
}

struct Checker<'s> {
    root: &'s Value,
}

impl Checker<'_> {
    /// Checks one value, `path` being what people call it.
    fn settle(
        &self,
        schema: &Value,
        value: &mut Value,
        path: &str,
        depth: usize,
    ) -> Result<(), String> {
        if depth > DEPTH {
            return Err(format!("`{path}`: the plugin's schema refers to itself"));
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let found = reference
                .strip_prefix('#')
                .and_then(|p| self.root.pointer(p));
            let found = found.ok_or_else(|| {
                format!("`{path}`: the plugin's schema refers to `{reference}`, which it has not")
            })?;
            self.settle(found, value, path, depth + 1)?;
        }
        convert(schema, value, path)?;
        if let Some(wanted) = mistyped(schema, value) {
            return Err(format!("`{path}` must be {wanted}, not `{value}`"));
        }
        bounded(schema, value, path)?;
        match value {
            Value::Array(list) => {
                let Some(items) = schema.get("items") else {
                    return Ok(());
                };
                let mut each = (1..).zip(list);
                each.try_for_each(|(n, item)| {
                    self.settle(items, item, &format!("{path}[{n}]"), depth + 1)
                })
            }
            Value::Object(table) => self.settle_table(schema, table, path, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn settle_table(
        &self,
        schema: &Value,
        table: &mut Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<(), String> {
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        for (key, value) in table.iter_mut() {
            let path = format!("{path}.{key}");
            match property(schema, key) {
                Some(property) => self.settle(property, value, &path, depth + 1)?,
                None if closed => return Err(format!("`{path}`: {}", unknown(schema, key))),
                None => {}
            }
        }
        match missing(schema, table).into_iter().next() {
            None => Ok(()),
            Some(missing) => Err(format!("`{path}`: {}", missing.problem)),
        }
    }
}

/// `8 MiB` and `5 min` as the numbers they mean.
fn convert(schema: &Value, value: &mut Value, path: &str) -> Result<(), String> {
    let format = schema.get("format").and_then(Value::as_str);
    let (Some(format), Some(text)) = (format, value.as_str()) else {
        return Ok(());
    };
    let help = |error: crate::units::UnitError| match error.help() {
        Some(help) => format!("`{path}`: {error}; {help}"),
        None => format!("`{path}`: {error}"),
    };
    let number = match format {
        "size" => Size::parse(text).map_err(help)?.0,
        "duration" => {
            let span = Span::parse(text).map_err(help)?;
            span.approximate_seconds().saturating_mul(1_000)
        }
        _ => return Ok(()),
    };
    *value = number.into();
    Ok(())
}

/// The type a schema asks for, when the value has another one.
fn mistyped(schema: &Value, value: &Value) -> Option<&'static str> {
    let format = schema.get("format").and_then(Value::as_str);
    let whole = value.is_i64() || value.is_u64();
    let (wanted, fits) = match (schema.get("type")?.as_str()?, format) {
        ("string", _) => ("a text", value.is_string()),
        ("integer", Some("size")) => ("a size such as \"8 MiB\"", whole),
        ("integer", Some("duration")) => ("a time such as \"5 min\"", whole),
        ("integer", _) => ("a whole number", whole),
        ("number", _) => ("a number", value.is_number()),
        ("boolean", _) => ("`true` or `false`", value.is_boolean()),
        ("array", _) => ("a list", value.is_array()),
        ("object", _) => ("a table", value.is_object()),
        _ => return None,
    };
    (!fits).then_some(wanted)
}

fn bounded(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        let choices: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
        let choices = choices.join(", ");
        return Err(format!("`{path}` must be one of {choices}, not `{value}`"));
    }
    let size = schema.get("format").and_then(Value::as_str) == Some("size");
    let shown = |number: f64| match size {
        // Sizes beyond 2^53 do not occur in a bound.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a bound"
        )]
        true => Size(number as u64).to_string(),
        false => number.to_string(),
    };
    let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
    if let Some(number) = value.as_f64() {
        if let Some(least) = limit("minimum").filter(|least| number < *least) {
            let (least, number) = (shown(least), shown(number));
            return Err(format!("`{path}` must be at least {least}, not {number}"));
        }
        if let Some(most) = limit("maximum").filter(|most| number > *most) {
            let (most, number) = (shown(most), shown(number));
            return Err(format!("`{path}` must be at most {most}, not {number}"));
        }
    }
    let (length, least, most, what) = match value {
        Value::String(text) => (text.chars().count(), "minLength", "maxLength", "characters"),
        Value::Array(list) => (list.len(), "minItems", "maxItems", "entries"),
        _ => return Ok(()),
    };
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
    let length = length as u64;
    match (bound(least), bound(most)) {
        (Some(least), _) if length < least => Err(match length {
            0 => format!("`{path}` must not be empty"),
            _ => format!("`{path}` must have at least {least} {what}, not {length}"),
        }),
        (_, Some(most)) if length > most => Err(format!(
            "`{path}` must have at most {most} {what}, not {length}"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["paths"],
            "properties": {
                "level": {"type": "integer", "minimum": 1, "maximum": 22, "memory-from": {"1": 10, "19": 1000}},
                "window": {"type": "integer", "format": "size", "maximum": 1_000_000, "memory-times": 4},
                "pause": {"type": "integer", "format": "duration"},
                "paths": {"type": "array", "items": {"$ref": "#/$defs/path"}, "minItems": 1},
                "how": {"enum": ["fast", "small"]},
                "more": {"type": "object", "additionalProperties": false, "required": ["a"],
                         "properties": {"a": {"type": "boolean"}}},
                "loop": {"$ref": "#/properties/loop"}
            },
            "$defs": {"path": {"type": "string", "minLength": 1}}
        })
    }

    fn check(settings: Value, expected: &str) {
        let objections = settle(&schema(), settings.as_object().unwrap()).unwrap_err();
        let said: Vec<_> = objections.iter().map(|o| o.problem.as_str()).collect();
        assert!(said.join("\n").contains(expected), "{said:?}");
    }

    #[test]
    fn every_mistake_is_said_with_the_setting_s_name() {
        check(json!({"level": "3"}), "`level` must be a whole number");
        check(json!({"level": 0}), "`level` must be at least 1, not 0");
        check(json!({"level": 30}), "`level` must be at most 22, not 30");
        check(json!({"lvel": 3}), "did you mean `level`");
        check(json!({"window": true}), "a size such as");
        check(json!({"window": "8 MB"}), "at most 1 MB");
        check(json!({"window": "8 parsecs"}), "`window`: ");
        check(json!({"pause": "soon"}), "`pause`: ");
        check(json!({"paths": []}), "`paths` must not be empty");
        check(json!({"paths": ["a", ""]}), "`paths[2]` must not be empty");
        check(json!({"paths": ["a", 1]}), "`paths[2]` must be a text");
        check(json!({"how": "slow"}), "one of `\"fast\"`, `\"small\"`");
        check(json!({"more": {}}), "the setting `a` is missing");
        check(
            json!({"more": {"a": true, "b": 1}}),
            "there is no setting `b`",
        );
        check(json!({"loop": 1}), "refers to itself");
    }

    #[test]
    fn sizes_and_durations_arrive_as_numbers() {
        let settings = json!({"window": "64 KiB", "pause": "2 min", "level": 3});
        let settled = settle(&schema(), settings.as_object().unwrap()).unwrap();
        assert_eq!(
            Value::from(settled),
            json!({"window": 65_536, "pause": 120_000, "level": 3})
        );
    }

    #[test]
    fn what_is_missing_and_what_takes_more_memory_than_there_is_are_said_too() {
        let settings = json!({"level": 19, "window": 100});
        let settings = settings.as_object().unwrap();
        assert_eq!(missing(&schema(), settings)[0].setting, "paths");
        let names = |granted| {
            let found = too_large(&schema(), settings, Size(granted));
            found.into_iter().map(|o| o.setting).collect::<Vec<_>>()
        };
        assert_eq!(names(399), ["level", "window"]);
        assert_eq!(names(999), ["level"]);
        assert_eq!(names(1000), Vec::<String>::new());
    }

    #[test]
    fn one_of_several_settings_may_be_required() {
        let schema = json!({"anyOf": [{"required": ["a"]}, {"required": ["b", "c"]}],
            "properties": {"a": {}, "b": {}, "c": {}}});
        assert_eq!(fault(&schema), None);
        let said = |settings: Value| missing(&schema, settings.as_object().unwrap());
        let [objection] = said(json!({"b": 1})).try_into().unwrap();
        assert_eq!(objection.setting, "a");
        let problem = "one of the settings is missing: `a` or `b` and `c`";
        assert_eq!(objection.problem, problem);
        for settings in [
            json!({"a": 1}),
            json!({"b": 1, "c": 1}),
            json!({"a": 1, "c": 1}),
        ] {
            assert_eq!(said(settings), []);
        }
        for choices in [
            json!(1),
            json!({"required": ["a"]}),
            json!([{"minimum": 1}]),
            json!([{"required": ["a"], "minimum": 1}]),
            json!([{"required": []}]),
            json!([{"required": [1]}]),
        ] {
            let said = fault(&json!({"anyOf": choices})).unwrap();
            assert!(said.contains("`anyOf`"), "{said}");
        }
    }

    #[test]
    fn a_schema_that_says_what_is_not_checked_is_refused() {
        assert_eq!(fault(&schema()), None);
        assert_eq!(fault(&Value::Null), None);
        let with = |inner: Value| json!({"properties": {"a": inner}});
        assert!(
            fault(&with(json!({"pattern": "(a+)+"})))
                .unwrap()
                .contains("`pattern`")
        );
        assert!(
            fault(&with(json!({"oneOf": []})))
                .unwrap()
                .contains("`oneOf`")
        );
        let deep = (0..40).fold(json!({}), |inner, _| json!({"items": inner}));
        assert!(fault(&deep).unwrap().contains("nested"));
    }
}
