//! Why a group cannot be built.

use plenipo_resources::{Object, ObjectId};

use super::group::Member;
use crate::annotations::{AnnotationError, Annotations};

/// Why a group of Ingresses cannot be built. Its text is the controller's own.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct GroupError {
    /// The Ingress without which the group could be built; none when it is no Ingress' fault.
    pub member: Option<Box<ObjectId>>,
    /// The object that is wrong: the Ingress, a Service, an IngressClassParams.
    pub object: Option<Box<ObjectId>>,
    /// Path of the field in it.
    pub field: String,
    /// The controller's text.
    pub message: String,
}

pub(super) type Result<T> = std::result::Result<T, GroupError>;

impl GroupError {
    /// Nobody's fault but the account's.
    pub(super) fn of_account(message: impl Into<String>) -> Self {
        Self { member: None, object: None, field: String::new(), message: message.into() }
    }

    /// With words in front: `start: message`.
    pub(super) fn within(mut self, start: &str) -> Self {
        self.message = format!("{start}: {}", self.message);
        self
    }

    /// The same fault seen from the Ingress that leads to it.
    pub(super) fn through(mut self, member: &Member<'_>) -> Self {
        self.member = Some(Box::new(member.object.id.clone()));
        self
    }
}

impl Member<'_> {
    /// An annotation of this Ingress is wrong.
    pub(super) fn fault(&self, suffix: &str, message: impl Into<String>) -> GroupError {
        self.fault_at(self.notes().field(suffix), message)
    }

    /// A field of this Ingress is wrong.
    pub(super) fn fault_at(&self, field: impl Into<String>, message: impl Into<String>) -> GroupError {
        let id = Box::new(self.object.id.clone());
        GroupError {
            member: Some(id.clone()),
            object: Some(id),
            field: field.into(),
            message: message.into(),
        }
    }

    /// A field of the parameters of its class is wrong.
    pub(super) fn class_fault(&self, field: &str, message: impl Into<String>) -> GroupError {
        let object = self.params.map(|params| Box::new(params.object.id.clone()));
        GroupError { object, ..self.fault_at(field, message) }
    }

    /// A value of this Ingress does not follow its grammar.
    pub(super) fn grammar(&self, error: &AnnotationError) -> GroupError {
        self.fault_at(format!("metadata.annotations[{}]", error.key), words(error))
    }
}

/// An annotation of an object behind an Ingress, or of the Ingress itself where the object has none, is wrong.
pub(super) fn of_backend(member: &Member<'_>, object: &Object, suffix: &str, message: String) -> GroupError {
    let field = member.notes().field(suffix);
    let own = Annotations::ingress(&object.meta.annotations).text(suffix).is_some();
    let object = if own { object } else { member.object };
    GroupError { object: Some(Box::new(object.id.clone())), ..member.fault_at(field, message) }
}

/// The controller's words: the reason of Go's parsers behind it, where they give one.
pub(super) fn words(error: &AnnotationError) -> String {
    let raw = &error.raw;
    let digits = raw.strip_prefix(['-', '+']).unwrap_or(raw);
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let reason = match error.kind {
        "int32" | "int64" if number => format!(": strconv.ParseInt: parsing {raw:?}: value out of range"),
        "int32" | "int64" => format!(": strconv.ParseInt: parsing {raw:?}: invalid syntax"),
        "bool" => format!(": strconv.ParseBool: parsing {raw:?}: invalid syntax"),
        "json" => match serde_json::from_str::<serde_json::Value>(raw) {
            Err(error) => format!(": {}", json_reason(&error)),
            Ok(_) => String::new(),
        },
        _ => String::new(),
    };
    format!("{error}{reason}")
}

/// Why a text is not JSON.
pub(super) fn json_reason(error: &serde_json::Error) -> String {
    if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() }
}
