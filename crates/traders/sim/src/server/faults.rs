//! Misbehaviour on demand: a function of the seed, of an order's salt-free id and of how often something was
//! asked of it, so that it is the same whenever and however often a run is repeated.

use model::trader::ReportKind;
use model::{InputId, OrderId, Price, Quantity};

/// What is asked of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Asked {
    Submit,
    Cancel,
    Modify,
    Query,
}

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does not.
    None,
    /// It is never processed.
    LoseRequest,
    /// It is processed, and not answered.
    LoseAnswer,
    /// The answer comes with that to the next request.
    AnswerLate,
    /// The answer comes twice.
    AnswerTwice,
    /// The connection ends before it is processed.
    DropBefore,
    /// The connection ends after it was processed.
    DropAfter,
}

const FAULTS: [Fault; 6] = [
    Fault::LoseRequest,
    Fault::LoseAnswer,
    Fault::AnswerLate,
    Fault::AnswerTwice,
    Fault::DropBefore,
    Fault::DropAfter,
];

/// How much goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Seed of what goes wrong.
    pub seed: u64,
    /// Share of requests that go wrong, and of reports that come twice, in percent, at most 90.
    pub percent: u8,
    /// Share of executions that are pushed as what they cannot have been, in percent; the books that a
    /// client asks for are right.
    pub nonsense: u8,
}

impl Faults {
    /// The share that is used: beyond it nothing would ever get through.
    const PERCENT_MAX: u8 = 90;

    fn percent(self) -> u64 {
        u64::from(self.percent.min(Self::PERCENT_MAX))
    }

    /// Of the `attempt`-th time that something is asked.
    pub(super) fn of(self, order: OrderId, asked: Asked, attempt: u32) -> Fault {
        let draw = order.draw(self.seed, (asked as u32) << 24 | (attempt & 0xff_ffff));
        if draw % 100 >= self.percent() {
            return Fault::None;
        }
        let kind = (draw >> 32) as usize % FAULTS.len();
        FAULTS.get(kind).copied().unwrap_or(Fault::None)
    }

    /// Whether a report comes twice.
    pub(super) fn twice(self, order: OrderId, number: u64) -> bool {
        order.draw(self.seed, 2 << 30 | (number as u32 & 0x3fff_ffff)) % 100 < self.percent()
    }

    /// What is pushed for a report: what happened, or an execution that cannot be true.
    pub(super) fn pushed(self, order: OrderId, number: u64, mut kind: ReportKind) -> ReportKind {
        let draw = order.draw(self.seed, 3 << 30 | (number as u32 & 0x3fff_ffff));
        if draw % 100 < u64::from(self.nonsense)
            && let ReportKind::Filled {
                side,
                quantity,
                price,
                ..
            }
            | ReportKind::FilledTo {
                side,
                quantity,
                average_price: price,
            } = &mut kind
        {
            match (draw >> 32) % 4 {
                0 => *side = side.opposite(),
                // No multiple of any lot.
                1 => *quantity = Quantity::from_raw(quantity.raw() - 16_384),
                2 => *quantity = Quantity::from_raw(quantity.raw().saturating_mul(1_000)),
                _ => *price = Price::from_raw(price.raw().saturating_mul(61)),
            }
        }
        kind
    }

    /// Whether the connection ends after an input was passed for the first time: so many times in
    /// half a million as requests do in a hundred.
    pub(super) fn drops_pass(self, input: InputId) -> bool {
        let z = (input.0 ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z >> 16) % 500_000 < self.percent()
    }
}
