//! The rules, their order and their codes.

use model::control::TradingState;
use model::money::Multiplier;
use model::reason::Reason;
use model::refusal::{Measured, Refusal};
use model::rules::Settlement;
use model::session::{SessionStatus, Takes};
use model::signal::{Product, Side, Signal};
use model::{Amount, CurrencyIdx, Date, Instrument, Price, Quantity, Timestamp};

use super::limits::{Limits, MoneyLimit};
use super::margin::Margin;
use super::settings::ShortSelling;
use super::{Counters, Risk};

/// What a rule may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// Only what opens or adds: a refused reversal still closes.
    Entry,
    /// Any order.
    All,
}

impl Applies {
    /// The mark in the reference table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::All => "all",
        }
    }
}

/// One rule, as the reference table lists it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The reason that it gives.
    pub reason: Reason,
    /// What it may refuse.
    pub applies: Applies,
    /// The key that sets it in the settings' `[risk]` and a strategy's `risk:`; empty: always on.
    pub key: &'static str,
    /// The unit of its limit.
    pub unit: &'static str,
    /// What it compares.
    pub text: &'static str,
}

const fn rule(
    reason: Reason,
    applies: Applies,
    key: &'static str,
    unit: &'static str,
    text: &'static str,
) -> Rule {
    Rule {
        reason,
        applies,
        key,
        unit,
        text,
    }
}

