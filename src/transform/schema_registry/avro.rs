//! Records in Avro's binary encoding (specification 1.12), written as JSON.
//!
//! What a record claims to hold takes no memory before it is there: an array of 2^62 nulls is eight
//! bytes long. Values stand as in a table: branches of unions without the name of their type, times
//! as the numbers they are, `bytes` and `fixed` in base64, decimals as numbers with all digits.

use std::io::Write as _;

use uuid::Uuid;

use super::plan::{Node, Place, Plan};
use crate::limits;

/// Why a record cannot be read with its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the record ends early")]
    Short,
    #[error("bytes are left over behind the record: it was written with another schema")]
    Left,
    #[error("a value is not what its type allows")]
    Value,
    #[error("a string is not UTF-8")]
    Utf8,
    #[error("values lie more than {} levels deep", limits::AVRO_DEPTH_MAX)]
    TooDeep,
    #[error("the document is larger than {} bytes", limits::SCHEMA_DOCUMENT_BYTES_MAX)]
    TooLarge,
}

type Done = Result<(), Unfit>;

/// The JSON document of a record.
pub(super) fn to_json(plan: &Plan, record: &[u8]) -> Result<Vec<u8>, Unfit> {
    let out = Vec::with_capacity(record.len().saturating_mul(2));
    let mut reader = Reader { plan, rest: record, out };
    reader.value(plan.root, 0)?;
    if reader.rest.is_empty() { Ok(reader.out) } else { Err(Unfit::Left) }
}

