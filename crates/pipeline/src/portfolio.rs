//! The portfolio manager: what a namespace holds, what it cost, and what it is worth.
//!
//! Positions are kept per (strategy, instrument, product) with their exact cost; a partial close
//! takes its share of the cost with one rounding ([`Amount::share`]) and the rest stays. So at any time
//! `cash flow = realised − Σ cost of what is open`, to the last unit, and
//! `equity = starting cash + cash flow + Σ value at the last price − charges`.

use std::sync::Arc;

use model::contract_note::ChargesAdjustment;
use model::event::{Event, EventBody, Settled, Snapshot};
use model::fixed::NumberError;
use model::money::Multiplier;
use model::order::{Execution, OrderIntent};
use model::reindex::Reindex;
use model::signal::Product;
use model::time::Date;
use model::{
    Amount, CurrencyIdx, InstrumentIdx, Instruments, Price, Quantity, StrategyIdx, Timestamp,
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// What a position is keyed by within its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PositionKey {
    /// Whose.
    pub strategy: StrategyIdx,
    /// In what.
    pub instrument: InstrumentIdx,
    /// Held as what.
    pub product: Product,
}

impl PositionKey {
    /// The position that an order changes.
    pub const fn of(intent: &OrderIntent) -> Self {
        Self {
            strategy: intent.strategy,
            instrument: intent.instrument,
            product: intent.product,
        }
    }
}

/// One position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Whose, in what, held as what.
    pub key: PositionKey,
    /// Signed quantity.
    pub quantity: Quantity,
    /// Exact cost of what is open: positive for a long position, negative for a short one.
    pub cost: Amount,
    /// Profit of what has been closed, before charges.
    pub realised: Amount,
    /// Charges of all its executions.
    pub charges: Amount,
    /// Σ of sales minus Σ of purchases.
    pub cash_flow: Amount,
    /// Σ of the executions' quantities, in units of 10⁻⁸: more than one quantity can hold.
    pub traded: i128,
}

impl Position {
    const fn new(key: PositionKey) -> Self {
        Self {
            key,
            quantity: Quantity::ZERO,
            cost: Amount::ZERO,
            realised: Amount::ZERO,
            charges: Amount::ZERO,
            cash_flow: Amount::ZERO,
            traded: 0,
        }
    }

    /// The position after `signed` units have traded at `price`.
    fn after(
        &self,
        signed: Quantity,
        price: Price,
        charges: Amount,
        multiplier: Multiplier,
    ) -> Result<Self, NumberError> {
        let notional = Amount::notional(price, signed, multiplier)?;
        let mut next = *self;
        next.quantity = self.quantity.checked_add(signed)?;
        next.cash_flow = self.cash_flow.checked_sub(notional)?;
        next.charges = self.charges.checked_add(charges)?;
        next.traded = self
            .traded
            .checked_add(i128::from(signed.abs().raw()))
            .ok_or(NumberError::Overflow)?;
        if self.quantity.signum() * signed.signum() >= 0 {
            next.cost = self.cost.checked_add(notional)?;
            return Ok(next);
        }
        let closed = Quantity::from_raw(signed.abs().raw().min(self.quantity.abs().raw()));
        let share = self.cost.share(closed, self.quantity.abs())?;
        let closing = Quantity::from_raw(closed.raw() * signed.signum());
        let proceeds = Amount::notional(price, closing, multiplier)?.negate();
        next.realised = self.realised.checked_add(proceeds)?.checked_sub(share)?;
        // What is left of the fill opens the other way.
        let opening = notional.checked_add(proceeds)?;
        next.cost = self.cost.checked_sub(share)?.checked_add(opening)?;
        Ok(next)
    }
}

/// The namespace's net of one instrument over strategies and products, and what marking it takes:
/// the one thing of the portfolio that a tick touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Net {
    last: LastTrade,
    quantity: Quantity,
    /// Quantity × multiplier where that fits 64 bits: then a mark is one multiplication.
    factor: Option<i64>,
    multiplier: Multiplier,
    value: Amount,
    currency: CurrencyIdx,
}

