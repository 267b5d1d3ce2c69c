//! Headers to add.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// A header to add: `{value, append}`, or just the value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AddedHeader {
    /// With options; `append` defaults to true.
    Full {
        /// May hold substitutions, `%REQ(name)%`.
        value: String,
        /// Keep what is there already.
        append: Option<bool>,
    },
    /// The value alone.
    Value(String),
}

// Not `serde(untagged)`: that one says "did not match any variant" and nothing else.
impl<'de> Deserialize<'de> for AddedHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Header;
        impl<'de> Visitor<'de> for Header {
            type Value = AddedHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a header value or {value, append}")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<AddedHeader, E> {
                Ok(AddedHeader::Value(value.to_owned()))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<AddedHeader, E> {
                Ok(AddedHeader::Value(value.to_string()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<AddedHeader, E> {
                Ok(AddedHeader::Value(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<AddedHeader, E> {
                Ok(AddedHeader::Value(value.to_string()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<AddedHeader, E> {
                Ok(AddedHeader::Value(value.to_string()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AddedHeader, A::Error> {
                let (mut value, mut append) = (String::new(), None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "value" => value = map.next_value()?,
                        "append" => append = map.next_value()?,
                        _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
                    }
                }
                Ok(AddedHeader::Full { value, append })
            }
        }
        deserializer.deserialize_any(Header)
    }
}
