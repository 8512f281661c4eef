//! Positions and round-trip trades from executions, exact.
//!
//! Cost is kept per (strategy, instrument, product) at average: a close of part of a position takes
//! [`Amount::share`] of its cost, the one rounding of the accounting, and the remainder stays.
//!
//! A trade runs from flat to flat, or to the execution that reverses the position: of that one, the
//! part that closes ends the trade and the rest opens the next. Its notional divides exactly, being
//! linear in the quantity; of its charges, the closing part takes its share by quantity (rounded
//! as above) and the opening part the remainder. So trades' profits sum to what was realised, and
//! their charges to what was charged, to the last unit.

use std::collections::BTreeMap;

use model::ids::StrategyIdx;
use model::instrument::InstrumentIdx;
use model::money::Multiplier;
use model::order::OrderRole;
use model::signal::{Product, Side};
use model::{Amount, CorrelationId, NumberError, Price, Quantity, Timestamp};

/// Whose position in what.
pub type PositionKey = (StrategyIdx, InstrumentIdx, Product);

/// One execution with what the ledger needs of its order.
#[derive(Debug, Clone, Copy)]
pub struct Fill {
    /// Whose position in what.
    pub key: PositionKey,
    /// When.
    pub ts: Timestamp,
    /// Buy or sell.
    pub side: Side,
    /// How much, positive.
    pub quantity: Quantity,
    /// At what price.
    pub price: Price,
    /// The instrument's multiplier.
    pub multiplier: Multiplier,
    /// What it was charged.
    pub charges: Amount,
    /// What its order was for.
    pub role: OrderRole,
    /// The chain of events of its order.
    pub correlation: CorrelationId,
}

/// A closed trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrip {
    /// Whose, in what, held as what.
    pub key: PositionKey,
    /// The first execution.
    pub opened: Timestamp,
    /// The execution that closed it.
    pub closed: Timestamp,
    /// Buy for long, sell for short.
    pub side: Side,
    /// The largest position.
    pub max_quantity: Quantity,
    /// Average price of what opened or added; for display.
    pub entry_price: Option<Price>,
    /// Average price of what reduced or closed; for display.
    pub exit_price: Option<Price>,
    /// Profit before charges.
    pub gross: Amount,
    /// Charges of its executions.
    pub charges: Amount,
    /// Profit after charges.
    pub net: Amount,
    /// Executions in it.
    pub fills: u32,
    /// What the order that closed it was for.
    pub exit_role: OrderRole,
    /// The chain of events that opened it.
    pub correlation: CorrelationId,
}

/// What an execution did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// `price × quantity × multiplier`.
    pub notional: Amount,
    /// Profit of what it closed, before charges.
    pub realised: Amount,
    /// The trade that it closed.
    pub closed: Option<RoundTrip>,
}

/// A position that is open.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Positive; the trade's side says which way.
    quantity: Quantity,
    /// Of what is held now, positive.
    cost: Amount,
    trade: Trade,
}

/// The open trade's sums.
#[derive(Debug, Clone, Copy)]
struct Trade {
    side: Side,
    opened: Timestamp,
    correlation: CorrelationId,
    max_quantity: Quantity,
    entered: (Quantity, Amount),
    left: (Quantity, Amount),
    charges: Amount,
    fills: u32,
}

/// What is left of an open position at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenPosition {
    /// Whose, in what, held as what.
    pub key: PositionKey,
    /// When the position was opened.
    pub opened: Timestamp,
    /// Buy for long, sell for short.
    pub side: Side,
    /// How much, positive.
    pub quantity: Quantity,
    /// Exact cost of what is held, positive.
    pub cost: Amount,
}

impl OpenPosition {
    /// Profit at a price, before charges.
    pub fn unrealised(&self, price: Price, multiplier: Multiplier) -> Result<Amount, NumberError> {
        let value = Amount::notional(price, self.quantity, multiplier)?;
        match self.side {
            Side::Buy => value.checked_sub(self.cost),
            Side::Sell => self.cost.checked_sub(value),
        }
    }
}

