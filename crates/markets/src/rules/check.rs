//! Whether an order keeps the exchange's rules, and the prices that do.

use model::rules::{ExchangeRules, Settlement};
use model::signal::{OrderType, Side};
use model::{Date, Instrument, Price, Quantity};

use super::Rules;
use crate::calendar::{State, Status};

/// Why an exchange would refuse an order. Codes are stable and never reused; those that the
/// pipeline's own reasons have mean the same there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A price is no multiple of the tick size.
    #[error("{price} is no multiple of the tick size {tick}")]
    TickSize {
        /// The price.
        price: Price,
        /// The tick size.
        tick: Price,
    },
    /// A price is not positive, or has none below it that keeps the tick size.
    #[error("no valid price at or on the safe side of {price} with the tick size {tick}")]
    PriceWindow {
        /// The price.
        price: Price,
        /// The tick size.
        tick: Price,
    },
    /// The quantity is no multiple of the lot.
    #[error("{quantity} is no multiple of the lot size {lot}")]
    LotSize {
        /// The quantity.
        quantity: Quantity,
        /// The lot size.
        lot: Quantity,
    },
    /// One order may not be so large.
    #[error("{quantity} is above the freeze quantity {freeze}: split the order")]
    FreezeQuantity {
        /// The quantity.
        quantity: Quantity,
        /// The largest that is taken.
        freeze: Quantity,
    },
    /// The contract has expired.
    #[error("the contract expired on {expiry}")]
    ContractExpired {
        /// Its last day.
        expiry: Date,
    },
    /// The market is closed.
    #[error("the market is closed: {0}")]
    SessionClosed(String),
    /// The calendar does not know whether the market is open.
    #[error("the calendar does not know whether the market is open: {0}")]
    SessionUnknown(String),
    /// The phase does not take such orders.
    #[error("the phase {phase} takes no such orders")]
    OrderTypeInPhase {
        /// The phase, with its stage.
        phase: String,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TickSize { .. } => "tick_size",
            Self::PriceWindow { .. } => "price_window",
            Self::LotSize { .. } => "lot_size",
            Self::FreezeQuantity { .. } => "freeze_quantity",
            Self::ContractExpired { .. } => "contract_expired",
            Self::SessionClosed(_) => "session_closed",
            Self::SessionUnknown(_) => "session_unknown",
            Self::OrderTypeInPhase { .. } => "order_type_in_phase",
        }
    }
}

/// What the rules ask of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderFacts {
    /// How it meets the market.
    pub kind: OrderType,
    /// How much.
    pub quantity: Quantity,
    /// The limit, where it has one.
    pub limit: Option<Price>,
    /// The trigger, where it has one.
    pub trigger: Option<Price>,
    /// Whether it shows a part of its quantity only.
    pub is_iceberg: bool,
}

/// The nearest valid limit price on the safe side: a buyer never pays more and a seller never gets
/// less than was asked for.
pub fn round_limit(price: Price, side: Side, tick: Price) -> Result<Price, Refusal> {
    let refused = Refusal::PriceWindow { price, tick };
    let rounded = side.round_limit(price, tick);
    rounded.and_then(Price::in_window).map_err(|_| refused)
}

impl Rules {
    /// Whether the exchange takes an order of this instrument on a date, its session apart. Tick
    /// and lot sizes are the instrument's own, as the day's dump gave them.
    pub fn check(
        &self,
        instrument: &Instrument,
        order: &OrderFacts,
        date: Date,
    ) -> Result<(), Refusal> {
        if let Some(expiry) = instrument.expiry
            && expiry < date
        {
            return Err(Refusal::ContractExpired { expiry });
        }
        let tick = instrument.tick_size;
        for price in [order.limit, order.trigger].into_iter().flatten() {
            if price.in_window().is_err() {
                return Err(Refusal::PriceWindow { price, tick });
            }
            if !price.is_multiple_of(tick) {
                return Err(Refusal::TickSize { price, tick });
            }
        }
        let (quantity, lot) = (order.quantity, instrument.lot_size);
        if quantity <= Quantity::ZERO || !quantity.is_multiple_of(lot) {
            return Err(Refusal::LotSize { quantity, lot });
        }
        match ExchangeRules::freeze_quantity(self, instrument, date) {
            Some(freeze) if quantity > freeze => Err(Refusal::FreezeQuantity { quantity, freeze }),
            _ => Ok(()),
        }
    }
}

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

impl Status {
    /// Whether an order may be sent now, or why not. A phase before or after trading that takes
    /// such orders is enough: an opening auction wants them before the market opens.
    pub fn takes(&self, order: &OrderFacts) -> Result<(), Refusal> {
        if self.state == State::Unknown {
            return Err(Refusal::SessionUnknown(self.why.clone()));
        }
        let Some(phase) = &self.phase else {
            return Err(Refusal::SessionClosed(self.why.clone()));
        };
        if self.takes.order(order.kind) && (self.takes.iceberg || !order.is_iceberg) {
            return Ok(());
        }
        Err(Refusal::OrderTypeInPhase {
            phase: match &self.stage {
                Some(stage) => format!("{phase} ({stage})"),
                None => phase.to_string(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::TickClass;
    use super::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn a_limit_is_rounded_to_the_side_that_costs_nothing() {
        let round = |p, side| round_limit(price(p), side, price("0.05")).map(|p| p.to_string());
        assert_eq!(round("100.07", Side::Buy), Ok("100.05".to_owned()));
        assert_eq!(round("100.07", Side::Sell), Ok("100.1".to_owned()));
        assert_eq!(round("100.05", Side::Buy), Ok("100.05".to_owned()));
        let refused = round("0.04", Side::Buy).unwrap_err();
        assert_eq!(refused.code(), "price_window");
        assert_eq!(round("0.04", Side::Sell), Ok("0.05".to_owned()));
    }

    #[test]
    fn the_first_rule_that_an_order_breaks_is_named() {
        let rules = Rules::with_overrides(
            "[[freeze]]\nexchange = \"NFO\"\nfrom = \"2026-01-01\"\nquantities = { NIFTY = \"1755\" }",
        )
        .unwrap();
        let mut future = Instrument::share("NFO", "NIFTY26DECFUT", "INR".parse().unwrap());
        future.asset_class = model::AssetClass::Futures;
        future.lot_size = quantity("65");
        future.expiry = Date::new(2026, 12, 29);
        let order = |q: &str, limit: &str| OrderFacts {
            kind: OrderType::Limit,
            quantity: quantity(q),
            limit: Some(price(limit)),
            trigger: None,
            is_iceberg: false,
        };
        let check = |order: OrderFacts, date: &str| {
            let date = Date::parse(date).unwrap();
            rules.check(&future, &order, date).map_err(|r| r.code())
        };
        assert_eq!(check(order("65", "24000.05"), "2026-12-29"), Ok(()));
        let expired = check(order("65", "24000.05"), "2026-12-30");
        assert_eq!(expired, Err("contract_expired"));
        assert_eq!(
            check(order("65", "24000.01"), "2026-12-29"),
            Err("tick_size")
        );
        assert_eq!(check(order("64", "24000"), "2026-12-29"), Err("lot_size"));
        assert_eq!(
            check(order("1820", "24000"), "2026-12-29"),
            Err("freeze_quantity")
        );
        // Before the configured date nothing is known of a freeze quantity.
        assert_eq!(check(order("1820", "24000"), "2025-12-29"), Ok(()));
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
