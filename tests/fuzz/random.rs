//! A seeded generator and the mutations it makes.

/// `count`, or as many times more as `TEST_ROUNDS` asks for.
pub fn rounds(count: usize) -> usize {
    count * std::env::var("TEST_ROUNDS").map_or(1, |times| times.parse::<usize>().unwrap())
}

/// Marsaglia's xorshift of 64 bits.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// `original` with a few bytes changed, removed, repeated or cut off.
    pub fn mutate(&mut self, original: &[u8]) -> Vec<u8> {
        let mut bytes = original.to_vec();
        for _ in 0..=self.below(12) {
            let at = self.below(bytes.len());
            let count = self.below(400).min(bytes.len() - at);
            match self.below(16) {
                0 => drop(bytes.drain(at..at + count)),
                1 => {
                    let copy = bytes[at..at + count].to_vec();
                    bytes.splice(at..at, copy);
                }
                2 => bytes[at..at + count].fill(0xff),
                3 => bytes[at..at + count].fill(0),
                4 if self.below(4) == 0 => bytes.truncate(at),
                _ if at < bytes.len() => bytes[at] = self.next().to_le_bytes()[0],
                _ => {}
            }
        }
        bytes
    }
}