impl Net {
    fn set(&mut self, quantity: Quantity) {
        self.quantity = quantity;
        self.factor = quantity.raw().checked_mul(self.multiplier.hundredths());
    }

    #[inline]
    fn value_at(&self, price: Price) -> Result<Amount, NumberError> {
        match self.factor {
            Some(factor) => Ok(Amount::from_raw(
                i128::from(price.raw()) * i128::from(factor),
            )),
            None => Amount::notional(price, self.quantity, self.multiplier),
        }
    }
}

/// The last trade of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LastTrade {
    /// Its price; zero before the first.
    pub price: Price,
    /// When.
    pub ts: Timestamp,
}

/// The money of a namespace in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// What it began with.
    pub starting_cash: Amount,
    /// Σ of sales minus Σ of purchases.
    pub cash_flow: Amount,
    /// Profit of what has been closed, before charges.
    pub realised: Amount,
    /// Charges so far, the closes' adjustments included.
    pub charges: Amount,
    /// Σ cost of what is open.
    pub cost: Amount,
    /// Σ absolute value of the net positions, at the last prices.
    pub gross_exposure: Amount,
    /// Highest equity so far.
    pub peak: Amount,
    /// Largest fall from a peak so far.
    pub max_drawdown: Amount,
    /// What the daily loss is counted from: equity at the trading day's start, or where an operator
    /// has had losses counted anew since.
    pub loss_base: Amount,
    /// Equity at the trading day's start.
    pub day_base: Amount,
    /// What the drawdown rule counts from: highest equity, since an operator last had losses counted
    /// anew.
    pub loss_peak: Amount,
    /// Starting cash + cash flow + value − charges, kept in step with each of them.
    equity: Amount,
    /// When the equity was what it is: the latest price or fact that went into it.
    at: Timestamp,
    /// Equity of the latest snapshot, and its number.
    snapshot: (Amount, u64),
}

impl Account {
    /// Starting cash + cash flow + value − charges.
    #[inline]
    pub const fn equity(&self) -> Amount {
        self.equity
    }

    /// When the equity was what it is.
    #[inline]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Σ value of what is open, at the last prices.
    pub fn value(&self) -> Result<Amount, NumberError> {
        self.equity
            .checked_sub(self.starting_cash)?
            .checked_sub(self.cash_flow)?
            .checked_add(self.charges)
    }

    #[inline]
    fn mark(&mut self) -> Result<(), NumberError> {
        let equity = self.equity;
        self.loss_peak = self.loss_peak.max(equity);
        if equity >= self.peak {
            self.peak = equity;
        } else {
            let fall = self.peak.checked_sub(equity)?;
            if fall > self.max_drawdown {
                self.max_drawdown = fall;
            }
        }
        Ok(())
    }
}

/// Profit of one strategy in one currency, kept only where a rule looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct StrategyMark {
    cash: Amount,
    value: Amount,
    peak: Amount,
    day_start: Amount,
}

impl StrategyMark {
    fn profit(&self) -> Result<Amount, NumberError> {
        self.cash.checked_add(self.value)
    }

    /// Losses count from the profit of now.
    fn count_anew(&mut self) {
        if let Ok(profit) = self.profit() {
            self.day_start = profit;
            self.peak = profit;
        }
    }
}

/// The stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Portfolio {
    #[serde(skip)]
    instruments: Arc<Instruments>,
    positions: Vec<Position>,
    /// The value at which each position was last marked, where strategies are marked.
    marked: Vec<Amount>,
    by_key: FxHashMap<PositionKey, u32>,
    /// Positions of an instrument, as indices of `positions`.
    of_instrument: Vec<Vec<u32>>,
    net: Vec<Net>,
    accounts: Vec<Account>,
    day: Option<Date>,
    /// Marks by strategy and currency; empty where no rule needs them.
    strategies: Vec<Vec<StrategyMark>>,
    /// An amount did not fit: set once, and the namespace stops.
    overflow: bool,
}

