//! Fields that may be written in several ways, as JSON Schema. Several types at once are no structural schema: what is
//! made of these for a cluster leaves the type open ([`structural`](super::structural)).

use schemars::{Schema, SchemaGenerator, json_schema};

/// A list of texts, or one text.
pub(crate) fn one_or_many(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["array", "string"], "items": {"type": "string"}})
}

/// What a connection to a Listener is made of.
pub(crate) fn layers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "enum": ["HTTP", "PROXY", "TLS", "TCP", "UDP"]},
    })
}

/// A whole number, or one in a text.
pub(crate) fn int_or_text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["integer", "string"]})
}

/// The name of a TLSContext, or whether TLS is spoken.
pub(crate) fn context_or_bool(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "boolean", "null"]})
}

/// A name, or `{name, namespace}`.
pub(crate) fn text_or_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["string", "object"],
        "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}},
    })
}

/// A map of anything.
pub(crate) fn free_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

/// A map whose values are texts, or booleans and numbers that are taken as texts.
pub(crate) fn map_of_scalars(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"type": ["string", "boolean", "number", "null"]}})
}

/// Headers to add: `{value, append}`, or the value alone.
pub(crate) fn added_headers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {
            "type": ["object", "string", "boolean", "number", "null"],
            "properties": {
                "value": {"type": "string", "description": "The value; may hold operators."},
                "append": {"type": "boolean", "description": "Keep what is there already (true)."},
            },
        },
    })
}