/// All positions of a namespace.
#[derive(Debug, Default)]
pub struct Ledger {
    positions: BTreeMap<PositionKey, Open>,
}

impl Ledger {
    /// Books an execution.
    pub fn apply(&mut self, fill: &Fill) -> Result<Applied, NumberError> {
        let notional = Amount::notional(fill.price, fill.quantity, fill.multiplier)?;
        let mut applied = Applied {
            notional,
            realised: Amount::ZERO,
            closed: None,
        };
        let Some(open) = self.positions.get_mut(&fill.key) else {
            let opened = open_trade(fill, fill.quantity, notional, fill.charges);
            self.positions.insert(fill.key, opened);
            return Ok(applied);
        };
        open.trade.fills += 1;
        if open.trade.side == fill.side {
            open.quantity = open.quantity.checked_add(fill.quantity)?;
            open.cost = open.cost.checked_add(notional)?;
            let trade = &mut open.trade;
            trade.max_quantity = trade.max_quantity.max(open.quantity);
            trade.charges = trade.charges.checked_add(fill.charges)?;
            trade.entered = (
                trade.entered.0.checked_add(fill.quantity)?,
                trade.entered.1.checked_add(notional)?,
            );
            return Ok(applied);
        }

        let closing = fill.quantity.min(open.quantity);
        let opening = fill.quantity.checked_sub(closing)?;
        let value = Amount::notional(fill.price, closing, fill.multiplier)?;
        let charges = fill.charges.share(closing, fill.quantity)?;
        let cost = open.cost.share(closing, open.quantity)?;
        applied.realised = match open.trade.side {
            Side::Buy => value.checked_sub(cost)?,
            Side::Sell => cost.checked_sub(value)?,
        };
        open.cost = open.cost.checked_sub(cost)?;
        open.quantity = open.quantity.checked_sub(closing)?;
        let trade = &mut open.trade;
        trade.left = (
            trade.left.0.checked_add(closing)?,
            trade.left.1.checked_add(value)?,
        );
        trade.charges = trade.charges.checked_add(charges)?;
        if open.quantity.is_zero() {
            applied.closed = Some(close_trade(&open.trade, fill)?);
            self.positions.remove(&fill.key);
        }
        if !opening.is_zero() {
            let rest = fill.charges.checked_sub(charges)?;
            let opened = open_trade(fill, opening, notional.checked_sub(value)?, rest);
            self.positions.insert(fill.key, opened);
        }
        Ok(applied)
    }

    /// What is open, in the order of strategies, instruments and products.
    pub fn open_positions(&self) -> Vec<OpenPosition> {
        self.positions
            .iter()
            .map(|(key, open)| OpenPosition {
                key: *key,
                opened: open.trade.opened,
                side: open.trade.side,
                quantity: open.quantity,
                cost: open.cost,
            })
            .collect()
    }
}

fn open_trade(fill: &Fill, quantity: Quantity, notional: Amount, charges: Amount) -> Open {
    Open {
        quantity,
        cost: notional,
        trade: Trade {
            side: fill.side,
            opened: fill.ts,
            correlation: fill.correlation,
            max_quantity: quantity,
            entered: (quantity, notional),
            left: (Quantity::ZERO, Amount::ZERO),
            charges,
            fills: 1,
        },
    }
}

