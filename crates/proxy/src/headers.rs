//! Carries out the header changes that a configuration asks for.

use std::cell::RefCell;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue};
use plenipo_model::{HeaderEdit, HeaderEdits};

use crate::fields::Fields;
use crate::render::{Facts, render_header};

/// What `grpc-status` says, of trailers or of the head of a response without a body.
pub(crate) fn grpc_status(field: Option<&HeaderValue>) -> Option<u16> {
    field?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests;

/// Whose headers are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The request's: `%REQ(…)%` reads the headers under change.
    Request,
    /// The response's: `%RESP(…)%` does.
    Response,
}

/// A number as the value of a field.
pub(crate) fn number(number: u64) -> HeaderValue {
    const DIGITS: &str = "0123456789";
    if let Some(digit) = usize::try_from(number).ok().and_then(|number| DIGITS.get(number..=number)) {
        return HeaderValue::from_static(digit);
    }
    thread_local! {
        /// Mostly it is the same again: a route's time limit.
        static LAST: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static("0"))) };
    }
    LAST.with_borrow_mut(|(last, value)| {
        if *last != number {
            (*last, *value) = (number, written(number));
        }
        value.clone()
    })
}

fn written(number: u64) -> HeaderValue {
    HeaderValue::from_bytes(decimal(number, &mut [0; 20])).expect("digits are visible ASCII")
}

/// The digits of a number, written to the end of `space`.
pub(crate) fn decimal(number: u64, space: &mut [u8; 20]) -> &[u8] {
    let (mut left, mut at) = (number, space.len());
    loop {
        at -= 1;
        space[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            return &space[at..];
        }
    }
}

/// Removes, then adds; each addition sees what those before it did.
///
/// `host` and the fields that frame a message are not touched, whatever the edits say: who changes those changes where
/// the message goes or where it ends.
pub fn apply(edits: &HeaderEdits, headers: &mut Fields, side: Side, facts: &Facts<'_>) {
    for name in edits.remove.iter().filter(|name| !is_protected(name)) {
        remove(name, headers);
    }
    for HeaderEdit { name, value, append } in edits.add.iter().filter(|edit| !is_protected(&edit.name)) {
        let value = match side {
            Side::Request => render_header(value, &Facts { request: Some(&*headers), ..*facts }),
            Side::Response => render_header(value, &Facts { response: Some(&*headers), ..*facts }),
        };
        match value {
            Some(value) if *append => {
                headers.append(name, value);
            }
            Some(value) => {
                headers.insert(name, value);
            }
            None => {}
        }
    }
}

/// Takes a field out that only the gateway may set, also under the names that upstreams may take for it (those that read
/// dashes as underscores do).
pub(crate) fn strip(name: &HeaderName, headers: &mut Fields) {
    headers.remove(name);
    let looks_alike = |other: &HeaderName| {
        let other = other.as_str();
        other.len() == name.as_str().len()
            && other.contains('_')
            && other.bytes().zip(name.as_str().bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
    };
    headers.retain(|other| !looks_alike(other));
}

/// A name that ends in `*` (a token character, though no real field has it) stands for all that begin so.
fn remove(name: &HeaderName, headers: &mut Fields) {
    let Some(prefix) = name.as_str().strip_suffix('*') else {
        headers.remove(name);
        return;
    };
    headers.retain(|name| !name.as_str().starts_with(prefix) || is_protected(name));
}

fn is_protected(name: &HeaderName) -> bool {
    [HOST, CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE].contains(name)
}
