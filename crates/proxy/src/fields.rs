//! The fields of a message, in their order.
//!
//! A head has a dozen fields and is asked for a few dozen names. A table of them (`http::HeaderMap`) is made, changed and
//! thrown away for every message, and costs more than looking at each field: names compare by a byte where they are
//! registered ones, by their length where not.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields of a message, in their order. Names are lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(HeaderName, HeaderValue)>);

/// What names a field: a [`HeaderName`], or a text in whatever case.
pub trait Named {
    /// Is it the name of this field?
    fn is(&self, name: &HeaderName) -> bool;
}

impl Named for HeaderName {
    fn is(&self, name: &HeaderName) -> bool {
        self == name
    }
}

impl Named for str {
    fn is(&self, name: &HeaderName) -> bool {
        self.len() == name.as_str().len() && self.eq_ignore_ascii_case(name.as_str())
    }
}

impl Named for String {
    fn is(&self, name: &HeaderName) -> bool {
        self.as_str().is(name)
    }
}

impl<N: Named + ?Sized> Named for &N {
    fn is(&self, name: &HeaderName) -> bool {
        (**self).is(name)
    }
}

/// What a new field can be named by.
pub trait IntoName {
    /// The name.
    fn into_name(self) -> HeaderName;
}

impl IntoName for HeaderName {
    fn into_name(self) -> HeaderName {
        self
    }
}

impl IntoName for &HeaderName {
    fn into_name(self) -> HeaderName {
        self.clone()
    }
}

/// To be of lower case.
impl IntoName for &'static str {
    fn into_name(self) -> HeaderName {
        HeaderName::from_static(self)
    }
}

/// All fields of one name.
#[derive(Debug, Clone, Copy)]
pub struct All<'a> {
    /// Begins with the first of them.
    rest: &'a [(HeaderName, HeaderValue)],
}

impl<'a> All<'a> {
    /// Their values, in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a HeaderValue> + use<'a> {
        let rest = self.rest;
        let name = rest.first().map(|(name, _)| name);
        rest.iter().filter(move |(other, _)| Some(other) == name).map(|(_, value)| value)
    }
}

impl Fields {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// None, with room for so many.
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn place(&self, name: &impl Named) -> Option<usize> {
        self.0.iter().position(|(other, _)| name.is(other))
    }

    /// The value of the first field of this name.
    pub fn get(&self, name: impl Named) -> Option<&HeaderValue> {
        self.place(&name).map(|at| &self.0[at].1)
    }

    /// As [`Fields::get`], to be changed.
    pub fn get_mut(&mut self, name: impl Named) -> Option<&mut HeaderValue> {
        self.place(&name).map(|at| &mut self.0[at].1)
    }

    /// All fields of this name.
    pub fn get_all(&self, name: impl Named) -> All<'_> {
        All { rest: self.place(&name).map_or(&[], |at| &self.0[at..]) }
    }

    /// Is there a field of this name?
    pub fn contains_key(&self, name: impl Named) -> bool {
        self.place(&name).is_some()
    }

    /// Sets the only field of this name; the value of the first that there was.
    pub fn insert(&mut self, name: impl IntoName, value: HeaderValue) -> Option<HeaderValue> {
        let name = name.into_name();
        let Some(at) = self.place(&name) else {
            self.0.push((name, value));
            return None;
        };
        let before = std::mem::replace(&mut self.0[at].1, value);
        self.remove_from(at + 1, &name);
        Some(before)
    }

    /// Adds a field behind all others.
    pub fn append(&mut self, name: impl IntoName, value: HeaderValue) {
        self.0.push((name.into_name(), value));
    }

    /// Takes all fields of this name away; the value of the first.
    pub fn remove(&mut self, name: impl Named) -> Option<HeaderValue> {
        let at = self.place(&name)?;
        let (_, value) = self.0.remove(at);
        self.remove_from(at, &name);
        Some(value)
    }

    /// Takes the fields away whose names this is true of.
    pub fn take(&mut self, mut wanted: impl FnMut(&HeaderName) -> bool) -> Self {
        self.0.extract_if(.., |(name, _)| wanted(name)).collect()
    }

    fn remove_from(&mut self, at: usize, name: &impl Named) {
        if self.0[at..].iter().any(|(other, _)| name.is(other)) {
            self.0.retain({
                let mut place = 0;
                move |(other, _)| {
                    place += 1;
                    place <= at || !name.is(other)
                }
            });
        }
    }

    /// Keeps only fields of whose names this is true.
    pub fn retain(&mut self, mut wanted: impl FnMut(&HeaderName) -> bool) {
        self.0.retain(|(name, _)| wanted(name));
    }

    /// Sets other fields, instead of all that have their names.
    pub fn replace(&mut self, others: Self) {
        self.0.retain(|(name, _)| !others.contains_key(name));
        self.0.extend(others.0);
    }

    /// The name of each field: one that there are several of comes as often.
    pub fn keys(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// All fields.
    pub fn iter(&self) -> Iter<'_> {
        self.into_iter()
    }
}

