//! What a run came to, exact.

use std::collections::BTreeMap;

use model::ids::StrategyIdx;
use model::instrument::InstrumentIdx;
use model::money::CurrencyIdx;
use model::signal::{Product, Side, Signal};
use model::time::HOUR;
use model::{Amount, Date, NumberError, Price, Quantity, Timestamp};

use super::Space;
use super::book::{Cell, Counts, DayCharges, DayClose, EquityPoint, FillMark, Incident};
use super::orders::multiplier;
use crate::error::OutputError;
use crate::exact::QuantitySum;
use crate::log_hash::Names;
use crate::sampler::Thinned;
use crate::statistics::{Activity, Statistics, periods, statistics};
use projection::trades::RoundTrip;

/// What a run came to, per namespace.
#[derive(Debug, Clone)]
pub struct Collected {
    /// The namespaces in the order of the run.
    pub brokers: Vec<BrokerResult>,
}

/// What one namespace came to.
#[derive(Debug, Clone)]
pub struct BrokerResult {
    /// Its name.
    pub name: String,
    /// The currency of its totals.
    pub base: CurrencyIdx,
    /// Event counts.
    pub counts: Counts,
    /// Sum of the executions' quantities.
    pub traded_quantity: QuantitySum,
    /// Its money: the base currency first, then every other one that was used, by code.
    pub currencies: Vec<CurrencyResult>,
    /// Sums per strategy and currency.
    pub by_strategy: BTreeMap<(StrategyIdx, CurrencyIdx), Cell>,
    /// Sums per instrument.
    pub by_instrument: BTreeMap<InstrumentIdx, Cell>,
    /// The first closed trades; all are in `trades.csv`.
    pub trades: Vec<RoundTrip>,
    /// How many trades were closed.
    pub trades_closed: u64,
    /// Executions for the price charts.
    pub marks: BTreeMap<InstrumentIdx, Thinned<FillMark>>,
    /// What is open at the end.
    pub open: Vec<OpenRow>,
    /// The first signals.
    pub decisions: Vec<Signal>,
    /// The first state changes, switches and alerts.
    pub incidents: Vec<Incident>,
    /// How many of these there were.
    pub incidents_seen: u64,
    /// Where the namespace's own figures and the sums over its executions differ: a defect.
    pub discrepancies: Vec<String>,
}

/// The money of a namespace in one currency.
#[derive(Debug, Clone)]
pub struct CurrencyResult {
    /// Which.
    pub currency: CurrencyIdx,
    /// Cash at the start.
    pub start: Amount,
    /// Sales minus purchases, without charges.
    pub cash_flow: Amount,
    /// Profit of what was closed, before charges.
    pub realised: Amount,
    /// Profit of what is open at the last price.
    pub unrealised: Amount,
    /// Charges.
    pub charges: Amount,
    /// The part of them that days' closes booked: of no strategy and no instrument.
    pub adjustments: Amount,
    /// Charges by trading day.
    pub charges_by_day: Vec<DayCharges>,
    /// Realised + unrealised − charges.
    pub net: Amount,
    /// Start + net.
    pub equity: Amount,
    /// Largest fall of the equity from a peak, marked on every tick.
    pub max_drawdown: Amount,
    /// Sum of the executions' notionals.
    pub traded_value: Amount,
    /// Closing equities.
    pub days: Vec<DayClose>,
    /// The equity curve, thinned.
    pub curve: Vec<EquityPoint>,
    /// The statistics.
    pub statistics: Statistics,
}

/// A position that is open at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRow {
    /// Whose.
    pub strategy: StrategyIdx,
    /// In what.
    pub instrument: InstrumentIdx,
    /// Held as what.
    pub product: Product,
    /// Buy for long, sell for short.
    pub side: Side,
    /// How much, positive.
    pub quantity: Quantity,
    /// When it was opened.
    pub opened: Timestamp,
    /// Average price, for display.
    pub average_price: Option<Price>,
    /// The last price.
    pub last_price: Price,
    /// Profit at it, before charges.
    pub unrealised: Amount,
}

