//! What is said to everybody who wants a destination, whenever it is asked for.

use plenipo_resources::Severity;

use super::destinations::Wanted;
use crate::findings::Findings;

/// What everybody is told who wants a destination.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Vec<(Severity, &'static str, String, String)>);

impl Told {
    pub(super) fn note(&mut self, code: &'static str, message: String, fix: impl Into<String>) {
        self.0.push((Severity::Note, code, message, fix.into()));
    }

    pub(super) fn warn(&mut self, code: &'static str, message: String, fix: impl Into<String>) {
        self.0.push((Severity::Warning, code, message, fix.into()));
    }

    pub(super) fn error(&mut self, code: &'static str, message: String, fix: impl Into<String>) {
        self.0.push((Severity::Error, code, message, fix.into()));
    }

    /// Tells somebody.
    pub(super) fn tell(&self, wanted: &Wanted<'_>, findings: &mut Findings) {
        for (severity, code, message, fix) in &self.0 {
            let tell = match severity {
                Severity::Note => Findings::note,
                Severity::Warning => Findings::warn,
                Severity::Error => Findings::error,
            };
            tell(findings, wanted.object, code, wanted.field, message.clone(), fix);
        }
    }
}
