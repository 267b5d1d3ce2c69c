//! A block of fields, read.

use bytes::Bytes;
use octets::Octets;

use super::field::{Field, Name};
use super::table::{LARGEST, OVERHEAD, Table};

/// The block breaks the rules of compression: nothing that comes after it can be understood (RFC 7541 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http2) struct Compression;

/// Reads the blocks of one connection.
#[derive(Debug)]
pub(in crate::http2) struct Decoder {
    table: Table,
}

impl Decoder {
    pub(in crate::http2) fn new() -> Self {
        Self { table: Table::new() }
    }

    /// Bytes of the fields that are remembered.
    #[cfg(test)]
    pub(super) fn table_size(&self) -> usize {
        self.table.size()
    }

    /// Reads a block, and hands each field and its size (RFC 7541 §4.1) to `each`.
    ///
    /// # Errors
    /// When it breaks the rules.
    pub(in crate::http2) fn decode(
        &mut self,
        mut block: &[u8],
        mut each: impl FnMut(&Field, usize),
    ) -> Result<(), Compression> {
        let mut begun = false;
        while let Some(&first) = block.first() {
            match first {
                // §6.1
                0x80.. => {
                    let number = integer(&mut block, 7)?;
                    let (field, size) = self.table.field(number).ok_or(Compression)?;
                    each(field, size);
                }
                // §6.2.1
                0x40.. => {
                    let (field, name, size) = self.literal(&mut block, 6)?;
                    each(&field, size);
                    self.table.insert(&field, name, size);
                }
                // §6.3: only before all fields (§4.2).
                0x20.. => {
                    let most = integer(&mut block, 5)?;
                    if begun || most > LARGEST {
                        return Err(Compression);
                    }
                    self.table.resize(most);
                    continue;
                }
                // §6.2.2, §6.2.3
                _ => {
                    let (field, _, size) = self.literal(&mut block, 4)?;
                    each(&field, size);
                }
            }
            begun = true;
        }
        Ok(())
    }

    /// A field that is written out, but for its name perhaps; the length of its name, and its size.
    fn literal(&self, block: &mut &[u8], bits: u32) -> Result<(Field, usize, usize), Compression> {
        let (name, length) = match integer(block, bits)? {
            0 => {
                let name = string(block)?;
                (Name::new(&name), name.len())
            }
            number => self.table.name(number).ok_or(Compression)?,
        };
        let value = string(block)?;
        let size = length + value.len() + OVERHEAD;
        Ok((Field::new(name, value), length, size))
    }
}

/// §5.1, of as many bits in the first byte. Nothing is as large as 2^28.
fn integer(block: &mut &[u8], bits: u32) -> Result<usize, Compression> {
    let most = (1usize << bits) - 1;
    let (first, mut rest) = block.split_first().ok_or(Compression)?;
    let mut value = usize::from(*first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (next, behind) = rest.split_first().ok_or(Compression)?;
            rest = behind;
            if shift > 21 {
                return Err(Compression);
            }
            value += usize::from(next & 0x7F) << shift;
            shift += 7;
            if next & 0x80 == 0 {
                break;
            }
        }
    }
    *block = rest;
    Ok(value)
}

/// §5.2
fn string(block: &mut &[u8]) -> Result<Bytes, Compression> {
    let is_huffman = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or(Compression)?;
    *block = rest;
    match is_huffman {
        true => Octets::with_slice(text).get_huffman_decoded().map(Bytes::from).map_err(|_| Compression),
        false => Ok(Bytes::copy_from_slice(text)),
    }
}
