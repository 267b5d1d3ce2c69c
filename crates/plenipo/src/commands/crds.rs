//! `plenipo crds`, `plenipo schema KIND`.

use std::io::{Write, stdout};

use plenipo_resources::definition;
use serde_json::{Value, json};

use crate::arguments::{CrdsArguments, ManifestFormat};
use crate::exit::{Ending, Exit};

/// Prints the definitions. There is one group so far, so that --group leaves nothing out.
pub(crate) fn run(arguments: &CrdsArguments) -> anyhow::Result<Exit> {
    match arguments.output {
        ManifestFormat::Yaml => stdout().write_all(definition::yaml().as_bytes())?,
        ManifestFormat::Json => {
            let items: Vec<Value> = definition::definitions().collect();
            print(&json!({"apiVersion": "v1", "kind": "List", "items": items}))?;
        }
    }
    Ok(Exit::Success)
}

/// Prints the JSON Schema of one kind.
pub(crate) fn schema(kind: &str) -> anyhow::Result<Exit> {
    let schema = definition::json_schema(kind).ok_or_else(|| {
        let kinds: Vec<&str> = definition::kinds().collect();
        Ending::usage(format!("there is no schema of a kind '{kind}'; there are {}", kinds.join(", ")))
    })?;
    print(&schema)?;
    Ok(Exit::Success)
}

fn print(value: &Value) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    stdout().write_all(&text)?;
    Ok(())
}