impl Portfolio {
    /// Flat, with `starting_cash` by currency index. `strategies` is the number of strategy
    /// indices to be marked one by one, zero where no rule needs that.
    pub fn new(instruments: Arc<Instruments>, starting_cash: &[Amount], strategies: usize) -> Self {
        let count = instruments.len();
        let currencies = instruments.currencies().len();
        let accounts = (0..currencies)
            .map(|c| {
                let cash = starting_cash.get(c).copied().unwrap_or_default();
                Account {
                    starting_cash: cash,
                    peak: cash,
                    loss_base: cash,
                    day_base: cash,
                    loss_peak: cash,
                    equity: cash,
                    snapshot: (cash, 0),
                    ..Account::default()
                }
            })
            .collect();
        Self {
            positions: Vec::new(),
            marked: Vec::new(),
            by_key: FxHashMap::default(),
            of_instrument: vec![Vec::new(); count],
            net: instruments
                .iter()
                .map(|(index, instrument)| Net {
                    last: LastTrade::default(),
                    quantity: Quantity::ZERO,
                    factor: Some(0),
                    multiplier: instrument.multiplier,
                    value: Amount::ZERO,
                    currency: instruments.currency(index),
                })
                .collect(),
            accounts,
            day: None,
            strategies: vec![vec![StrategyMark::default(); currencies]; strategies],
            overflow: false,
            instruments,
        }
    }

    /// The state as text: equal states give equal texts, however their maps came to be.
    pub(crate) fn fingerprint(&self) -> String {
        let keys: std::collections::BTreeMap<_, _> = self.by_key.iter().collect();
        let bare = Self {
            by_key: FxHashMap::default(),
            ..self.clone()
        };
        format!("{keys:?} {bare:?}")
    }

    /// Takes over a saved portfolio. Multipliers and currencies of the instruments are those of now.
    pub fn adopt(&mut self, saved: Self, map: &Reindex) {
        let fresh = self.clone();
        let marks = !self.strategies.is_empty();
        let known = marks && !saved.strategies.is_empty();
        let positions = saved.positions.len();
        let row = fresh.strategies.first().cloned().unwrap_or_default();
        let rows = saved.strategies.into_iter();
        *self = Self {
            instruments: Arc::clone(&self.instruments),
            marked: if marks == known {
                saved.marked
            } else {
                vec![Amount::ZERO; positions]
            },
            of_instrument: map.by_instrument(saved.of_instrument, fresh.of_instrument),
            net: map
                .by_instrument(saved.net, fresh.net.clone())
                .into_iter()
                .zip(fresh.net)
                .map(|(saved, fresh)| Net {
                    multiplier: fresh.multiplier,
                    currency: fresh.currency,
                    ..saved
                })
                .collect(),
            accounts: map.by_currency(saved.accounts, fresh.accounts),
            strategies: if known {
                let rows = rows.map(|old| map.by_currency(old, row.clone()));
                map.by_strategy(rows.collect(), fresh.strategies)
            } else {
                fresh.strategies
            },
            positions: saved.positions,
            by_key: saved.by_key,
            day: saved.day,
            overflow: saved.overflow,
        };
        if marks && !known && self.begin_marks().is_err() {
            self.overflow = true;
        }
    }

    /// Strategies are marked from now on, which they were not before: their profit so far is no loss of
    /// a limit that is new.
    fn begin_marks(&mut self) -> Result<(), NumberError> {
        for (position, marked) in self.positions.iter().zip(&mut self.marked) {
            let instrument = position.key.instrument;
            let currency = self.instruments.currency(instrument);
            let Some(mark) = self
                .strategies
                .get_mut(position.key.strategy.index())
                .and_then(|row| row.get_mut(currency.index()))
            else {
                continue;
            };
            let net = &self.net[instrument.index()];
            *marked = Amount::notional(net.last.price, position.quantity, net.multiplier)?;
            let cash = position.cash_flow.checked_sub(position.charges)?;
            mark.cash = mark.cash.checked_add(cash)?;
            mark.value = mark.value.checked_add(*marked)?;
            mark.count_anew();
        }
        Ok(())
    }