/// Sums up a namespace. `undecided` signals had no outcome at the end.
pub(super) fn broker(
    space: Space<'_>,
    names: &Names<'_>,
    last_prices: &[Price],
    undecided: u64,
) -> Result<BrokerResult, OutputError> {
    let sum = OutputError::number;
    let mut cells = space.cells;
    let mut open = Vec::new();
    for position in space.ledger.open_positions() {
        let (strategy, instrument, product) = position.key;
        let multiplier = multiplier(names, instrument)?;
        let last_price = last_prices
            .get(instrument.index())
            .copied()
            .unwrap_or_default();
        let unrealised = position
            .unrealised(last_price, multiplier)
            .map_err(sum("an open position"))?;
        let cell = cells.entry((strategy, instrument)).or_default();
        cell.unrealised = cell
            .unrealised
            .checked_add(unrealised)
            .map_err(sum("unrealised profit"))?;
        open.push(OpenRow {
            strategy,
            instrument,
            product,
            side: position.side,
            quantity: position.quantity,
            opened: position.opened,
            average_price: position.cost.per_unit(position.quantity, multiplier),
            last_price,
            unrealised,
        });
    }

    let mut by_strategy: BTreeMap<_, Cell> = BTreeMap::new();
    let mut by_instrument: BTreeMap<_, Cell> = BTreeMap::new();
    let mut by_currency: BTreeMap<CurrencyIdx, Cell> = BTreeMap::new();
    for ((strategy, instrument), cell) in &cells {
        multiplier(names, *instrument)?;
        let currency = names.instruments.currency(*instrument);
        let merge = |into: &mut Cell| into.merge(cell).map_err(sum("a table's rows"));
        merge(by_strategy.entry((*strategy, currency)).or_default())?;
        merge(by_instrument.entry(*instrument).or_default())?;
        merge(by_currency.entry(currency).or_default())?;
    }

    let mut discrepancies = Vec::new();
    let mut currencies = Vec::new();
    let base = space.spec.base;
    let mut trades_closed = 0;
    for (index, book) in space.books.iter().enumerate() {
        let currency = CurrencyIdx(index as u16);
        let cell = by_currency.get(&currency).copied().unwrap_or_default();
        trades_closed += cell.trades.closed;
        let cash = space.spec.starting_cash.get(index);
        let start = match &book.base {
            Some(base) => base.equity,
            None => cash.copied().unwrap_or_default(),
        };
        let used = book.last.is_some_and(|s| !s.equity.is_zero()) || cell != Cell::default();
        if currency != base && !used && start.is_zero() {
            continue;
        }
        let adjustments = book.adjustments().map_err(sum("charges"))?;
        let charges = cell.charges.checked_add(adjustments);
        let net = cell.net().and_then(|net| net.checked_sub(adjustments));
        let net = net.map_err(sum("net profit"))?;
        let mut result = CurrencyResult {
            currency,
            start,
            cash_flow: cell.cash_flow,
            realised: cell.realised,
            unrealised: cell.unrealised,
            charges: charges.map_err(sum("charges"))?,
            adjustments,
            charges_by_day: book.charges.clone(),
            net,
            equity: start.checked_add(net).map_err(sum("equity"))?,
            max_drawdown: Amount::ZERO,
            traded_value: cell.traded_value,
            days: book.days.clone(),
            curve: book.curve.points(),
            statistics: Statistics::default(),
        };
        if let Some(last) = &book.last {
            let base = book.base.unwrap_or_default();
            let since = |now: Amount, then: Amount| now.checked_sub(then).map_err(sum("a sum"));
            let own = [
                (
                    "cash flow",
                    since(last.cash_flow, base.cash_flow)?,
                    &mut result.cash_flow,
                ),
                (
                    "realised profit",
                    since(last.realised, base.realised)?,
                    &mut result.realised,
                ),
                (
                    "unrealised profit",
                    since(last.unrealised, base.unrealised)?,
                    &mut result.unrealised,
                ),
                (
                    "charges",
                    since(last.charges, base.charges)?,
                    &mut result.charges,
                ),
                ("equity", last.equity, &mut result.equity),
            ];
            for (what, snapshot, summed) in own {
                if snapshot != *summed {
                    discrepancies.push(format!(
                        "{}: {what} in {} is {snapshot} in the portfolio's last snapshot and \
                         {summed} as summed over the executions, closes and last prices",
                        space.spec.name,
                        names.currency(currency)
                    ));
                }
                *summed = snapshot;
            }
            result.net = net_of(&result).map_err(sum("net profit"))?;
            result.max_drawdown = last.max_drawdown;
        }
        let closes: Vec<(Date, Amount)> = result
            .days
            .iter()
            .map(|day| (day.date, day.equity))
            .collect();
        let activity = Activity {
            trades: cell.trades,
            traded_value: cell.traded_value,
            days_held: result.days.iter().filter(|day| day.held).count() as u32,
        };
        let traded = cells
            .keys()
            .filter(|(_, index)| names.instruments.currency(*index) == currency)
            .map(|(_, index)| names.instruments.get(*index));
        let first = result.days.first().map(|day| day.date.days());
        let at = Timestamp(i64::from(first.unwrap_or_default()) * 24 * HOUR);
        let year = periods(space.spec.sessions, traded, at);
        result.statistics = statistics(start, &closes, &activity, year);
        currencies.push(result);
    }
    currencies.sort_by_key(|c| c.currency != base);
    if undecided > 0 {
        discrepancies.push(format!(
            "{}: {undecided} signals had no outcome",
            space.spec.name
        ));
    }
    Ok(BrokerResult {
        name: space.spec.name.to_owned(),
        base,
        counts: space.counts,
        traded_quantity: space.traded_quantity,
        currencies,
        by_strategy,
        by_instrument,
        trades: space.trades,
        trades_closed,
        marks: space.marks,
        open,
        decisions: space.decisions,
        incidents: space.incidents,
        incidents_seen: space.incidents_seen,
        discrepancies,
    })
}

fn net_of(result: &CurrencyResult) -> Result<Amount, NumberError> {
    result
        .realised
        .checked_add(result.unrealised)?
        .checked_sub(result.charges)
}
