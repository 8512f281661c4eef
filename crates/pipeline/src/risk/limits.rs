//! Limits as the rules read them: dense tables, resolved once at start.

use model::control::Breach;
use model::reason::Reason;
use model::{Amount, Currency, CurrencyIdx, Quantity};

use super::margin::Margin;
use super::settings::{OnBreach, OnBreachTable, ShortSelling};

/// The oldest signal on which an entry is sent on a live source, in nanoseconds, unless the settings
/// say otherwise: what is repeated after a restart is told from what is decided now.
pub const STALE_SIGNAL_LIVE: i64 = 10 * model::time::SECOND;

/// A money limit by currency index. A currency without one has its orders refused; one that is not limited
/// has [`MoneyLimit::NONE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyLimit(pub Vec<Option<Amount>>);

impl MoneyLimit {
    /// Nothing is above it: the rule is off in the currency.
    pub const NONE: Amount = Amount::MAX;

    /// The limit in a currency.
    #[inline]
    pub fn of(&self, currency: CurrencyIdx) -> Option<Amount> {
        self.0.get(currency.index()).copied().flatten()
    }
}

/// The limits of a namespace or of one strategy. `None`: no such limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest quantity of one order.
    pub order_quantity: Option<Quantity>,
    /// Largest notional of one order.
    pub order_notional: Option<MoneyLimit>,
    /// Largest position per instrument, long or short.
    pub position_quantity: Option<Quantity>,
    /// Largest value of the position per instrument, long or short.
    pub position_notional: Option<MoneyLimit>,
    /// Largest sum of all positions' values and working entries.
    pub gross_exposure: Option<MoneyLimit>,
    /// Most orders working at once.
    pub open_orders: Option<u32>,
    /// Most orders within one second of the clock.
    pub orders_per_second: Option<u32>,
    /// Most orders within one trading day.
    pub orders_per_day: Option<u32>,
    /// Most entry orders of one strategy within one trading day.
    pub trades_per_day: Option<u32>,
    /// Furthest distance from the last trade, in units of 10⁻⁸.
    pub price_band: Option<i64>,
    /// Loss since the trading day's start at which trading halts.
    pub daily_loss: Option<MoneyLimit>,
    /// Fall from the equity's peak at which trading halts.
    pub drawdown: Option<MoneyLimit>,
    /// What follows when a loss limit is reached.
    pub on_breach: OnBreachTable,
    /// Oldest last price for an entry, in nanoseconds.
    pub stale_market_data: Option<i64>,
    /// Oldest signal for an entry, in nanoseconds.
    pub stale_signal: Option<i64>,
    /// Whether orders are refused outside the session.
    pub session_open: bool,
    /// Whether prices and quantities must be multiples of tick and lot.
    pub tick_and_lot: bool,
    /// Whether limits are rounded to the tick first, on the side that costs nothing.
    pub round_limits: bool,
    /// Which short positions are allowed.
    pub short_selling: ShortSelling,
    /// By instrument: whether it may be entered; empty: all may.
    pub allow: Vec<bool>,
    /// By instrument: whether it may not be entered; empty: none.
    pub deny: Vec<bool>,
    /// Time within which a signal like the one before it is refused, in nanoseconds.
    pub duplicate_window: Option<i64>,
    /// Whether entries must be covered by the available cash.
    pub available_cash: bool,
    /// What positions ask of it.
    pub margin: Margin,
    /// Whether a loss limit is set at all.
    pub watches_losses: bool,
}

/// No limits but those that are on unless switched off.
impl Default for Limits {
    fn default() -> Self {
        Self {
            order_quantity: None,
            order_notional: None,
            position_quantity: None,
            position_notional: None,
            gross_exposure: None,
            open_orders: None,
            orders_per_second: None,
            orders_per_day: None,
            trades_per_day: None,
            price_band: None,
            daily_loss: None,
            drawdown: None,
            on_breach: OnBreachTable::default(),
            stale_market_data: None,
            stale_signal: None,
            session_open: true,
            tick_and_lot: true,
            round_limits: false,
            short_selling: ShortSelling::Allowed,
            allow: Vec::new(),
            deny: Vec::new(),
            duplicate_window: None,
            available_cash: false,
            margin: Margin::default(),
            watches_losses: false,
        }
    }
}

/// A loss limit that has been reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The limit's rule.
    pub reason: Reason,
    /// The loss and the limit.
    pub breach: Breach,
    /// Whether positions are squared off for it.
    pub squares_off: bool,
}

impl Limits {
    /// The rules that guard money unless the settings switch them off, and are off, each with where: what
    /// a start, a backtest's summary and the checks of a start name.
    pub fn switched_off(&self, currencies: &[Currency]) -> Vec<String> {
        let money = [
            ("order_notional", &self.order_notional),
            ("position_notional", &self.position_notional),
            ("gross_exposure", &self.gross_exposure),
            ("daily_loss", &self.daily_loss),
        ];
        let mut off = Vec::new();
        for (key, limit) in money {
            let Some(limit) = limit else {
                off.push(key.to_owned());
                continue;
            };
            let without: Vec<&str> = currencies
                .iter()
                .enumerate()
                .filter(|(at, _)| limit.of(CurrencyIdx(*at as u16)) == Some(MoneyLimit::NONE))
                .map(|(_, currency)| currency.code())
                .collect();
            if !without.is_empty() {
                off.push(format!("{key} in {}", without.join(", ")));
            }
        }
        let flags = [
            ("available_cash", self.available_cash),
            ("session_open", self.session_open),
            ("tick_and_lot", self.tick_and_lot),
        ];
        off.extend(
            flags
                .iter()
                .filter(|(_, is_on)| !is_on)
                .map(|(key, _)| (*key).to_owned()),
        );
        off
    }

    /// The loss limit of a currency that has been reached, given the day's profit and the fall from
    /// the peak; `only_square_off`: among those whose positions are squared off for it.
    #[inline]
    pub fn loss_reached(
        &self,
        currency: CurrencyIdx,
        day: Amount,
        fall: Amount,
        only_square_off: bool,
    ) -> Option<Reached> {
        let reached = |limit: &Option<MoneyLimit>, loss: Amount, on_breach: OnBreach, reason| {
            let limit = limit.as_ref()?.of(currency)?;
            let squares_off = on_breach == OnBreach::SquareOff;
            (loss >= limit && (squares_off || !only_square_off)).then_some(Reached {
                reason,
                breach: Breach {
                    currency,
                    loss,
                    limit,
                },
                squares_off,
            })
        };
        let on = &self.on_breach;
        let daily = reached(
            &self.daily_loss,
            day.negate(),
            on.daily_loss,
            Reason::DailyLoss,
        );
        daily.or_else(|| reached(&self.drawdown, fall, on.drawdown, Reason::Drawdown))
    }

    /// Whether a loss limit squares positions off.
    #[inline]
    pub const fn squares_off(&self) -> bool {
        matches!(self.on_breach.daily_loss, OnBreach::SquareOff)
            || matches!(self.on_breach.drawdown, OnBreach::SquareOff)
    }
}
