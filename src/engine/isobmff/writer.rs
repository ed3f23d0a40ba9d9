//! Boxes and their fields, appended to a growing buffer (ISO/IEC 14496-12 §4.2).

/// Appends boxes; a box's size is filled in when its body has been written.
#[derive(Debug, Default)]
pub struct BoxWriter {
    bytes: Vec<u8>,
}

impl BoxWriter {
    /// An empty writer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// The bytes written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes written so far, which is the offset of the next field.
    #[must_use]
    pub fn position(&self) -> usize {
        self.bytes.len()
    }

    /// Writes a `Box`: size, type, then `body`.
    ///
    /// # Panics
    ///
    /// If the box reaches 4 GiB: media data has a header of its own, and nothing else is large.
    pub fn boxed(&mut self, kind: [u8; 4], body: impl FnOnce(&mut Self)) {
        let start = self.position();
        self.u32(0);
        self.bytes(&kind);
        body(self);
        let size = u32::try_from(self.position() - start).expect("only mdat is large");
        self.patch_u32(start, size);
    }

    /// Writes a `FullBox`: size, type, version, 24 flag bits, then `body`.
    ///
    /// # Panics
    ///
    /// If `flags` needs more than 24 bits, or as [`Self::boxed`].
    pub fn full_box(
        &mut self,
        kind: [u8; 4],
        version: u8,
        flags: u32,
        body: impl FnOnce(&mut Self),
    ) {
        assert!(flags < 1 << 24, "FullBox flags are 24 bits");
        self.boxed(kind, |w| {
            w.u32(u32::from(version) << 24 | flags);
            body(w);
        });
    }

    /// Replaces the 32-bit field at `offset`, which has been written before.
    pub fn patch_u32(&mut self, offset: usize, value: u32) {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// Appends `source` as it is.
    pub fn bytes(&mut self, source: &[u8]) {
        self.bytes.extend_from_slice(source);
    }

    /// Appends `count` zero bytes, for reserved fields.
    pub fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 0);
    }

    /// Appends an 8-bit field.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Appends a big-endian 16-bit field.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a big-endian 32-bit field.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends big-endian 32-bit fields.
    pub fn u32s(&mut self, values: &[u32]) {
        for &value in values {
            self.u32(value);
        }
    }

    /// Appends a big-endian 64-bit field.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_boxes_know_their_sizes() {
        let mut writer = BoxWriter::with_capacity(0);
        writer.boxed(*b"moof", |w| {
            w.full_box(*b"mfhd", 1, 0x02_0304, |w| w.u32(7));
            w.boxed(*b"free", |w| {
                w.u8(1);
                w.zeros(2);
                w.u16(0x0405);
                w.u64(6);
            });
        });
        let mut want = b"\0\0\0\x2dmoof\0\0\0\x10mfhd\x01\x02\x03\x04\0\0\0\x07".to_vec();
        want.extend(b"\0\0\0\x15free\x01\0\0\x04\x05\0\0\0\0\0\0\0\x06");
        assert_eq!(writer.finish(), want);
    }
}
