//! The strategies and the accounts once more, as naively as can be: what the program must agree with.

use std::collections::BTreeMap;

use crate::decimal::Decimal;

/// `ema_cross` over one instrument, as it is defined: seeded by the first price, deciding from the
/// `slow`-th input on, equality keeping what is wanted.
#[derive(Debug, Clone)]
pub struct EmaCross {
    fast: u32,
    slow: u32,
    averages: Option<(f64, f64)>,
    inputs: u32,
    wants: i64,
}

impl EmaCross {
    pub fn new(fast: u32, slow: u32) -> Self {
        Self {
            fast,
            slow,
            averages: None,
            inputs: 0,
            wants: 0,
        }
    }

    /// Takes the next price; the new direction where it changes.
    pub fn input(&mut self, price: f64) -> Option<i64> {
        let (mut fast, mut slow) = self.averages.unwrap_or((price, price));
        fast += 2.0 / (f64::from(self.fast) + 1.0) * (price - fast);
        slow += 2.0 / (f64::from(self.slow) + 1.0) * (price - slow);
        self.averages = Some((fast, slow));
        self.inputs += 1;
        if self.inputs < self.slow {
            return None;
        }
        let wants = if fast > slow {
            1
        } else if fast < slow {
            -1
        } else {
            self.wants
        };
        let changed = wants != self.wants;
        self.wants = wants;
        changed.then_some(wants)
    }
}

/// Cash, positions and last prices.
#[derive(Debug, Clone, Default)]
pub struct Account {
    pub cash_flow: Decimal,
    pub traded: Decimal,
    pub fills: u64,
    pub positions: BTreeMap<String, Decimal>,
    pub last: BTreeMap<String, Decimal>,
}

impl Account {
    pub fn price(&mut self, symbol: &str, price: &str) {
        self.last.insert(symbol.to_owned(), Decimal::parse(price));
    }

    pub fn position(&self, symbol: &str) -> Decimal {
        self.positions.get(symbol).copied().unwrap_or_default()
    }

    /// Buys a positive quantity or sells a negative one.
    pub fn fill(&mut self, symbol: &str, quantity: Decimal, price: Decimal) {
        self.cash_flow = self.cash_flow.minus(quantity.times(price));
        self.traded = self.traded.plus(Decimal(quantity.0.abs()));
        self.fills += 1;
        let position = self.position(symbol).plus(quantity);
        self.positions.insert(symbol.to_owned(), position);
    }

    /// Cash flow and positions at the last price.
    pub fn equity(&self) -> Decimal {
        self.positions
            .iter()
            .fold(self.cash_flow, |sum, (symbol, position)| {
                sum.plus(position.times(self.last[symbol]))
            })
    }
}
