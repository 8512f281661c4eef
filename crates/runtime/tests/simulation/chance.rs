//! Chance with a seed: SplitMix64, S. Vigna, <https://prng.di.unimi.it/splitmix64.c>.

#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// A stream of its own for each part, so that one part's draws do not move another's.
    pub fn of(seed: u64, part: &str) -> Self {
        let mut state = seed ^ 0x5851_F42D_4C95_7F2D;
        for byte in part.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        let mut chance = Self(state);
        chance.next();
        chance
    }
    pub const fn from_state(state: u64) -> Self {
        Self(state)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
    pub fn within(&mut self, from: i64, to: i64) -> i64 {
        from + self.below((to - from + 1) as u64) as i64
    }
    /// True once in `n` times; never for zero.
    pub fn one_in(&mut self, n: u64) -> bool {
        let drawn = self.next();
        n > 0 && drawn.is_multiple_of(n)
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