    /// A price has been seen: marks what is held of the instrument.
    #[inline]
    pub fn observe_price(&mut self, instrument: InstrumentIdx, price: Price, ts: Timestamp) {
        let net = &mut self.net[instrument.index()];
        net.last = LastTrade { price, ts };
        // A strategy may hold what another one is short of.
        if !net.quantity.is_zero() || !self.strategies.is_empty() {
            self.remark(instrument, price);
        }
    }

    #[inline]
    fn remark(&mut self, instrument: InstrumentIdx, price: Price) {
        if self.try_remark(instrument, price).is_err() {
            self.overflow = true;
        }
    }

    #[inline]
    fn try_remark(&mut self, instrument: InstrumentIdx, price: Price) -> Result<(), NumberError> {
        let net = &mut self.net[instrument.index()];
        let value = net.value_at(price)?;
        let account = &mut self.accounts[net.currency.index()];
        let change = value.checked_sub(net.value)?;
        account.equity = account.equity.checked_add(change)?;
        account.at = account.at.max(net.last.ts);
        let growth = value.abs().checked_sub(net.value.abs())?;
        account.gross_exposure = account.gross_exposure.checked_add(growth)?;
        net.value = value;
        account.mark()?;
        if !self.strategies.is_empty() {
            let (currency, multiplier) = (net.currency, net.multiplier);
            self.mark_strategies(instrument, currency, price, multiplier)?;
        }
        Ok(())
    }

    fn mark_strategies(
        &mut self,
        instrument: InstrumentIdx,
        currency: CurrencyIdx,
        price: Price,
        multiplier: Multiplier,
    ) -> Result<(), NumberError> {
        for index in &self.of_instrument[instrument.index()] {
            let position = &self.positions[*index as usize];
            let value = Amount::notional(price, position.quantity, multiplier)?;
            let marked = &mut self.marked[*index as usize];
            let mark = &mut self.strategies[position.key.strategy.index()][currency.index()];
            mark.value = mark.value.checked_add(value)?.checked_sub(*marked)?;
            *marked = value;
            mark.peak = mark.peak.max(mark.profit()?);
        }
        Ok(())
    }

    /// A trading day has begun.
    pub fn observe_day(&mut self, date: Date) {
        self.day = Some(date);
        for account in &mut self.accounts {
            account.loss_base = account.equity;
            account.day_base = account.equity;
        }
        for mark in self.strategies.iter_mut().flatten() {
            mark.day_start = mark.profit().unwrap_or(mark.day_start);
        }
    }

    /// Whether an execution's amounts all fit, before it is made a fact.
    pub fn check_fill(
        &self,
        intent: &OrderIntent,
        quantity: Quantity,
        price: Price,
    ) -> Result<(), NumberError> {
        let multiplier = self.instruments.get(intent.instrument).multiplier;
        let signed = intent.side.signed(quantity);
        let key = PositionKey::of(intent);
        let position = self.position(&key).copied().unwrap_or(Position::new(key));
        position.after(signed, price, Amount::ZERO, multiplier)?;
        let net = self.net[intent.instrument.index()]
            .quantity
            .checked_add(signed)?;
        Amount::notional(price, net, multiplier)?;
        Ok(())
    }

    /// An execution has become a fact.
    pub fn apply_fill(&mut self, intent: &OrderIntent, execution: &Execution, ts: Timestamp) {
        let key = PositionKey::of(intent);
        let signed = intent.side.signed(execution.quantity);
        let booked = self.book(key, signed, (execution.price, execution.charges), ts);
        if booked.is_err() {
            self.overflow = true;
        }
    }

    /// A contract's settlement has become a fact: its position is closed.
    pub fn apply_settlement(&mut self, settled: &Settled, ts: Timestamp) {
        let key = PositionKey {
            strategy: settled.strategy,
            instrument: settled.instrument,
            product: settled.product,
        };
        let signed = Quantity::from_raw(settled.quantity.raw().saturating_neg());
        let booked = self.book(key, signed, (settled.price, settled.charges), ts);
        if booked.is_err() {
            self.overflow = true;
        }
    }

