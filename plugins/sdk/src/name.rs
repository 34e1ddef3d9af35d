//! What archives are called, by a template out of the settings.

use crate::{Entry, Failure};

/// The longest component file systems take, in bytes.
const COMPONENT: usize = 255;

/// The usual template: one object for each generation of each file.
pub const GENERATIONS: &str = "{collection}/{path}@{modified}";

impl Entry {
    /// Fills a template in: `{store}`, `{collection}`, `{path}`, `{modified}` and
    /// `{key}`. Values are not looked into again, so a file called `{key}` stays what
    /// it is. Components that are too long are cut and told apart by the file's key.
    pub fn name(&self, template: &str) -> Result<String, Failure> {
        let mut name = String::new();
        let mut rest = template;
        while let Some((text, tail)) = rest.split_once('{') {
            let (field, tail) = tail
                .split_once('}')
                .ok_or_else(|| Failure::misconfigured("`name` has a `{` that is never closed"))?;
            name.push_str(text);
            match field {
                "store" => name.push_str(&self.store),
                "collection" => name.push_str(&self.collection),
                "path" => name.push_str(&self.path),
                "modified" => name.push_str(&self.modified.to_basic_utc()),
                "key" => name.push_str(start(&self.key, 16)),
                other => {
                    let message = format!(
                        "`name` has no `{{{other}}}`; there are {{store}}, {{collection}}, {{path}}, {{modified}}, {{key}}"
                    );
                    return Err(Failure::misconfigured(message));
                }
            }
            rest = tail;
        }
        name.push_str(rest);
        if template.split('/').any(str::is_empty) {
            let message = "`name` begins or ends with `/`, or has nothing between two";
            return Err(Failure::misconfigured(message));
        }
        Ok(self.fitting(&name))
    }

    /// Another name for this very file, for when its usual one is taken by other bytes.
    pub fn name_beside(&self, name: &str) -> String {
        self.fitting(&format!("{name}-{}", start(&self.key, 8)))
    }

    /// A name with something appended, still short enough.
    pub fn fitting(&self, name: &str) -> String {
        let components: Vec<String> = name.split('/').map(|part| cut(part, &self.key)).collect();
        components.join("/")
    }
}

fn cut(component: &str, key: &str) -> String {
    if component.len() <= COMPONENT {
        return component.to_owned();
    }
    let mark = format!("~{}", start(key, 16));
    let mut end = COMPONENT - mark.len();
    while !component.is_char_boundary(end) {
        end -= 1;
    }
    component[..end].to_owned() + &mark
}

fn start(key: &str, length: usize) -> &str {
    key.get(..length).unwrap_or(key)
}
