//! Patches on the documents that people wrote.

use plenipo_resources::ObjectId;
use serde_json::{Map, Value};

use super::finding::{Edit, Operation, Patch};

/// Documents after patches.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Patched {
    /// All documents, in their order, and behind them the objects that were created.
    pub documents: Vec<Value>,
    /// Changes that found no object or no place.
    pub left: Vec<Edit>,
}

/// Applies patches to documents. Objects are found under the names they have before the first change.
#[must_use]
pub fn apply(documents: Vec<Value>, patches: &[&Patch]) -> Patched {
    let mut patched = Patched { documents, left: Vec::new() };
    let edits: Vec<&Edit> = patches.iter().flat_map(|patch| &patch.edits).collect();
    let places: Vec<Option<(usize, String)>> =
        edits.iter().map(|edit| find(&patched.documents, &edit.object)).collect();
    let mut done: Vec<&Edit> = Vec::new();
    for (edit, place) in edits.iter().zip(places) {
        if done.contains(edit) {
            continue;
        }
        done.push(edit);
        let object = place.and_then(|(index, path)| patched.documents.get_mut(index)?.pointer_mut(&path));
        if object.and_then(|object| perform(object, &edit.operation)).is_none() {
            patched.left.push((*edit).clone());
        }
    }
    patched.documents.iter_mut().for_each(drop_holes);
    for created in patches.iter().flat_map(|patch| &patch.create) {
        if !patched.documents.contains(created) {
            patched.documents.push(created.clone());
        }
    }
    patched
}

/// Documents as YAML, each behind a `---`.
///
/// # Errors
/// When a value cannot be written as YAML, in words.
pub fn to_yaml(documents: &[Value]) -> Result<String, String> {
    let mut text = String::new();
    for document in documents {
        let yaml = serde_saphyr::to_string(document).map_err(|error| error.to_string())?;
        text.push_str("---\n");
        text.push_str(yaml.trim_end());
        text.push('\n');
    }
    Ok(text)
}

/// Where an object stands: number of the document, and the pointer within (objects can be items of a List).
fn find(documents: &[Value], id: &ObjectId) -> Option<(usize, String)> {
    documents.iter().enumerate().find_map(|(index, document)| {
        if is(document, id) {
            return Some((index, String::new()));
        }
        let items = document.get("items")?.as_array()?;
        let item = items.iter().position(|item| is(item, id))?;
        Some((index, format!("/items/{item}")))
    })
}

fn is(document: &Value, id: &ObjectId) -> bool {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind").unwrap_or_default();
    let same_kind = kind == &*id.kind || id.kind.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.'));
    let namespace = text("/metadata/namespace").filter(|text| !text.is_empty()).unwrap_or("default");
    same_kind
        && text("/metadata/name").or_else(|| text("/name")) == Some(&id.name)
        && (id.namespace.is_empty() || namespace == &*id.namespace)
}

/// None when there is no such place.
fn perform(object: &mut Value, operation: &Operation) -> Option<()> {
    match operation {
        Operation::Add { path, value } => add(object, path, value.clone()),
        Operation::Replace { path, value } => {
            *object.pointer_mut(path)? = value.clone();
            Some(())
        }
        Operation::Remove { path } => {
            let (parent, key) = path.rsplit_once('/')?;
            match object.pointer_mut(parent) {
                Some(Value::Object(map)) => drop(map.remove(&unescaped(key))),
                // The other elements keep their places until all patches are applied.
                Some(Value::Array(list)) => {
                    if let Some(element) = list.get_mut(key.parse::<usize>().ok()?) {
                        *element = Value::Null;
                    }
                }
                _ => {}
            }
            Some(())
        }
        Operation::Move { from, path } => {
            let (parent, key) = from.rsplit_once('/')?;
            let taken = match object.pointer_mut(parent)? {
                Value::Object(map) => map.remove(&unescaped(key))?,
                Value::Array(list) => {
                    let index = key.parse::<usize>().ok().filter(|index| *index < list.len())?;
                    list.remove(index)
                }
                _ => return None,
            };
            add(object, path, taken)
        }
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Option<()> {
    let (parent, key) = path.rsplit_once('/')?;
    let mut at = object;
    for part in parent.split('/').skip(1) {
        at = match at {
            Value::Array(list) => list.get_mut(part.parse::<usize>().ok()?)?,
            other => {
                if other.is_null() {
                    *other = Value::Object(Map::new());
                }
                other.as_object_mut()?.entry(unescaped(part)).or_insert_with(|| Value::Object(Map::new()))
            }
        };
    }
    if at.is_null() {
        *at = if key == "-" { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
    }
    match at {
        Value::Object(map) if key == "-" && map.is_empty() => *at = Value::Array(vec![value]),
        Value::Object(map) => drop(map.insert(unescaped(key), value)),
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => list.insert(key.parse::<usize>().ok().filter(|at| *at <= list.len())?, value),
        _ => return None,
    }
    Some(())
}

/// RFC 6901 §4.
fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

fn drop_holes(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(drop_holes),
        Value::Array(list) => {
            list.retain(|element| !element.is_null());
            list.iter_mut().for_each(drop_holes);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
