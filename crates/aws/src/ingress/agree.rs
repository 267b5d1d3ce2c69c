//! What the members of a group must say alike.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{GroupError, Result};
use super::group::Member;
use crate::annotations::AnnotationError;

/// What every member says that says anything.
pub(super) fn said<'m, 'a, T>(
    members: &'m [Member<'a>],
    read: impl Fn(&Member<'a>) -> Result<Option<T>>,
) -> Result<Vec<(&'m Member<'a>, T)>> {
    let mut said = Vec::new();
    for member in members {
        if let Some(value) = read(member)? {
            said.push((member, value));
        }
    }
    Ok(said)
}

/// The value that all who say one say; `conflict` makes the fault of the first who says another.
pub(super) fn agreed<T: PartialEq>(
    said: Vec<(&Member<'_>, T)>,
    conflict: impl FnOnce(&Member<'_>, &[&T]) -> GroupError,
) -> Result<Option<T>> {
    let differs = said.iter().position(|(_, value)| *value != said[0].1);
    if let Some(at) = differs {
        let values: Vec<&T> = said.iter().map(|(_, value)| value).collect();
        return Err(conflict(said[at].0, &values));
    }
    Ok(said.into_iter().next().map(|(_, value)| value))
}

/// How the controller words several values: Go's list, or Go's set.
pub(super) type Wording = fn(&BTreeSet<&str>) -> String;

/// The text that all members say which say one, in an annotation or (that beats it) in their class.
pub(super) fn text(
    members: &[Member<'_>],
    suffix: &str,
    class: impl Fn(&Member<'_>) -> Option<String>,
    (conflict, wording): (&str, Wording),
) -> Result<Option<String>> {
    let said =
        said(members, |member| Ok(class(member).or_else(|| member.notes().text(suffix).map(str::to_owned))))?;
    agreed(said, |member, values| {
        let values = wording(&values.iter().map(|value| value.as_str()).collect());
        member.fault(suffix, format!("{conflict}: {values}"))
    })
}

/// The list that all members say which say one.
pub(super) fn list(
    members: &[Member<'_>],
    suffix: &str,
    ordered: bool,
    conflict: impl FnOnce(&[String], &[String]) -> String,
) -> Result<Option<Vec<String>>> {
    let said = said(members, |member| Ok(member.notes().list(suffix)))?;
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    let alike = |a: &[String], b: &[String]| if ordered { a == b } else { sorted(a) == sorted(b) };
    if let Some((member, list)) = said.iter().find(|(_, list)| !alike(list, &said[0].1)) {
        return Err(member.fault(suffix, conflict(&said[0].1, list)));
    }
    Ok(said.into_iter().next().map(|(_, list)| list))
}

/// The flag that all members say which say one.
pub(super) fn flag(members: &[Member<'_>], suffix: &str, conflict: &str) -> Result<Option<bool>> {
    let said = said(members, |member| read(member, member.notes().flag(suffix)))?;
    agreed(said, |member, _| member.fault(suffix, conflict))
}

/// Key-value pairs of all members together; `conflict` words two values of one key.
pub(super) fn map(
    members: &[Member<'_>],
    read: impl Fn(&Member<'_>) -> Result<BTreeMap<String, String>>,
    conflict: impl Fn(&Member<'_>, &str, &str, &str) -> Option<GroupError>,
) -> Result<BTreeMap<String, String>> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for member in members {
        for (key, value) in read(member)? {
            if let Some(other) = all.get(&key).filter(|other| **other != value)
                && let Some(error) = conflict(member, &key, other, &value)
            {
                return Err(error);
            }
            all.insert(key, value);
        }
    }
    Ok(all)
}

/// What was read, or the fault of the member it was read from.
pub(super) fn read<T>(member: &Member<'_>, value: std::result::Result<T, AnnotationError>) -> Result<T> {
    value.map_err(|error| member.grammar(&error))
}

/// Go's `%v` of a sorted list.
pub(super) fn go_list<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.as_ref().to_owned()).collect();
    format!("[{}]", texts.join(" "))
}

/// Go's `%v` of a set of texts.
pub(super) fn go_set(values: &BTreeSet<&str>) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!("{value}:{{}}")).collect();
    format!("map[{}]", texts.join(" "))
}

/// Go's `%v` of the sorted list of a set.
pub(super) fn go_sorted(values: &BTreeSet<&str>) -> String {
    go_list(values)
}
