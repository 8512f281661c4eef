//! Stable reason codes: what made the system refuse, end or stop something. A code is never reused.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($variant:ident = $code:literal, $text:literal;)*) => {
        /// Why a signal was refused, an order ended or trading stopped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason {
            $(#[doc = $text] $variant,)*
        }

        impl Reason {
            /// Every reason, in the order of definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
            /// One sentence for people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

reasons! {
    OrderQuantity = "order_quantity", "The order is larger than the quantity limit.";
    OrderNotional = "order_notional", "The order is worth more than the notional limit.";
    PositionQuantity = "position_quantity", "The position would exceed its limit for the instrument.";
    GrossExposure = "gross_exposure", "The sum of all positions and working entries would exceed the exposure limit.";
    OpenOrders = "open_orders", "Too many orders are working already.";
    OrdersPerSecond = "orders_per_second", "Too many orders within one second.";
    OrdersPerDay = "orders_per_day", "Too many orders within the trading day.";
    TradesPerDay = "trades_per_day", "The strategy has used up its entries of the trading day.";
    PriceBand = "price_band", "The limit or trigger price is too far from the last trade.";
    DailyLoss = "daily_loss", "The trading day's loss has reached its limit.";
    Drawdown = "drawdown", "The fall from the equity's peak has reached its limit.";
    StaleMarketData = "stale_market_data", "The instrument's last price is too old, or there is none.";
    StaleSignal = "stale_signal", "The signal is too old to act on.";
    SessionClosed = "session_closed", "The instrument's session is closed.";
    TickSize = "tick_size", "A price is not a multiple of the instrument's tick size.";
    LotSize = "lot_size", "The quantity is not a multiple of the instrument's lot size.";
    ShortSelling = "short_selling", "The product or the settings do not allow a short position.";
    InstrumentDenied = "instrument_denied", "The instrument is not on the allow list, or is on the deny list.";
    DuplicateSignal = "duplicate_signal", "This signal, or one just like it, has been taken already.";
    InsufficientCash = "insufficient_cash", "The available cash does not cover the order.";
    ReduceOnly = "reduce_only", "The broker is in reduce-only: exposure may not grow.";
    Halted = "halted", "The broker is halted: exposure may not grow.";
    StrategyDisabled = "strategy_disabled", "The strategy is disabled on this broker.";
    UnsupportedAssetClass = "unsupported_asset_class", "The broker cannot trade this asset class.";
    CurrencyLimitMissing = "currency_limit_missing", "A money limit is set, but not for this instrument's currency.";
    InvalidSignal = "invalid_signal", "The signal contradicts itself or holds a number outside the accepted window.";
    NothingToDo = "nothing_to_do", "Position and working orders already are what the signal asks for.";
    Overflow = "overflow", "An exact amount does not fit its type.";
    SupersededTarget = "superseded_target", "A newer target took the place of this one before it could be sent.";
    OperatorRequest = "operator_request", "An operator asked for it.";
    SquareOff = "square_off", "The position is closed at its square-off time.";
    OcoFilled = "oco_filled", "The other leg of the pair has filled.";
    PositionClosed = "position_closed", "The position that the order protects is closed.";
    SessionEnd = "session_end", "The session has ended.";
    GoodTillReached = "good_till_reached", "The order's last instant has passed.";
    ImmediateRemainder = "immediate_remainder", "What did not fill at once is cancelled, as the order asks.";
    NotFilledAtOnce = "not_filled_at_once", "The whole quantity could not fill at once, as the order demands.";
    BrokerRejected = "broker_rejected", "The broker refused the order.";
    NotSent = "not_sent", "The order provably never reached the broker.";
    OutcomeUnknown = "outcome_unknown", "Whether the broker has the order cannot be told.";
    IllegalReport = "illegal_report", "The broker reported something that the order's life does not allow.";
    ImplausibleReport = "implausible_report", "The broker reported an execution that cannot be true: it is not booked, and the broker is asked about its order.";
    ReportConfirmed = "report_confirmed", "The broker's own book confirms an execution that looked impossible: it is booked.";
    ReportContradicted = "report_contradicted", "The broker's own book does not show an execution that it had reported: it is dropped.";
    OrderNotUnknown = "order_not_unknown", "The order's outcome is not in doubt: only one that is unknown, or of which a report is parked, is resolved by hand.";
    UnknownOrder = "unknown_order", "The broker reported on an order that is not known here.";
    StrategyPanic = "strategy_panic", "The strategy's code failed.";
    StrategyTimeout = "strategy_timeout", "The strategy used more than its time.";
    Panic = "panic", "A stage's code failed.";
    UnresolvedOrder = "unresolved_order", "An order of this strategy has an unknown outcome.";
    MarketLogFailed = "market_log_failed", "The market log cannot be written.";
    FeedStale = "feed_stale", "The market feed delivers nothing.";
    TraderUnreachable = "trader_unreachable", "The broker cannot be reached.";
    QueueFull = "queue_full", "A queue is full.";
    OrderTypeInPhase = "order_type_in_phase", "The session's phase does not take orders of this type.";
    FreezeQuantity = "freeze_quantity", "One order may not be larger than the exchange's freeze quantity.";
    ContractExpired = "contract_expired", "The contract has expired.";
    SquareOffSoon = "square_off_soon", "Intraday positions of this strategy are squared off soon.";
    MarketClosed = "market_closed", "Market data arrives while the calendar says that the market is closed.";
    OvernightShort = "overnight_short", "A position in delivery is short near the end of trading.";
    PhysicalDelivery = "physical_delivery", "The contract would be delivered physically: nothing is opened on its last day, and what is open is closed.";
    SettledAtLastPrice = "settled_at_last_price", "A contract was settled at its own last price, which stands for the exchange's final settlement price.";
    SettledAtUnderlying = "settled_at_underlying", "An option was settled at its value by the underlying's last price, which stands for the exchange's final settlement price.";
    ChargesUnknown = "charges_unknown", "What the day's contract note says cannot be told: the close's adjustment is missing.";
    PositionNotional = "position_notional", "The position would be worth more than its limit for the instrument.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}
