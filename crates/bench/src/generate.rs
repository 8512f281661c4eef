//! Generated market data: for the demo, the benchmarks and the tests. A pure function of its seed,
//! with integer arithmetic only, so that it is the same on every machine.

use model::{InstrumentIdx, Price, Quantity, Tick, Timestamp};

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, well distributed.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    /// From a seed.
    const fn new(seed: u64) -> Self {
        Self(seed)
    }
    /// The next number.
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// A number below `bound`, which is positive.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }
}

/// One instrument's walk: steps of whole ticks, with spells of calm and of haste and a pull back to
/// where it began.
#[derive(Debug, Clone)]
struct Walk {
    tick: i64,
    start: i64,
    at: i64,
    haste: u64,
    volume: i64,
}

/// Ticks of several instruments in the order of time.
#[derive(Debug, Clone)]
pub struct Generator {
    random: Random,
    walks: Vec<Walk>,
    now: i64,
    step: i64,
}

impl Generator {
    /// `instruments` walks that start at `start`, one tick somewhere every `step` nanoseconds.
    /// Prices start between 100 and 5,000 with a tick of 0.05.
    pub fn new(seed: u64, instruments: u32, start: Timestamp, step: i64) -> Self {
        let mut random = Random::new(seed);
        let tick = 5_000_000;
        let walks = (0..instruments)
            .map(|_| {
                let start = (2_000 + random.below(98_000) as i64) * tick;
                Walk {
                    tick,
                    start,
                    at: start,
                    haste: 4,
                    volume: 0,
                }
            })
            .collect();
        Self {
            random,
            walks,
            now: start.nanos(),
            step,
        }
    }

    /// Starts a new session at `start`: volumes count from zero, prices go on.
    pub fn open(&mut self, start: Timestamp) {
        self.now = start.nanos();
        for walk in &mut self.walks {
            walk.volume = 0;
        }
    }
}

impl Iterator for Generator {
    type Item = Tick;

    fn next(&mut self) -> Option<Tick> {
        let which = self.random.below(self.walks.len() as u64) as usize;
        let walk = &mut self.walks[which];
        let random = &mut self.random;
        if random.below(200) == 0 {
            walk.haste = 1 + random.below(8);
        }
        let size = 1 + random.below(walk.haste) as i64;
        // One step in sixteen goes back towards the start, so that prices stay plausible for days.
        let up = if random.below(16) == 0 {
            walk.at < walk.start
        } else {
            random.below(2) == 0
        };
        let moved = walk.at + if up { size } else { -size } * walk.tick;
        walk.at = moved.clamp(walk.start / 2, walk.start * 2);
        let quantity = (1 + random.below(50) * random.below(20)) as i64;
        walk.volume += quantity;
        let ts = Timestamp(self.now);
        self.now += self.step;
        Some(Tick {
            ts,
            exchange_ts: ts,
            price: Price::from_raw(walk.at),
            quantity: Quantity::from_raw(quantity * model::fixed::ONE),
            volume: Quantity::from_raw(walk.volume * model::fixed::ONE),
            instrument: InstrumentIdx(which as u32),
            ..Tick::default()
        })
    }
}