    fn book(
        &mut self,
        key: PositionKey,
        signed: Quantity,
        (price, charges): (Price, Amount),
        ts: Timestamp,
    ) -> Result<(), NumberError> {
        let instrument = key.instrument;
        let index = match self.by_key.get(&key) {
            Some(index) => *index as usize,
            None => {
                let index = self.positions.len();
                self.positions.push(Position::new(key));
                self.marked.push(Amount::ZERO);
                self.by_key.insert(key, index as u32);
                self.of_instrument[instrument.index()].push(index as u32);
                index
            }
        };
        let multiplier = self.instruments.get(instrument).multiplier;
        let before = self.positions[index];
        let after = before.after(signed, price, charges, multiplier)?;
        let currency = self.instruments.currency(instrument);
        let account = &mut self.accounts[currency.index()];
        let flow = after.cash_flow.checked_sub(before.cash_flow)?;
        account.cash_flow = account.cash_flow.checked_add(flow)?;
        account.realised = account
            .realised
            .checked_add(after.realised)?
            .checked_sub(before.realised)?;
        account.cost = account
            .cost
            .checked_add(after.cost)?
            .checked_sub(before.cost)?;
        account.charges = account.charges.checked_add(charges)?;
        account.equity = account.equity.checked_add(flow)?.checked_sub(charges)?;
        account.at = account.at.max(ts);
        self.positions[index] = after;
        if !self.strategies.is_empty() {
            let mark = &mut self.strategies[key.strategy.index()][currency.index()];
            mark.cash = mark.cash.checked_add(flow)?.checked_sub(charges)?;
        }
        let net = &mut self.net[instrument.index()];
        net.set(net.quantity.checked_add(signed)?);
        if net.last.price.is_zero() {
            net.last = LastTrade { price, ts };
        }
        let price = net.last.price;
        self.try_remark(instrument, price)
    }

    /// A fact has been recorded. Executions come through [`apply_fill`](Self::apply_fill), which
    /// needs the order.
    pub fn apply(&mut self, event: &Event) {
        if let EventBody::StateChanged {
            resets_losses: true,
            ..
        } = &event.body
        {
            for account in &mut self.accounts {
                account.loss_base = account.equity;
                account.loss_peak = account.loss_base;
            }
        }
        if let EventBody::StrategySwitched {
            strategy,
            resets_losses: true,
            ..
        } = &event.body
        {
            for mark in self
                .strategies
                .get_mut(strategy.index())
                .into_iter()
                .flatten()
            {
                mark.count_anew();
            }
        }
        if let EventBody::ChargesAdjusted(adjustment) = &event.body
            && self.try_adjust(adjustment, event.ts).is_err()
        {
            self.overflow = true;
        }
        if let EventBody::Snapshot(snapshot) = &event.body {
            let account = &mut self.accounts[snapshot.currency.index()];
            account.snapshot = (snapshot.equity, snapshot.sequence);
            // What the log says of peaks holds, even where the ticks that made them are lost.
            account.peak = account.peak.max(snapshot.peak);
            account.max_drawdown = account.max_drawdown.max(snapshot.max_drawdown);
            account.loss_base = snapshot.loss_base;
            account.loss_peak = snapshot.loss_peak;
        }
    }

    /// The account's charges and no position's: a note is of all that was traded.
    fn try_adjust(
        &mut self,
        adjustment: &ChargesAdjustment,
        ts: Timestamp,
    ) -> Result<(), NumberError> {
        let account = &mut self.accounts[adjustment.currency.index()];
        account.at = account.at.max(ts);
        account.charges = account.charges.checked_add(adjustment.amount)?;
        account.equity = account.equity.checked_sub(adjustment.amount)?;
        account.mark()
    }

    /// The snapshot of a currency, were it taken now.
    pub fn snapshot(&self, currency: CurrencyIdx) -> Result<Snapshot, NumberError> {
        let account = &self.accounts[currency.index()];
        Ok(Snapshot {
            currency,
            sequence: account.snapshot.1 + 1,
            cash_flow: account.cash_flow,
            realised: account.realised,
            unrealised: account.value()?.checked_sub(account.cost)?,
            charges: account.charges,
            equity: account.equity,
            peak: account.peak,
            max_drawdown: account.max_drawdown,
            loss_base: account.loss_base,
            loss_peak: account.loss_peak,
            gross_exposure: account.gross_exposure,
        })
    }