/// Every rule, in the order in which they are asked: the first that refuses gives the reason.
pub const RULES: &[Rule] = &[
    rule(
        Reason::StrategyDisabled,
        Applies::All,
        "",
        "",
        "the strategy is enabled on this broker",
    ),
    rule(
        Reason::UnsupportedAssetClass,
        Applies::All,
        "",
        "",
        "the broker trades the instrument's asset class",
    ),
    rule(
        Reason::InvalidSignal,
        Applies::All,
        "",
        "",
        "prices and quantities lie in the accepted window and fit the order type",
    ),
    rule(
        Reason::DuplicateSignal,
        Applies::All,
        "duplicate_window_ms",
        "ms",
        "the strategy's signal before it asked for something else, or longer ago",
    ),
    rule(
        Reason::SessionClosed,
        Applies::All,
        "session_open",
        "true or false (default true)",
        "the instrument's session is open",
    ),
    rule(
        Reason::OrderTypeInPhase,
        Applies::All,
        "session_open",
        "true or false (default true)",
        "the session's phase takes orders of this type: a closing auction takes no stop orders",
    ),
    rule(
        Reason::ContractExpired,
        Applies::All,
        "session_open",
        "true or false (default true)",
        "the contract's last trading day is not over",
    ),
    rule(
        Reason::TickSize,
        Applies::All,
        "tick_and_lot, round_limits",
        "true or false (default true); true or false (default false)",
        "limit, trigger and bracket prices are multiples of the tick size; `round_limits` first brings limits and take-profits between two ticks to the side that costs nothing: a buyer's down, a seller's up",
    ),
    rule(
        Reason::LotSize,
        Applies::All,
        "tick_and_lot",
        "true or false (default true)",
        "the quantity is a multiple of the lot size; closing an odd position is not held to it",
    ),
    rule(
        Reason::FreezeQuantity,
        Applies::All,
        "",
        "",
        "the order is no larger than the exchange's freeze quantity, where one is configured",
    ),
    rule(
        Reason::PriceBand,
        Applies::All,
        "price_band",
        "fraction of the last price",
        "limit and trigger prices are this near to the last trade",
    ),
    rule(
        Reason::Halted,
        Applies::Entry,
        "",
        "",
        "the broker is not halted",
    ),
    rule(
        Reason::ReduceOnly,
        Applies::Entry,
        "",
        "",
        "the broker is not in reduce-only",
    ),
    rule(
        Reason::TraderUnreachable,
        Applies::Entry,
        "",
        "",
        "the host blocks no entries: the broker is there, the feed delivers, the market log is written, no queue is full (each has its own reason)",
    ),
    rule(
        Reason::UnresolvedOrder,
        Applies::Entry,
        "",
        "",
        "no order of the strategy has an unknown outcome on this broker",
    ),
    rule(
        Reason::SquareOff,
        Applies::Entry,
        "",
        "",
        "the position is not being squared off, and an intraday one is before its square-off time",
    ),
    rule(
        Reason::PhysicalDelivery,
        Applies::Entry,
        "",
        "",
        "a contract that would be delivered is before its last trading day",
    ),
    rule(
        Reason::InstrumentDenied,
        Applies::Entry,
        "allow, deny",
        "lists of instruments",
        "the instrument is on the allow list, where there is one, and not on the deny list",
    ),
    rule(
        Reason::StaleSignal,
        Applies::Entry,
        "stale_signal_ms",
        "ms",
        "the signal is no older; 10,000 on a live source where absent",
    ),
    rule(
        Reason::StaleMarketData,
        Applies::Entry,
        "stale_market_data_ms",
        "ms",
        "the instrument has a last price, and it is no older",
    ),
    rule(
        Reason::ShortSelling,
        Applies::Entry,
        "short_selling",
        "allowed or forbidden (default allowed)",
        "the namespace's net position is not short in delivery, nor at all where shorts are forbidden",
    ),
    rule(
        Reason::OrderQuantity,
        Applies::Entry,
        "order_quantity",
        "units",
        "the order's quantity",
    ),
    rule(
        Reason::OrderNotional,
        Applies::Entry,
        "order_notional",
        "money (default 50%)",
        "the order's price × quantity × multiplier",
    ),
    rule(
        Reason::PositionQuantity,
        Applies::Entry,
        "position_quantity",
        "units",
        "the instrument's position with all working orders and this one",
    ),
    rule(
        Reason::PositionNotional,
        Applies::Entry,
        "position_notional",
        "money (default 100%)",
        "the value of the instrument's position with all working orders and this one, at its price",
    ),
    rule(
        Reason::GrossExposure,
        Applies::Entry,
        "gross_exposure",
        "money (default 200%)",
        "the positions' values, working entries and this order",
    ),
    rule(
        Reason::OpenOrders,
        Applies::Entry,
        "open_orders",
        "orders",
        "orders working at once",
    ),
    rule(
        Reason::OrdersPerSecond,
        Applies::Entry,
        "orders_per_second",
        "orders",
        "orders within one second of the clock",
    ),
    rule(
        Reason::OrdersPerDay,
        Applies::Entry,
        "orders_per_day",
        "orders",
        "orders within the trading day",
    ),
    rule(
        Reason::TradesPerDay,
        Applies::Entry,
        "trades_per_day",
        "orders",
        "entry orders of each strategy within the trading day",
    ),
    rule(
        Reason::InsufficientCash,
        Applies::Entry,
        "available_cash, margin_fraction",
        "true or false (default true); fraction or table (default 1)",
        "equity less the margin of all positions and working entries covers this order's margin; shares of the value by product, asset class or both: `{ default = 1, \"equity:intraday\" = 0.2, futures = 0.15, options = 0.12 }`, where an option bought costs its premium and one sold counts at its strike",
    ),
    rule(
        Reason::DailyLoss,
        Applies::Entry,
        "daily_loss, on_breach",
        "money (default 3%); halt, square_off or a table (default halt)",
        "the loss since the trading day's start, whatever was halted and resumed since; at the limit the broker halts by itself (a strategy's own limit disables the strategy), and where `on_breach` is `square_off`, or `{ daily_loss = \"square_off\" }`, its positions are closed",
    ),
    rule(
        Reason::Drawdown,
        Applies::Entry,
        "drawdown, on_breach",
        "money; halt, square_off or a table (default halt)",
        "the fall from the equity's peak; at the limit as with `daily_loss`",
    ),
    rule(
        Reason::CurrencyLimitMissing,
        Applies::Entry,
        "",
        "",
        "every money limit that is set has one for the instrument's currency",
    ),
    rule(
        Reason::Overflow,
        Applies::All,
        "",
        "",
        "every exact amount fits its type",
    ),
];

/// What a signal would do, with everything that the rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// The signal.
    pub signal: &'a Signal,
    /// Its instrument.
    pub instrument: &'a Instrument,
    /// Its instrument's currency.
    pub currency: CurrencyIdx,
    /// The session's clock.
    pub now: Timestamp,
    /// The state of the instrument's market.
    pub session: SessionStatus,
    /// The kinds of orders that its phase takes.
    pub takes: Takes,
    /// The trading day.
    pub date: Date,
    /// The exchange's largest order, where one is configured.
    pub freeze_quantity: Option<Quantity>,
    /// Whether the broker trades the asset class.
    pub supported: bool,
    /// How a position in it ends at expiry.
    pub settlement: Settlement,
    /// Whether a square-off keeps the position from growing.
    pub squaring_off: bool,
    /// Whether an order of the strategy has an unknown outcome.
    pub unresolved: bool,
    /// The side of the order.
    pub side: Side,
    /// The whole order.
    pub quantity: Quantity,
    /// The part that opens or adds.
    pub increase: Quantity,
    /// Whether it closes the position to zero.
    pub closes_all: bool,
    /// The last trade's price (zero: none) and time.
    pub last: (Price, Timestamp),
    /// The namespace's totals.
    pub namespace: Totals,
    /// The strategy's totals.
    pub strategy: Totals,
    /// The namespace's net of the instrument held as this product, with its working orders.
    pub net_of_product: Quantity,
    /// Equity of the namespace in the currency.
    pub equity: Amount,
}

