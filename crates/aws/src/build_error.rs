//! Why a load balancer cannot be built.

use crate::annotations::AnnotationError;

/// Why a load balancer cannot be built: the controller would report an event and leave everything as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct BuildError {
    /// Path of the field that is wrong, in the object that is built.
    pub field: String,
    /// What is wrong, in the words of the controller.
    pub message: String,
}

impl BuildError {
    /// About one field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl From<AnnotationError> for BuildError {
    fn from(error: AnnotationError) -> Self {
        Self::new(format!("metadata.annotations[{}]", error.key), error.to_string())
    }
}