struct Reader<'a> {
    plan: &'a Plan,
    rest: &'a [u8],
    out: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, place: Place, depth: usize) -> Done {
        if depth > limits::AVRO_DEPTH_MAX {
            return Err(Unfit::TooDeep);
        }
        if self.out.len() > limits::SCHEMA_DOCUMENT_BYTES_MAX {
            return Err(Unfit::TooLarge);
        }
        let plan = self.plan;
        match &plan.nodes[place] {
            Node::Null => self.text("null"),
            Node::Boolean => match self.chunk::<1>()? {
                [0] => self.text("false"),
                [1] => self.text("true"),
                _ => return Err(Unfit::Value),
            },
            Node::Int => {
                let number = i32::try_from(self.long()?).map_err(|_| Unfit::Value)?;
                self.print(number);
            }
            Node::Long => {
                let number = self.long()?;
                self.print(number);
            }
            Node::Float => {
                let number = f32::from_le_bytes(self.chunk()?);
                self.float(number, number.into());
            }
            Node::Double => {
                let number = f64::from_le_bytes(self.chunk()?);
                self.float(number, number);
            }
            Node::Bytes => {
                let bytes = self.bytes()?;
                self.base64(bytes);
            }
            Node::String => self.string()?,
            Node::Array(items) => self.array(*items, depth)?,
            Node::Map(values) => self.map(*values, depth)?,
            Node::Union(branches) => {
                let branch = *self.pick(branches)?;
                self.value(branch, depth + 1)?;
            }
            Node::Record(fields) => self.record(fields, depth)?,
            Node::Enum(symbols) => {
                let symbol = self.pick(symbols)?;
                self.out.extend_from_slice(symbol);
            }
            Node::Fixed(size) => {
                let bytes = self.slice(*size)?;
                self.base64(bytes);
            }
            Node::DecimalBytes(scale) => {
                let bytes = self.bytes()?;
                decimal(&mut self.out, bytes, *scale)?;
            }
            Node::DecimalFixed(size, scale) => {
                let bytes = self.slice(*size)?;
                decimal(&mut self.out, bytes, *scale)?;
            }
            Node::UuidFixed => {
                let uuid = Uuid::from_bytes(self.chunk()?);
                self.print(format_args!("\"{uuid}\""));
            }
            Node::Duration => {
                let [months, days, ms] =
                    [self.chunk()?, self.chunk()?, self.chunk()?].map(u32::from_le_bytes);
                self.print(format_args!(
                    "{{\"months\":{months},\"days\":{days},\"milliseconds\":{ms}}}"
                ));
            }
        }
        Ok(())
    }

    fn record(&mut self, fields: &[(Vec<u8>, Place)], depth: usize) -> Done {
        self.out.push(b'{');
        for (index, (name, place)) in fields.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(name);
            self.value(*place, depth + 1)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn array(&mut self, items: Place, depth: usize) -> Done {
        self.out.push(b'[');
        self.blocks(|reader| reader.value(items, depth + 1))?;
        self.out.push(b']');
        Ok(())
    }

    fn map(&mut self, values: Place, depth: usize) -> Done {
        self.out.push(b'{');
        self.blocks(|reader| {
            reader.string()?;
            reader.out.push(b':');
            reader.value(values, depth + 1)
        })?;
        self.out.push(b'}');
        Ok(())
    }

    /// The items of an array or a map, which come in counted blocks up to an empty one.
    fn blocks(&mut self, mut each: impl FnMut(&mut Self) -> Done) -> Done {
        let mut first = true;
        loop {
            let mut count = self.long()?;
            if count < 0 {
                // Behind a negative count stands the size of the block, for those who skip it.
                count = count.checked_neg().ok_or(Unfit::Value)?;
                self.long()?;
            }
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                if !std::mem::take(&mut first) {
                    self.out.push(b',');
                }
                each(self)?;
            }
        }
    }

    /// The one that an index in the data names.
    fn pick<'t, T>(&mut self, of: &'t [T]) -> Result<&'t T, Unfit> {
        let index = usize::try_from(self.long()?).map_err(|_| Unfit::Value)?;
        of.get(index).ok_or(Unfit::Value)
    }

    fn string(&mut self) -> Done {
        let text = simdutf8::basic::from_utf8(self.bytes()?).map_err(|_| Unfit::Utf8)?;
        serde_json::to_writer(&mut self.out, text).expect("a text is written to memory");
        Ok(())
    }

    /// A zigzag number of up to 64 bits.
    fn long(&mut self) -> Result<i64, Unfit> {
        let mut value: u64 = 0;
        for index in 0..10 {
            let [byte] = self.chunk()?;
            if index == 9 && byte > 1 {
                return Err(Unfit::Value);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Unfit::Value)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Unfit> {
        let length = usize::try_from(self.long()?).map_err(|_| Unfit::Value)?;
        self.slice(length)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], Unfit> {
        let (slice, rest) = self.rest.split_at_checked(length).ok_or(Unfit::Short)?;
        self.rest = rest;
        Ok(slice)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Unfit> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(Unfit::Short)?;
        self.rest = rest;
        Ok(*chunk)
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn print(&mut self, value: impl std::fmt::Display) {
        write!(self.out, "{value}").expect("a text is written to memory");
    }

    /// A number in its own precision; what JSON has no word for as a string.
    fn float(&mut self, number: impl serde::Serialize, wide: f64) {
        if wide.is_finite() {
            serde_json::to_writer(&mut self.out, &number).expect("it is written to memory");
        } else if wide.is_nan() {
            self.text("\"NaN\"");
        } else {
            self.text(if wide > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
        }
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        base64_simd::STANDARD.encode_append(bytes, &mut self.out);
        self.out.push(b'"');
    }
}

/// Writes a number in two's complement, big endian, with the point before its last `scale` digits.
fn decimal(out: &mut Vec<u8>, bytes: &[u8], scale: u32) -> Done {
    // Each byte is at least two digits; the work grows with the square.
    if bytes.len() > limits::SCHEMA_DECIMAL_DIGITS_MAX as usize / 2 {
        return Err(Unfit::Value);
    }
    let is_negative = bytes.first().is_some_and(|&first| first >= 0x80);
    let mut magnitude = bytes.to_vec();
    if is_negative {
        magnitude.iter_mut().for_each(|byte| *byte = !*byte);
        for byte in magnitude.iter_mut().rev() {
            let (sum, carry) = byte.overflowing_add(1);
            *byte = sum;
            if !carry {
                break;
            }
        }
    }
    // Digits from the last to the first, at least one before the point.
    let mut digits = Vec::new();
    while magnitude.iter().any(|&byte| byte != 0) || digits.len() <= scale as usize {
        let mut rest: u32 = 0;
        for byte in &mut magnitude {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 10) as u8;
            rest = value % 10;
        }
        digits.push(b'0' + rest as u8);
    }
    if is_negative {
        out.push(b'-');
    }
    let (fraction, whole) = digits.split_at(scale as usize);
    out.extend(whole.iter().rev());
    if scale > 0 {
        out.push(b'.');
        out.extend(fraction.iter().rev());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_all_digits() {
        for (bytes, scale, expected) in [
            (&[][..], 0, "0"),
            (&[], 2, "0.00"),
            (&[5], 0, "5"),
            (&[5], 3, "0.005"),
            (&[0x30, 0x39], 2, "123.45"),
            (&[0xff], 1, "-0.1"),
            (&[0x80], 0, "-128"),
            (&[0xff, 0x00], 0, "-256"),
            (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 4, "922337203685477.5807"),
            (&[0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0, "4722366482869645213696"),
        ] {
            let mut out = Vec::new();
            decimal(&mut out, bytes, scale).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        assert_eq!(decimal(&mut Vec::new(), &[1; 1000], 0), Err(Unfit::Value));
    }
}