/// What the limits of one owner are compared with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Signed position of the instrument with its working orders.
    pub position: Quantity,
    /// Value of all positions in the currency.
    pub gross_exposure: Amount,
    /// Value of working entries in the currency.
    pub working: Amount,
    /// Orders working.
    pub open_orders: u32,
    /// What the limits' table of margins asks of the namespace's positions and working entries; zero
    /// where there is no such table.
    pub margin: Amount,
}

/// What the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// All of it may be sent.
    Pass,
    /// Only the reducing part may be sent.
    ReduceOnly(Refusal),
    /// None of it.
    Refuse(Refusal),
}

type Verdict = Result<(), Refusal>;

fn require(condition: bool, reason: Reason) -> Verdict {
    if condition {
        Ok(())
    } else {
        Err(reason.into())
    }
}

/// As [`require`], with what was compared.
fn hold(condition: bool, reason: Reason, measured: Measured) -> Verdict {
    if condition {
        return Ok(());
    }
    Err(Refusal {
        reason,
        measured: Some(measured),
    })
}

/// A number of orders, with this one.
fn orders(before: u32, limit: u32, reason: Reason) -> Verdict {
    let value = before.saturating_add(1);
    hold(before < limit, reason, Measured::Orders { value, limit })
}

fn at_most(value: Quantity, limit: Quantity, reason: Reason) -> Verdict {
    hold(value <= limit, reason, Measured::Quantity { value, limit })
}

/// An age of at most so much.
fn no_older(value: i64, limit: i64, reason: Reason) -> Verdict {
    hold(value <= limit, reason, Measured::Age { value, limit })
}

fn overflow(_: model::NumberError) -> Refusal {
    Reason::Overflow.into()
}

impl Risk {
    /// Asks every rule.
    pub fn judge(&self, proposal: &Proposal<'_>) -> Judgement {
        let own = self.own_limits(proposal.signal.strategy);
        let all = self
            .always(proposal)
            .and_then(|()| all_rules(&self.limits, proposal, self))
            .and_then(|()| own.map_or(Ok(()), |own| all_rules(own, proposal, self)));
        if let Err(refusal) = all {
            return Judgement::Refuse(refusal);
        }
        if proposal.increase.is_zero() {
            return Judgement::Pass;
        }
        let entry = self.states(proposal).and_then(|()| {
            let counters = &self.counters;
            let strategy = self.strategy_counters(proposal.signal.strategy);
            entry_rules(
                &self.limits,
                proposal,
                &proposal.namespace,
                counters,
                &strategy,
            )?;
            own.map_or(Ok(()), |own| {
                entry_rules(own, proposal, &proposal.strategy, &strategy, &strategy)
            })
        });
        match entry {
            Ok(()) => Judgement::Pass,
            Err(refusal) if proposal.increase == proposal.quantity => Judgement::Refuse(refusal),
            Err(refusal) => Judgement::ReduceOnly(refusal),
        }
    }

    fn always(&self, p: &Proposal<'_>) -> Verdict {
        require(self.is_enabled(p.signal.strategy), Reason::StrategyDisabled)?;
        require(p.supported, Reason::UnsupportedAssetClass)?;
        well_formed(p).map_err(|()| Reason::InvalidSignal.into())
    }

    fn states(&self, p: &Proposal<'_>) -> Verdict {
        require(self.state != TradingState::Halted, Reason::Halted)?;
        require(self.state != TradingState::ReduceOnly, Reason::ReduceOnly)?;
        if let Some(reason) = self.blocks.first() {
            return Err((*reason).into());
        }
        require(!p.unresolved, Reason::UnresolvedOrder)?;
        require(!p.squaring_off, Reason::SquareOff)?;
        let is_last_day = p.instrument.expiry.is_some_and(|last| last <= p.date);
        require(
            !(is_last_day && p.settlement == Settlement::Physical),
            Reason::PhysicalDelivery,
        )?;
        // A reversal beyond the window still closes.
        require(p.quantity.in_window().is_ok(), Reason::InvalidSignal)
    }
}

