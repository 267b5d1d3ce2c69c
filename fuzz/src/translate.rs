//! Configuration, from its text to the edge.

use std::sync::Arc;

use plenipo_resources::{Origin, Set, SetBuilder, decode, documents};
use plenipo_translate::Options;

/// Whatever the text, there is an edge; and it is the same one when the objects come in another order.
pub fn translate(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut values = Vec::new();
    for document in documents(text) {
        if let Ok(value) = document.value() {
            values.push((document.line, value));
        }
    }
    let (edge, report) = plenipo_translate::translate(&set(values.iter()), &Options::default());
    let (again, second) = plenipo_translate::translate(&set(values.iter().rev()), &Options::default());
    assert_eq!(edge, again, "the order of the objects counts");
    assert_eq!(report, second, "the order of the objects counts for the report");
    for listener in &edge.listeners {
        assert_eq!(edge.listener(listener.bind).map(|found| &found.name), Some(&listener.name));
    }
}

fn set<'a>(values: impl Iterator<Item = &'a (u32, serde_json::Value)>) -> Set {
    let mut set = SetBuilder::default();
    for (line, value) in values {
        let decoded = decode(value.clone(), Origin::File { path: "fuzz.yaml".into(), line: *line });
        decoded.objects.into_iter().for_each(|object| set.add(Arc::new(object)));
        decoded.problems.into_iter().for_each(|problem| set.problem(problem));
    }
    set.build()
}
