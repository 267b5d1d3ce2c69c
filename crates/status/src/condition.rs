//! One condition of an object, and how it is written.

use serde_json::{Value, json};

use crate::reason::{Aspect, Reason};

/// What the apiserver takes of a message (`metav1.Condition`), in bytes, which are never fewer than characters.
const MESSAGE: usize = 32_768;

/// One of `status.conditions` that are ours, but for the time.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Condition {
    /// `type`.
    pub(crate) aspect: Aspect,
    /// `status`; we always know.
    pub(crate) holds: bool,
    /// `reason`.
    pub(crate) reason: Reason,
    /// `message`.
    pub(crate) message: String,
    /// `observedGeneration`: of the object that this is true of.
    pub(crate) generation: i64,
}

impl Condition {
    /// With the message cut to what is allowed.
    pub(crate) fn new(aspect: Aspect, holds: bool, reason: Reason, message: &str, generation: i64) -> Self {
        Self { aspect, holds, reason, message: cut(message, MESSAGE).to_owned(), generation }
    }

    /// As it is written. `since` is when `status` became what it is.
    pub(crate) fn written(&self, since: &str) -> Value {
        json!({
            "type": self.aspect.name(),
            "status": status(self.holds),
            "reason": self.reason.name(),
            "message": self.message,
            "observedGeneration": self.generation,
            "lastTransitionTime": since,
        })
    }

    /// Is this what is written there, whenever it was?
    pub(crate) fn is(&self, written: &Value) -> bool {
        written["type"] == self.aspect.name()
            && written["status"] == status(self.holds)
            && written["reason"] == self.reason.name()
            && written["message"] == *self.message
            && written["observedGeneration"] == self.generation
    }
}

/// `status` of a condition.
pub(crate) fn status(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

/// The beginning of a text, of at most `length` bytes.
pub(crate) fn cut(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}
