//! What is wrong, in the words of the objects.

use plenipo_resources::{Code, ObjectId, Problem, Severity};

use super::Builder;

impl Builder<'_> {
    /// Something does not work here.
    pub(super) fn refuse(
        &mut self,
        code: &'static str,
        object: Option<&ObjectId>,
        message: String,
        fix: &str,
    ) {
        self.problem(Severity::Error, code, object, message, fix);
    }

    /// Something works otherwise than its author probably thinks.
    pub(super) fn warn(&mut self, code: &'static str, object: Option<&ObjectId>, message: String, fix: &str) {
        self.problem(Severity::Warning, code, object, message, fix);
    }

    fn problem(
        &mut self,
        severity: Severity,
        code: &'static str,
        object: Option<&ObjectId>,
        message: String,
        fix: &str,
    ) {
        let found = object.and_then(|id| self.set.get(&id.kind, &id.namespace, &id.name));
        self.problems.push(Problem {
            severity,
            code: Code(code),
            object: object.cloned(),
            origin: found.map(|object| object.origin.clone()),
            field: String::new(),
            message,
            fix: fix.to_owned(),
        });
    }
}
