//! Seeded chance: the same rolls for the same seed, on every machine.

/// SplitMix64: every seed gives a stream of its own, adjacent seeds included.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..sides`.
    pub fn roll(&mut self, sides: i64) -> i64 {
        i64::try_from((self.next() >> 11) % sides.unsigned_abs()).expect("below the sides")
    }

    pub fn chance(&mut self, percent: i64) -> bool {
        self.roll(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let sides = i64::try_from(from.len()).expect("few");
        from[usize::try_from(self.roll(sides)).expect("small")]
    }
}
