//! The rules as the pipeline asks for them.

use model::rules::{ExchangeRules, Settlement};
use model::{Date, Instrument, Quantity};

use super::Rules;

impl ExchangeRules for Rules {
    fn freeze_quantity(&self, instrument: &Instrument, date: Date) -> Option<Quantity> {
        // Asked for every order; mostly none is configured, and reading a symbol is not free.
        if self.freezes.is_empty() {
            return None;
        }
        let symbol = instrument.symbol.as_str();
        let underlying = self.contract(symbol).map_or(symbol, |c| c.underlying);
        Self::freeze_quantity(self, &instrument.exchange, Some(underlying), date)
            .map(|freeze| freeze.value)
    }

    /// Contracts on an index are settled in cash, those on a share by its delivery (recalled: SEBI
    /// circular of 2018-04-11, all shares since October 2019). Of currencies and commodities the facts
    /// do not tell.
    fn settlement(&self, instrument: &Instrument) -> Settlement {
        if instrument.expiry.is_none() || !matches!(instrument.exchange.as_str(), "NFO" | "BFO") {
            return Settlement::None;
        }
        match self.contract(&instrument.symbol) {
            None => Settlement::None,
            Some(contract) if contract.is_index => Settlement::Cash,
            Some(_) => Settlement::Physical,
        }
    }

    fn underlying<'a>(&self, instrument: &'a Instrument) -> Option<&'a str> {
        instrument.expiry?;
        self.contract(&instrument.symbol)
            .map(|contract| contract.underlying)
    }
}

#[cfg(test)]
mod tests {
    use super::super::TickClass;
    use super::*;
    use model::Price;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn bands_and_lots_are_dated_and_gaps_are_named() {
        let rules = Rules::embedded().unwrap();
        let date = |text| Date::parse(text).unwrap();
        let tick = |exchange, class, reference, day| {
            rules
                .tick_size(exchange, class, price(reference), date(day))
                .map(|tick| tick.value.to_string())
                .map_err(|e| e.to_string())
        };
        for (reference, want) in [
            ("249.99", "0.01"),
            ("250", "0.05"),
            ("1000", "0.05"),
            ("1000.05", "0.1"),
            ("20000", "1"),
            ("20001", "5"),
        ] {
            let found = tick("NSE", TickClass::Equity, reference, "2025-04-15");
            assert_eq!(found, Ok(want.to_owned()), "{reference}");
        }
        let index = tick("NFO", TickClass::IndexFuture, "30000", "2026-06-01");
        assert_eq!(index, Ok("0.1".to_owned()));
        let early = tick("NSE", TickClass::Equity, "100", "2025-04-14").unwrap_err();
        assert!(
            early.contains("tick size") && early.contains("2025-04-14"),
            "{early}"
        );
        let nifty = rules.lot_size("NFO", "NIFTY", date("2026-01-01")).unwrap();
        assert_eq!(nifty.value, quantity("65"));
        let sensex = rules.lot_size("BFO", "SENSEX", date("2026-02-01")).unwrap();
        assert!(sensex.evidence.grade.is_unverified());
        let unknown = rules.multiplier("MCX", Some("CRUDEOIL"), date("2026-02-01"));
        assert!(unknown.is_err());
        let lead = rules
            .multiplier("MCX", Some("LEADMINI"), date("2026-02-01"))
            .unwrap();
        assert_eq!(lead.value.to_string(), "1000");
    }
}