/// Prices and quantities in their windows, and the prices that the order type asks for, no others.
fn well_formed(p: &Proposal<'_>) -> Result<(), ()> {
    let d = &p.signal.decision;
    let price = |price: Option<Price>| price.is_none_or(|p| p.in_window().is_ok());
    let bracket_fits = |reference: Price| {
        let (below, above) = match p.side {
            Side::Buy => (d.bracket.stop_loss, d.bracket.take_profit),
            Side::Sell => (d.bracket.take_profit, d.bracket.stop_loss),
        };
        below.is_none_or(|b| b < reference) && above.is_none_or(|a| a > reference)
    };
    let reduce = Quantity::from_raw(p.quantity.raw() - p.increase.raw());
    let part_fits = |part: Quantity| part.is_zero() || part.in_window().is_ok();
    let reference = d.limit_price.or(d.trigger_price).unwrap_or(p.last.0);
    let fits = part_fits(reduce)
        && part_fits(p.increase)
        && d.limit_price.is_some() == d.order_type.has_limit()
        && d.trigger_price.is_some() == d.order_type.has_trigger()
        && price(d.limit_price)
        && price(d.trigger_price)
        && price(d.bracket.stop_loss)
        && price(d.bracket.take_profit)
        && (p.increase.is_zero() || reference.is_zero() || bracket_fits(reference));
    if fits { Ok(()) } else { Err(()) }
}

fn all_rules(limits: &Limits, p: &Proposal<'_>, risk: &Risk) -> Verdict {
    let d = &p.signal.decision;
    if let Some(window) = limits.duplicate_window
        && let Some((ts, latest)) = risk.latest(p.signal.strategy)
    {
        let (value, limit) = (p.now.since(*ts), window);
        hold(
            *latest != d.without_note() || value >= limit,
            Reason::DuplicateSignal,
            Measured::Age { value, limit },
        )?;
    }
    if limits.session_open {
        require(
            matches!(p.session, SessionStatus::Open(_)),
            Reason::SessionClosed,
        )?;
        require(p.takes.order(d.order_type), Reason::OrderTypeInPhase)?;
        let expired = p.instrument.expiry.is_some_and(|last| last < p.date);
        require(!expired, Reason::ContractExpired)?;
    }
    if let Some(most) = p.freeze_quantity {
        at_most(p.quantity, most, Reason::FreezeQuantity)?;
    }
    if limits.tick_and_lot {
        let tick = p.instrument.tick_size;
        let prices = [
            d.limit_price,
            d.trigger_price,
            d.bracket.stop_loss,
            d.bracket.take_profit,
        ];
        for value in prices.into_iter().flatten() {
            let measured = Measured::Price { value, limit: tick };
            hold(value.is_multiple_of(tick), Reason::TickSize, measured)?;
        }
        let (value, limit) = (p.quantity, p.instrument.lot_size);
        hold(
            p.closes_all || value.is_multiple_of(limit),
            Reason::LotSize,
            Measured::Quantity { value, limit },
        )?;
    }
    if let Some(band) = limits.price_band
        && !p.last.0.is_zero()
    {
        let last = i128::from(p.last.0.raw());
        for price in [d.limit_price, d.trigger_price].into_iter().flatten() {
            let distance = (i128::from(price.raw()) - last).abs() * i128::from(model::fixed::ONE);
            // Rounded up: what is shown lies beyond the limit, as what it stands for does.
            let share = distance.div_euclid(last) + i128::from(distance.rem_euclid(last) != 0);
            let measured = Measured::Fraction {
                value: i64::try_from(share).unwrap_or(i64::MAX),
                limit: band,
            };
            hold(
                distance <= last * i128::from(band),
                Reason::PriceBand,
                measured,
            )?;
        }
    }
    Ok(())
}

