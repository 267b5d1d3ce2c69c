//! The fields that a block can refer to by a number (RFC 7541 §2.3): first those that everybody knows, then the latest
//! that the client sent.

use std::collections::VecDeque;
use std::sync::LazyLock;

use bytes::Bytes;

use super::field::{Field, Name};

/// Bytes, as RFC 7541 §4.1 counts them, of the fields that are remembered: what clients may ask for who were told of no other
/// limit (§6.5.2 of RFC 9113).
pub(super) const LARGEST: usize = 4096;
/// What a field counts beside its name and its value.
pub(super) const OVERHEAD: usize = 32;

/// The fields of appendix A, from number 1 on.
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The same as fields, each with its size.
static KNOWN: LazyLock<Vec<(Field, usize)>> = LazyLock::new(|| {
    let known = STATIC.iter().map(|(name, value)| {
        let field = Field::new(Name::new(name.as_bytes()), Bytes::from_static(value.as_bytes()));
        (field, name.len() + value.len() + OVERHEAD)
    });
    known.collect()
});

/// The fields that a client can refer to.
#[derive(Debug)]
pub(super) struct Table {
    /// Those it sent, each with its size and the length of its name, the latest first.
    sent: VecDeque<Entry>,
    size: usize,
    most: usize,
}

#[derive(Debug)]
struct Entry {
    field: Field,
    size: usize,
    name: usize,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { sent: VecDeque::new(), size: 0, most: LARGEST }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The field with this number, and its size.
    pub(super) fn field(&self, number: usize) -> Option<(&Field, usize)> {
        let at = number.checked_sub(1)?;
        match at.checked_sub(STATIC.len()) {
            None => KNOWN.get(at).map(|(field, size)| (field, *size)),
            Some(at) => self.sent.get(at).map(|entry| (&entry.field, entry.size)),
        }
    }

    /// The name of the field with this number, and its length.
    pub(super) fn name(&self, number: usize) -> Option<(Name, usize)> {
        let at = number.checked_sub(1)?;
        match at.checked_sub(STATIC.len()) {
            None => KNOWN.get(at).map(|(field, _)| (field.name(), STATIC[at].0.len())),
            Some(at) => self.sent.get(at).map(|entry| (entry.field.name(), entry.name)),
        }
    }

    /// Remembers a field as the latest, and forgets as many of the oldest as it needs room for (§4.4). One that is larger
    /// than the table empties it.
    pub(super) fn insert(&mut self, field: &Field, name: usize, size: usize) {
        self.shrink(self.most.saturating_sub(size));
        if size <= self.most {
            self.sent.push_front(Entry { field: field.clone(), size, name });
            self.size += size;
        }
    }

    /// Changes how much is remembered (§6.3).
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most;
        self.shrink(most);
    }

    fn shrink(&mut self, to: usize) {
        while self.size > to {
            let Some(oldest) = self.sent.pop_back() else { return };
            self.size -= oldest.size;
        }
    }
}
