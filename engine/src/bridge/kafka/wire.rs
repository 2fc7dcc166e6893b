//! Kafka's primitive types, as the versions of its requests write them that are spoken here.
//!
//! Pure. Whatever is read may be cut off or wrong: no length is believed before the bytes are there.

/// An answer that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("its answer cannot be read: {0}")]
pub(super) struct Torn(pub(super) &'static str);

const SHORT: Torn = Torn("it ends too early");

/// Reads from the front.
#[derive(Clone, Debug)]
pub(super) struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Reader<'b> {
        Reader { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'b [u8], Torn> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Torn> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn i8(&mut self) -> Result<i8, Torn> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Torn> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Torn> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Torn> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Torn> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// A text; `None`: null.
    pub(super) fn text(&mut self) -> Result<Option<String>, Torn> {
        let Ok(length) = usize::try_from(self.i16()?) else {
            return Ok(None);
        };
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Torn("a text is none"))?;
        Ok(Some(text.to_owned()))
    }

    /// Bytes; `None`: null.
    pub(super) fn bytes(&mut self) -> Result<Option<&'b [u8]>, Torn> {
        match usize::try_from(self.i32()?) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// A list; null is an empty one.
    pub(super) fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Reader<'b>) -> Result<T, Torn>,
    ) -> Result<Vec<T>, Torn> {
        // It grows as it is read: the count alone reserves nothing.
        let mut all = Vec::new();
        for _ in 0..self.i32()? {
            all.push(one(self)?);
        }
        Ok(all)
    }

    /// A number of 64 bits in as few bytes as it needs.
    pub(super) fn varlong(&mut self) -> Result<i64, Torn> {
        let (mut raw, mut shift) = (0_u64, 0_u32);
        loop {
            let [byte] = self.fixed()?;
            if shift > 63 {
                return Err(Torn("a number is too long"));
            }
            raw |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                // The sign is in the lowest bit.
                return Ok((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()));
            }
            shift += 7;
        }
    }

    /// Bytes after such a number; `None`: null.
    pub(super) fn varbytes(&mut self) -> Result<Option<&'b [u8]>, Torn> {
        match usize::try_from(self.varlong()?) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }
}

/// Writes to the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn i8(&mut self, value: i8) -> &mut Writer {
        self.put(&value.to_be_bytes())
    }

    pub(super) fn i16(&mut self, value: i16) -> &mut Writer {
        self.put(&value.to_be_bytes())
    }

    pub(super) fn i32(&mut self, value: i32) -> &mut Writer {
        self.put(&value.to_be_bytes())
    }

    pub(super) fn i64(&mut self, value: i64) -> &mut Writer {
        self.put(&value.to_be_bytes())
    }

    /// A text of at most 32 KiB; what is longer is cut, and nobody will know it.
    pub(super) fn text(&mut self, text: &str) -> &mut Writer {
        let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
        let kept = usize::from(length.unsigned_abs());
        self.i16(length).put(&text.as_bytes()[..kept])
    }

    /// How many items follow.
    pub(super) fn count(&mut self, count: usize) -> &mut Writer {
        self.i32(i32::try_from(count).unwrap_or(i32::MAX))
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Writer {
        self.bytes.extend_from_slice(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_are_read() {
        let read = |bytes: &[u8]| Reader::new(bytes).varlong();
        assert_eq!(read(&[0x00]), Ok(0));
        assert_eq!(read(&[0x01]), Ok(-1));
        assert_eq!(read(&[0x02]), Ok(1));
        assert_eq!(read(&[0xac, 0x02]), Ok(150));
        let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read(&longest), Ok(i64::MIN));
        assert!(read(&[0xff; 11]).is_err());
        assert_eq!(read(&[0x80]), Err(SHORT));
    }

    #[test]
    fn a_length_that_lies_is_found_out() {
        let mut writer = Writer::default();
        writer.count(1_000_000_000).text("a");
        let mut reader = Reader::new(&writer.bytes);
        assert_eq!(reader.list(Reader::text), Err(SHORT));
        assert_eq!(Reader::new(&[0x7f, 0xff, 0xff, 0xff]).bytes(), Err(SHORT));
        assert_eq!(Reader::new(&[0xff; 4]).bytes(), Ok(None));
    }
}
