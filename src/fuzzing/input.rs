/// What is left of an input.
pub(super) struct Input<'d>(pub(super) &'d [u8]);

impl<'d> Input<'d> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// The next byte, 0 at the end.
    pub(super) fn number(&mut self) -> u8 {
        self.byte().unwrap_or_default()
    }

    /// Four bytes, 0 at the end.
    pub(super) fn wide(&mut self) -> u32 {
        u32::from_be_bytes([(); 4].map(|()| self.number()))
    }

    /// A small number for a byte below 128, otherwise one near the end of all sequences.
    pub(super) fn sequence(&mut self) -> u32 {
        match self.number() {
            small @ 0..128 => small.into(),
            large => u32::MAX - u32::from(255 - large),
        }
    }

    /// So many bytes as the next says.
    pub(super) fn bytes(&mut self) -> &'d [u8] {
        let length = usize::from(self.number()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}