fn entry_rules(
    limits: &Limits,
    p: &Proposal<'_>,
    totals: &Totals,
    counters: &Counters,
    strategy: &Counters,
) -> Verdict {
    let index = p.signal.decision.instrument.index();
    let allowed = limits
        .allow
        .get(index)
        .copied()
        .unwrap_or(limits.allow.is_empty());
    let denied = limits.deny.get(index).copied().unwrap_or(false);
    require(allowed && !denied, Reason::InstrumentDenied)?;
    if let Some(age) = limits.stale_signal {
        no_older(p.now.since(p.signal.ts), age, Reason::StaleSignal)?;
    }
    require(!p.last.0.is_zero(), Reason::StaleMarketData)?;
    if let Some(age) = limits.stale_market_data {
        no_older(p.now.since(p.last.1), age, Reason::StaleMarketData)?;
    }
    let signed = p.side.signed(p.quantity);
    let net_after = p.net_of_product.checked_add(signed).map_err(overflow)?;
    let may_be_short = limits.short_selling == ShortSelling::Allowed
        && p.signal.decision.product != Product::Delivery;
    hold(
        may_be_short || p.side == Side::Buy || net_after >= Quantity::ZERO,
        Reason::ShortSelling,
        Measured::Quantity {
            value: net_after,
            limit: Quantity::ZERO,
        },
    )?;
    if let Some(limit) = limits.order_quantity {
        at_most(p.quantity, limit, Reason::OrderQuantity)?;
    }
    let d = &p.signal.decision;
    let price = d.limit_price.or(d.trigger_price).unwrap_or(p.last.0);
    let multiplier: Multiplier = p.instrument.multiplier;
    let notional = Amount::notional(price, p.quantity, multiplier).map_err(overflow)?;
    money(
        &limits.order_notional,
        p.currency,
        notional,
        Reason::OrderNotional,
    )?;
    if let Some(limit) = limits.position_quantity {
        let after = totals.position.checked_add(signed).map_err(overflow)?;
        at_most(after.abs(), limit, Reason::PositionQuantity)?;
    }
    if limits.position_notional.is_some() {
        let after = totals.position.checked_add(signed).map_err(overflow)?;
        let value = Amount::notional(price, after, multiplier).map_err(overflow)?;
        money(
            &limits.position_notional,
            p.currency,
            value.abs(),
            Reason::PositionNotional,
        )?;
    }
    let increase = Amount::notional(price, p.increase, multiplier).map_err(overflow)?;
    let committed = totals
        .gross_exposure
        .checked_add(totals.working)
        .map_err(overflow)?;
    let exposure = committed.checked_add(increase).map_err(overflow)?;
    money(
        &limits.gross_exposure,
        p.currency,
        exposure,
        Reason::GrossExposure,
    )?;
    if let Some(limit) = limits.open_orders {
        orders(totals.open_orders, limit, Reason::OpenOrders)?;
    }
    if let Some(limit) = limits.orders_per_second {
        orders(counters.in_second(p.now), limit, Reason::OrdersPerSecond)?;
    }
    if let Some(limit) = limits.orders_per_day {
        orders(counters.orders_today(), limit, Reason::OrdersPerDay)?;
    }
    if let Some(limit) = limits.trades_per_day {
        orders(strategy.entries_today(), limit, Reason::TradesPerDay)?;
    }
    if limits.available_cash {
        // A reversal first frees what it closes.
        let reduce = p.quantity.checked_sub(p.increase).map_err(overflow)?;
        let needed = match &limits.margin {
            Margin::Uniform(share) => {
                let freed = Amount::notional(price, reduce, multiplier).map_err(overflow)?;
                let held = p.namespace.gross_exposure.checked_add(p.namespace.working);
                held.and_then(|held| held.checked_sub(freed))
                    .and_then(|held| held.checked_add(increase))
                    .and_then(|needed| needed.fraction(*share))
            }
            table @ Margin::Table(_) => {
                let of = |side, price, quantity| {
                    table.of(p.instrument, d.product, side, price, quantity)
                };
                of(p.side, price, p.increase)
                    .and_then(|added| totals.margin.checked_add(added))
                    .and_then(|sum| sum.checked_sub(of(p.side.opposite(), p.last.0, reduce)?))
            }
        }
        .map_err(overflow)?;
        let measured = Measured::Money {
            currency: p.currency,
            value: needed,
            limit: p.equity,
        };
        hold(needed <= p.equity, Reason::InsufficientCash, measured)?;
    }
    for limit in [&limits.daily_loss, &limits.drawdown].into_iter().flatten() {
        require(limit.of(p.currency).is_some(), Reason::CurrencyLimitMissing)?;
    }
    Ok(())
}

fn money(
    limit: &Option<MoneyLimit>,
    currency: CurrencyIdx,
    value: Amount,
    reason: Reason,
) -> Verdict {
    let Some(limit) = limit else { return Ok(()) };
    let limit = limit
        .of(currency)
        .ok_or(Refusal::from(Reason::CurrencyLimitMissing))?;
    let measured = Measured::Money {
        currency,
        value,
        limit,
    };
    hold(value <= limit, reason, measured)
}