    /// Currencies whose equity differs from their latest snapshot.
    pub fn changed(&self) -> impl Iterator<Item = CurrencyIdx> {
        self.accounts.iter().enumerate().filter_map(|(c, account)| {
            (account.equity != account.snapshot.0).then_some(CurrencyIdx(c as u16))
        })
    }

    /// An amount did not fit elsewhere.
    pub(crate) const fn overflow(&mut self) {
        self.overflow = true;
    }
    /// Whether an amount did not fit.
    #[inline]
    pub const fn overflowed(&self) -> bool {
        self.overflow
    }
    /// The money in one currency.
    #[inline]
    pub fn account(&self, currency: CurrencyIdx) -> &Account {
        &self.accounts[currency.index()]
    }
    /// The accounts, by currency index.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }
    /// A position that has been traded.
    #[inline]
    pub fn position(&self, key: &PositionKey) -> Option<&Position> {
        self.by_key.get(key).map(|i| &self.positions[*i as usize])
    }
    /// The signed quantity of a position.
    #[inline]
    pub fn quantity(&self, key: &PositionKey) -> Quantity {
        self.position(key).map_or(Quantity::ZERO, |p| p.quantity)
    }
    /// All positions that have been traded, in the order of their first execution.
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }
    /// The namespace's net of an instrument held as `product`.
    pub fn net_of_product(&self, instrument: InstrumentIdx, product: Product) -> Quantity {
        let sum = self.of_instrument[instrument.index()]
            .iter()
            .map(|i| &self.positions[*i as usize])
            .filter(|p| p.key.product == product)
            .try_fold(Quantity::ZERO, |sum, p| sum.checked_add(p.quantity));
        sum.unwrap_or(Quantity::MAX)
    }
    /// The namespace's net of an instrument.
    #[inline]
    pub fn net(&self, instrument: InstrumentIdx) -> Quantity {
        self.net[instrument.index()].quantity
    }
    /// The last trade of an instrument.
    #[inline]
    pub fn last(&self, instrument: InstrumentIdx) -> LastTrade {
        self.net[instrument.index()].last
    }
    /// Profit of the trading day and fall from the peak of one strategy, where it is marked.
    pub fn strategy_loss(
        &self,
        strategy: StrategyIdx,
        currency: CurrencyIdx,
    ) -> Option<(Amount, Amount)> {
        let mark = self
            .strategies
            .get(strategy.index())?
            .get(currency.index())?;
        let profit = mark.profit().ok()?;
        Some((
            profit.checked_sub(mark.day_start).ok()?,
            mark.peak.checked_sub(profit).ok()?,
        ))
    }
    /// Whether strategies are marked one by one.
    #[inline]
    pub fn marks_strategies(&self) -> bool {
        !self.strategies.is_empty()
    }
    /// Whether a strategy holds anything; without one, whether any does.
    pub fn holds(&self, strategy: Option<StrategyIdx>) -> bool {
        self.positions.iter().any(|p| {
            !p.quantity.is_zero() && strategy.is_none_or(|strategy| strategy == p.key.strategy)
        })
    }
    /// What a unit of a position has cost on average, for display; `None` where nothing is open.
    pub fn average_price(&self, position: &Position) -> Option<Price> {
        let multiplier = self.instruments.get(position.key.instrument).multiplier;
        position.cost.per_unit(position.quantity, multiplier)
    }
    /// Unrealised profit of a position at the last price.
    pub fn unrealised(&self, position: &Position) -> Result<Amount, NumberError> {
        let instrument = position.key.instrument;
        let price = self.last(instrument).price;
        Amount::notional(
            price,
            position.quantity,
            self.instruments.get(instrument).multiplier,
        )?
        .checked_sub(position.cost)
    }
}
