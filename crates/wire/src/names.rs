//! The names behind interned indices.

use model::ids::StrategyIdx;
use model::instrument::{InstrumentIdx, Instruments};
use model::money::CurrencyIdx;

use crate::schema::Referent;

/// Tables of names. An index beyond a table has the empty name.
pub trait Names {
    /// An instrument's canonical id.
    fn instrument(&self, index: InstrumentIdx) -> &str;
    /// A strategy's id.
    fn strategy(&self, index: StrategyIdx) -> &str;
    /// A currency's code.
    fn currency(&self, index: CurrencyIdx) -> &str;

    /// The name of whatever a reference refers to.
    fn name(&self, referent: Referent, index: usize) -> &str {
        let wide = u32::try_from(index).unwrap_or(u32::MAX);
        match referent {
            Referent::Instrument => self.instrument(InstrumentIdx(wide)),
            Referent::Strategy => self.strategy(StrategyIdx(wide)),
            Referent::Currency => {
                self.currency(CurrencyIdx(u16::try_from(index).unwrap_or(u16::MAX)))
            }
        }
    }
}

/// The names of a running system.
#[derive(Debug, Clone, Copy)]
pub struct Registry<'a> {
    /// The instruments, and with them the currencies.
    pub instruments: &'a Instruments,
    /// Strategy names by index; index 0 is the reserved owner `manual`.
    pub strategies: &'a [String],
}

impl<'a> Registry<'a> {
    /// An instrument's canonical id.
    pub fn instrument(&self, index: InstrumentIdx) -> &'a str {
        if index.index() < self.instruments.len() {
            &self.instruments.get(index).id
        } else {
            ""
        }
    }
    /// A strategy's id.
    pub fn strategy(&self, index: StrategyIdx) -> &'a str {
        let name = self.strategies.get(index.index());
        name.map_or("", String::as_str)
    }
    /// A currency's code.
    pub fn currency(&self, index: CurrencyIdx) -> &'a str {
        let currency = self.instruments.currencies().get(index.index());
        currency.map_or("", |c| c.code())
    }
}

impl Names for Registry<'_> {
    fn instrument(&self, index: InstrumentIdx) -> &str {
        Registry::instrument(self, index)
    }
    fn strategy(&self, index: StrategyIdx) -> &str {
        Registry::strategy(self, index)
    }
    fn currency(&self, index: CurrencyIdx) -> &str {
        Registry::currency(self, index)
    }
}
