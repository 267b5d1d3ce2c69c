//! One Ingress' annotations, read one by one.

use std::collections::BTreeSet;
use std::time::Duration;

use plenipo_resources::Object;

use super::super::controller::Controller;
use super::field;
use crate::findings::Findings;

pub(super) const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// One Ingress' annotations; each that is asked for counts as known.
pub(super) struct Annotations<'f, 'a> {
    pub(super) object: &'a Object,
    pub(super) findings: &'f mut Findings,
    /// What holds where nothing is written.
    controller: Controller<'a>,
    known: BTreeSet<&'static str>,
    closed: bool,
}

impl<'f, 'a> Annotations<'f, 'a> {
    pub(super) fn new(object: &'a Object, controller: Controller<'a>, findings: &'f mut Findings) -> Self {
        Self { object, findings, controller, known: BTreeSet::new(), closed: false }
    }

    /// What is written there; none when it is empty or not there.
    pub(super) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.known.insert(name);
        let own = self.written(name);
        own.or_else(|| self.controller.inherited(name).filter(|_| !self.has_own_authentication(name)))
    }

    fn written(&self, name: &str) -> Option<&'a str> {
        let text = self.object.meta.annotations.get([PREFIX, name].concat().as_str())?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// An Ingress that asks a service of its own, or none, takes nothing over from what holds for all.
    fn has_own_authentication(&mut self, name: &str) -> bool {
        const SWITCH: &str = "enable-global-auth";
        self.known.insert(SWITCH);
        let is_off = self.written(SWITCH).is_some_and(|text| text.eq_ignore_ascii_case("false"));
        name.starts_with("auth-") && (is_off || self.written("auth-url").is_some())
    }

    /// `true` or `false`, in the spellings that Go reads.
    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.text(name)? {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            other => {
                self.bad(name, format!("'{other}' is neither true nor false"), "write \"true\" or \"false\"");
                None
            }
        }
    }

    /// A number.
    pub(super) fn number(&mut self, name: &'static str) -> Option<u32> {
        let text = self.text(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.bad(name, format!("'{text}' is not a number"), "write a whole number in quotes");
        }
        number
    }

    /// Seconds, or a number with `ms`, `s`, `m` or `h`.
    pub(super) fn time(&mut self, name: &'static str) -> Option<Duration> {
        let text = self.text(name)?;
        let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(at);
        let number = digits.parse::<u64>().ok();
        let time = number.and_then(|number| match unit {
            "ms" => Some(Duration::from_millis(number)),
            "" | "s" => Some(Duration::from_secs(number)),
            "m" => Some(Duration::from_secs(number.saturating_mul(60))),
            "h" => Some(Duration::from_secs(number.saturating_mul(3600))),
            _ => None,
        });
        if time.is_none() {
            self.bad(name, format!("'{text}' is not a time"), "write seconds, as in \"60\"");
        }
        time
    }

    /// Words between commas.
    pub(super) fn list(&mut self, name: &'static str) -> Option<Vec<&'a str>> {
        let words = self.text(name)?.split(',').map(str::trim).filter(|word| !word.is_empty());
        Some(words.collect())
    }

    /// What is written there cannot be used, and counts as not written.
    pub(super) fn bad(&mut self, name: &str, message: String, fix: &str) {
        self.findings.error(self.object, "bad-annotation", &field(&[PREFIX, name].concat()), message, fix);
    }

    /// What is written there has no effect.
    pub(super) fn unapplied(&mut self, name: &str, message: String, fix: &str) {
        self.findings.warn(self.object, "not-applied", &field(&[PREFIX, name].concat()), message, fix);
    }

    /// Protection is asked for that cannot be had: the Ingress serves nothing.
    pub(super) fn close(&mut self, name: &str, message: &str, fix: &str) {
        self.close_as("protection-not-available", name, message, fix);
    }

    /// What is asked for cannot be done, and nothing else would do: the Ingress serves nothing.
    pub(super) fn close_as(&mut self, code: &'static str, name: &str, message: &str, fix: &str) {
        let text = format!("{message}: its requests are answered 503");
        self.findings.error(self.object, code, &field(&[PREFIX, name].concat()), text, fix);
        self.closed = true;
    }

    /// Does the Ingress serve nothing?
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The annotations that nobody has asked for, without their prefix.
    pub(super) fn unknown(&self) -> Vec<&'a str> {
        let names = self.object.meta.annotations.keys().filter_map(|name| name.strip_prefix(PREFIX));
        names.filter(|name| !self.known.contains(name)).collect()
    }
}