/// The fields one after the other, by reference.
pub type Iter<'a> = std::iter::Map<
    std::slice::Iter<'a, (HeaderName, HeaderValue)>,
    fn(&'a (HeaderName, HeaderValue)) -> Each<'a>,
>;
type Each<'a> = (&'a HeaderName, &'a HeaderValue);

impl<'a> IntoIterator for &'a Fields {
    type Item = Each<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Self {
        let mut fields = Self::with_capacity(map.len());
        for (name, value) in map {
            // Of several of one name only the first has it.
            let name = name.or_else(|| fields.0.last().map(|(name, _)| name.clone()));
            fields.0.extend(name.map(|name| (name, value)));
        }
        fields
    }
}

impl From<Fields> for HeaderMap {
    fn from(fields: Fields) -> Self {
        fields.0.into_iter().collect()
    }
}

impl<N: Named> std::ops::Index<N> for Fields {
    type Output = HeaderValue;

    /// # Panics
    /// When there is no such field.
    fn index(&self, name: N) -> &HeaderValue {
        self.get(name).expect("a field of this name")
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, HOST, VIA};
    use proptest::prelude::*;

    use super::*;

    /// What can be done to fields; the places are those of names and values.
    #[derive(Debug, Clone)]
    enum Change {
        Insert(usize, usize),
        Append(usize, usize),
        Remove(usize),
        Replace(Vec<(usize, usize)>),
    }

    fn name(at: usize) -> HeaderName {
        [HOST, VIA, ACCEPT, HeaderName::from_static("x-a"), HeaderName::from_static("x-bc")][at].clone()
    }

    fn value(at: usize) -> HeaderValue {
        HeaderValue::from(at)
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let change = prop_oneof![
            (0..5usize, 0..9usize).prop_map(|(name, value)| Change::Insert(name, value)),
            (0..5usize, 0..9usize).prop_map(|(name, value)| Change::Append(name, value)),
            (0..5usize).prop_map(Change::Remove),
            proptest::collection::vec((0..5usize, 0..9usize), 0..4).prop_map(Change::Replace),
        ];
        proptest::collection::vec(change, 0..20)
    }

    proptest! {
        /// The table is the oracle: of every name the same values, in the same order.
        #[test]
        fn fields_are_what_a_table_of_them_would_be(changes in changes()) {
            let (mut fields, mut map) = (Fields::new(), HeaderMap::new());
            for change in changes {
                match change {
                    Change::Insert(at, new) => {
                        prop_assert_eq!(fields.insert(name(at), value(new)), map.insert(name(at), value(new)));
                    }
                    Change::Append(at, new) => {
                        fields.append(name(at), value(new));
                        map.append(name(at), value(new));
                    }
                    Change::Remove(at) => prop_assert_eq!(fields.remove(name(at)), map.remove(name(at))),
                    Change::Replace(new) => {
                        let new: Vec<_> = new.into_iter().map(|(at, new)| (name(at), value(new))).collect();
                        fields.replace(new.iter().cloned().collect());
                        map.extend(new.into_iter().collect::<HeaderMap>());
                    }
                }
            }
            prop_assert_eq!(fields.len(), map.len());
            for name in (0..5).map(name) {
                let values: Vec<_> = map.get_all(&name).iter().collect();
                prop_assert_eq!(fields.get_all(&name).iter().collect::<Vec<_>>(), values.clone());
                prop_assert_eq!(fields.get(&name), values.first().copied());
                prop_assert_eq!(fields.contains_key(name.as_str().to_uppercase()), !values.is_empty());
            }
            prop_assert_eq!(HeaderMap::from(fields.clone()), map.clone());
            prop_assert_eq!(HeaderMap::from(Fields::from(map.clone())), map);
        }
    }
}