fn close_trade(trade: &Trade, fill: &Fill) -> Result<RoundTrip, NumberError> {
    let gross = match trade.side {
        Side::Buy => trade.left.1.checked_sub(trade.entered.1)?,
        Side::Sell => trade.entered.1.checked_sub(trade.left.1)?,
    };
    Ok(RoundTrip {
        key: fill.key,
        opened: trade.opened,
        closed: fill.ts,
        side: trade.side,
        max_quantity: trade.max_quantity,
        entry_price: trade.entered.1.per_unit(trade.entered.0, fill.multiplier),
        exit_price: trade.left.1.per_unit(trade.left.0, fill.multiplier),
        gross,
        charges: trade.charges,
        net: gross.checked_sub(trade.charges)?,
        fills: trade.fills,
        exit_role: fill.role,
        correlation: trade.correlation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill(ts: i64, side: Side, quantity: i64, price: i64, charges: i128) -> Fill {
        Fill {
            key: (StrategyIdx(1), InstrumentIdx(0), Product::Intraday),
            ts: Timestamp(ts),
            side,
            quantity: Quantity::from_raw(quantity),
            price: Price::from_raw(price),
            multiplier: Multiplier::from_hundredths(150).unwrap(),
            charges: Amount::from_raw(charges),
            role: OrderRole::Entry,
            correlation: CorrelationId(ts as u128),
        }
    }

    #[test]
    fn a_reversal_ends_one_trade_and_opens_the_next() {
        let one = |n: i64| n * model::fixed::ONE;
        let mut ledger = Ledger::default();
        ledger
            .apply(&fill(1, Side::Buy, one(10), one(100), 30))
            .unwrap();
        ledger
            .apply(&fill(2, Side::Buy, one(10), one(110), 30))
            .unwrap();
        let applied = ledger
            .apply(&fill(3, Side::Sell, one(30), one(120), 9))
            .unwrap();
        let trade = applied.closed.unwrap();
        assert_eq!(trade.entry_price, Some(Price::from_raw(one(105))));
        assert_eq!(trade.exit_price, Some(Price::from_raw(one(120))));
        assert_eq!(trade.gross, Amount::from_int(15 * 20 * 3 / 2));
        assert_eq!(applied.realised, trade.gross);
        assert_eq!(trade.charges, Amount::from_raw(30 + 30 + 6));
        assert_eq!((trade.side, trade.fills), (Side::Buy, 3));
        let open = ledger.open_positions()[0];
        assert_eq!(
            (open.side, open.quantity),
            (Side::Sell, Quantity::from_raw(one(10)))
        );
        assert_eq!(
            open.unrealised(
                Price::from_raw(one(121)),
                Multiplier::from_hundredths(150).unwrap()
            ),
            Ok(Amount::from_int(-15))
        );
    }

    proptest! {
        #[test]
        fn trades_and_positions_hold_exactly_the_cash_of_the_fills(
            fills in prop::collection::vec(
                (any::<bool>(), 1..2_000_000_007i64, 10_000..90_000_000_000i64, 0..1_000_000_007i128),
                1..60,
            ),
            last in 10_000..90_000_000_000i64,
        ) {
            let mut ledger = Ledger::default();
            let (mut cash, mut charged, mut realised) = (0i128, 0i128, 0i128);
            let (mut gross, mut net, mut trade_charges) = (0i128, 0i128, 0i128);
            for (n, (buy, quantity, price, charges)) in fills.iter().enumerate() {
                let side = if *buy { Side::Buy } else { Side::Sell };
                let fill = fill(n as i64, side, *quantity, *price, *charges);
                let applied = ledger.apply(&fill).unwrap();
                cash -= applied.notional.raw() * i128::from(side.sign());
                charged += charges;
                realised += applied.realised.raw();
                if let Some(trade) = applied.closed {
                    gross += trade.gross.raw();
                    net += trade.net.raw();
                    trade_charges += trade.charges.raw();
                }
            }
            prop_assert_eq!(net, gross - trade_charges);
            prop_assert!(trade_charges <= charged);
            let multiplier = Multiplier::from_hundredths(150).unwrap();
            let last = Price::from_raw(last);
            let mut held = 0i128;
            let mut unrealised = 0i128;
            for open in ledger.open_positions() {
                let value = Amount::notional(last, open.quantity, multiplier).unwrap().raw();
                held += value * i128::from(open.side.sign());
                unrealised += open.unrealised(last, multiplier).unwrap().raw();
            }
            prop_assert_eq!(cash + held, realised + unrealised);
            if held == 0 {
                prop_assert_eq!(gross, realised);
                prop_assert_eq!(trade_charges, charged);
            }
        }
    }
}
