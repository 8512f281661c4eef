//! What the background believes a thing to be worth: a common factor and one of each instrument, with
//! quiet and busy times. Floats, as only the places where orders are put are drawn from it; and only
//! operations that every machine rounds alike.

use super::rng::Rng;

/// How lively each regime is; a market changes to a neighbour.
const REGIMES: [f64; 4] = [0.5, 1.0, 1.8, 3.2];
/// A regime lasts about so many seconds.
const REGIME_SECONDS: u64 = 90;
/// Standard deviation of the common part, and of each own part, over one second.
const SIGMA: f64 = 0.000_11;
/// Pull back to the first price, per second: half the way in about eight hours, so that prices stay
/// in a plausible range for ever.
const PULL: f64 = 0.000_024;
/// What a surprise adds to the variance, and what stays of it (GARCH).
const SURPRISE: f64 = 0.005;
const MEMORY: f64 = 0.9945;
/// The largest move of one step.
const MOVE_MAX: f64 = 0.02;

/// A variance that remembers: its mean is one.
#[derive(Debug, Clone)]
struct Garch(f64);

impl Garch {
    fn draw(&mut self, rng: &mut Rng) -> f64 {
        let z = rng.normal();
        let h = self.0;
        self.0 = (1.0 - SURPRISE - MEMORY) + SURPRISE * h * z * z + MEMORY * h;
        h.sqrt() * z
    }
}

/// The common part.
#[derive(Debug, Clone)]
pub(crate) struct Factor {
    regime: usize,
    garch: Garch,
    /// Steps a second, all instruments together.
    steps: f64,
    regime_steps: u64,
}

impl Factor {
    /// With so many steps a second.
    pub fn new(steps: u64) -> Self {
        Self {
            regime: 1,
            garch: Garch(1.0),
            steps: steps.max(1) as f64,
            regime_steps: REGIME_SECONDS.saturating_mul(steps.max(1)),
        }
    }

    /// Which regime: 0 is the quietest.
    pub const fn regime(&self) -> usize {
        self.regime
    }

    /// One step; every reference moves with it.
    pub fn step<'a>(&mut self, rng: &mut Rng, all: impl Iterator<Item = &'a mut Reference>) {
        if rng.one_in(self.regime_steps) {
            let up = self.regime == 0 || (self.regime + 1 < REGIMES.len() && rng.one_in(3));
            self.regime = if up { self.regime + 1 } else { self.regime - 1 };
        }
        let sigma = SIGMA * REGIMES.get(self.regime).copied().unwrap_or(1.0) / self.steps.sqrt();
        let common = sigma * self.garch.draw(rng);
        for reference in all {
            let own = sigma * reference.garch.draw(rng);
            let pull = PULL / self.steps * (reference.price / reference.first - 1.0);
            let change = reference.beta * common + own - pull;
            // Never by more than this, so a price cannot reach zero.
            reference.price *= 1.0 + change.clamp(-MOVE_MAX, MOVE_MAX);
        }
    }
}

/// One instrument's, in price ticks.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    first: f64,
    price: f64,
    beta: f64,
    garch: Garch,
}

impl Reference {
    /// Begins at `ticks` and moves `beta` times with the factor.
    pub fn new(ticks: i64, beta: f64) -> Self {
        let first = ticks.max(1) as f64;
        Self {
            first,
            price: first,
            beta,
            garch: Garch(1.0),
        }
    }

    /// Goes on from another price.
    pub fn resume(&mut self, ticks: i64) {
        self.price = ticks.max(1) as f64;
    }

    /// To the nearest tick.
    pub fn ticks(&self) -> i64 {
        ((self.price + 0.5) as i64).max(1)
    }
}
