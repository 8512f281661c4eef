//! At what price and quantity an order fills on a market input. Reads only.

use model::fixed::ONE;
use model::market::Level;
use model::signal::{Side, Validity};
use model::{Bar, Instrument, Price, Quantity};

use crate::book::{Market, Resting};
use crate::settings::Resolved;

/// A part of a market input. A bar's open is known first; of its extremes nobody knows which came
/// first, so the worse is taken to: stops before limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A tick, or the close of a bar for an order that looks ahead.
    Instant,
    /// A bar's open.
    Open,
    /// Within a bar: stops.
    Stops,
    /// Within a bar: limits.
    Limits,
}

impl Moment {
    pub const TICK: &'static [Self] = &[Self::Instant];
    pub const BAR: &'static [Self] = &[Self::Open, Self::Stops, Self::Limits, Self::Instant];
}

/// What an order does on a market input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing.
    Nothing,
    /// Its trigger is reached.
    Trigger,
    /// It executes.
    Fill {
        price: Price,
        quantity: Quantity,
        draws: u32,
    },
    /// It wanted to execute at once and cannot.
    Cancel,
}

/// A price at which an order can execute now, how much there is at it, and how much at all prices
/// that the order accepts.
struct Offer {
    price: Price,
    available: Quantity,
    reachable: Quantity,
}

impl Offer {
    const fn unlimited(price: Price) -> Self {
        Self {
            price,
            available: Quantity::MAX,
            reachable: Quantity::MAX,
        }
    }
}

/// What is matched with what.
pub(crate) struct Match<'a> {
    pub order: &'a Resting,
    pub market: &'a Market,
    pub instrument: &'a Instrument,
    pub settings: &'a Resolved,
}

impl Match<'_> {
    /// What the order does at this moment of the market input.
    pub fn outcome(&self, moment: Moment) -> Outcome {
        let order = self.order;
        // An order that looks ahead knows no more of a bar than its close.
        let input = self.market.input;
        let looks_ahead = order.placed >= input && !order.entered_in_bar(input);
        if self.market.bar.is_some() && (moment == Moment::Instant) != looks_ahead {
            return Outcome::Nothing;
        }
        // The open was past when its parent filled.
        if moment == Moment::Open && order.entered_within(input).is_some() {
            return Outcome::Nothing;
        }
        // "At once" is a tick, a bar's open, or the close that is looked ahead to.
        let at_once = matches!(moment, Moment::Instant | Moment::Open);
        let unfilled = if order.is_immediate() && at_once {
            Outcome::Cancel
        } else {
            Outcome::Nothing
        };
        if order.waits_for_trigger() {
            return if self.triggers(moment) {
                Outcome::Trigger
            } else {
                unfilled
            };
        }
        let Some(offer) = self.offer(moment) else {
            return unfilled;
        };
        let (open, share) = (order.open_on(input), self.share());
        if order.validity == Validity::Fok
            && order.filled.is_zero()
            && offer.reachable.min(share) < open
        {
            return Outcome::Cancel;
        }
        let (quantity, draws) = self.cut(offer.available.min(share).min(open));
        if quantity <= Quantity::ZERO {
            return unfilled;
        }
        Outcome::Fill {
            price: offer.price,
            quantity,
            draws,
        }
    }

    fn triggers(&self, moment: Moment) -> bool {
        let price = match (&self.market.bar, moment, self.order.side) {
            (Some(bar), Moment::Open, _) => bar.open,
            (Some(bar), Moment::Stops, Side::Buy) => bar.high,
            (Some(bar), Moment::Stops, Side::Sell) => bar.low,
            (Some(_), Moment::Limits, _) => return false,
            _ => self.market.quote.price,
        };
        // An order that wants all at once does not wait for what a bar does after its open.
        !(moment == Moment::Stops && self.order.is_immediate()) && self.order.reaches(price)
    }

    /// Cuts a fill to a random part of its lots, as often as the settings say; the draws that the
    /// order has then used: one for whether, one more for how much.
    fn cut(&self, quantity: Quantity) -> (Quantity, u32) {
        let (order, settings) = (self.order, self.settings);
        if settings.partial == 0 || order.validity == Validity::Fok || quantity <= Quantity::ZERO {
            return (quantity, order.draws);
        }
        if order.cut_at == Some(self.market.input) {
            return (Quantity::ZERO, order.draws);
        }
        let lot = self.instrument.lot_size.raw().max(1);
        let lots = (quantity.raw() / lot) as u64;
        let is_cut = order.id.draw(settings.seed, order.draws) >> 32 < settings.partial;
        if !is_cut || lots < 2 {
            return (quantity, order.draws.saturating_add(1));
        }
        let part = 1 + order.id.draw(settings.seed, order.draws.saturating_add(1)) % (lots - 1);
        (
            Quantity::from_raw(part as i64 * lot),
            order.draws.saturating_add(2),
        )
    }

    /// The next price at which the order can execute.
    fn offer(&self, moment: Moment) -> Option<Offer> {
        match (&self.market.bar, moment) {
            (Some(bar), Moment::Open) => self.at_open(bar),
            (Some(bar), Moment::Stops) => self.at_trigger(bar),
            (Some(bar), Moment::Limits) => self.at_limit(bar),
            (Some(bar), Moment::Instant) => self.take(bar.close, false),
            (None, _) if self.order.waited(self.market.input) => self.wait(),
            (None, _) => match self.levels() {
                Some(levels) => self.walk(levels),
                None => {
                    let quote = self.market.quote.against(self.order.side);
                    if quote.is_zero() {
                        self.take(self.market.quote.price, false)
                    } else {
                        self.take(quote, true)
                    }
                }
            },
        }
    }

    /// At the bar's open: market orders, stops that it jumped over, limits that it is better than.
    fn at_open(&self, bar: &Bar) -> Option<Offer> {
        if self.order.triggered_within(bar, self.market.input) {
            return None;
        }
        if self.order.waited(self.market.input) {
            let fills = self.order.accepts_trade(bar.open, self.settings.through);
            return fills.then(|| Offer::unlimited(bar.open));
        }
        self.take(bar.open, false)
    }

    /// At the trigger that was reached within the bar. What the bar did after that is not known, so
    /// a stop-limit order whose limit is worse than its trigger waits for the next bar. The stop of an
    /// entry that filled within this bar sells no higher, and buys no lower, than that did.
    fn at_trigger(&self, bar: &Bar) -> Option<Offer> {
        let (order, input) = (self.order, self.market.input);
        if !order.triggered_within(bar, input) {
            return None;
        }
        let trigger = order.trigger?;
        let price = match (order.entered_within(input), order.side) {
            (None, _) => trigger,
            (Some(entered), Side::Buy) => trigger.max(entered.price),
            (Some(entered), Side::Sell) => trigger.min(entered.price),
        };
        self.take(price, false)
    }

    /// At the limit that was reached within the bar, after its open.
    fn at_limit(&self, bar: &Bar) -> Option<Offer> {
        let limit = self.order.limit?;
        let within = self.order.triggered_within(bar, self.market.input);
        if within || self.order.is_immediate() {
            return None;
        }
        let extreme = if self.order.side == Side::Buy {
            bar.low
        } else {
            bar.high
        };
        let fills = self.order.accepts_trade(extreme, self.settings.through);
        fills.then(|| Offer::unlimited(limit))
    }

    /// Takes what is offered at `price`: by a quote, or, where there is none, by the last trade.
    fn take(&self, price: Price, quoted: bool) -> Option<Offer> {
        let through = self.settings.through && !quoted;
        self.order
            .accepts_trade(price, through)
            .then(|| Offer::unlimited(self.slip(price)))
    }

    /// An order that has been in the book: whoever trades through it gives it its own price.
    fn wait(&self) -> Option<Offer> {
        let (order, market) = (self.order, self.market);
        let through = self.settings.through;
        let limit = order.limit?;
        if market.has_trade && order.accepts_trade(market.quote.price, through) {
            return Some(Offer::unlimited(limit));
        }
        let Some(levels) = self.levels() else {
            let quote = market.quote.against(order.side);
            let crosses = !quote.is_zero() && order.accepts_trade(quote, through);
            return crosses.then(|| Offer::unlimited(limit));
        };
        // Quotes came to it without a trade: no more than they hold.
        let best = levels.iter().find(|l| is_offer(l))?;
        order.accepts_trade(best.price, through).then_some(())?;
        let left = self.left(levels, |l| order.accepts(l.price));
        Some(Offer {
            price: limit,
            available: left,
            reachable: left,
        })
    }

    /// The five levels of the other side, where they are known and used.
    fn levels(&self) -> Option<&[Level; 5]> {
        let depth = self
            .market
            .depth
            .as_ref()
            .filter(|_| self.settings.use_depth)?;
        Some(if self.order.side == Side::Buy {
            &depth.asks
        } else {
            &depth.bids
        })
    }

    /// What the chosen levels hold, less what orders have taken from this side on this input.
    fn left(&self, levels: &[Level; 5], chosen: impl Fn(&Level) -> bool) -> Quantity {
        let sum = levels
            .iter()
            .filter(|l| is_offer(l) && chosen(l))
            .fold(0i64, |sum, l| sum.saturating_add(l.quantity.raw()));
        Quantity::from_raw((sum - self.market.taken(self.order.side).raw()).max(0))
    }

    /// The best level of which something is left.
    fn walk(&self, levels: &[Level; 5]) -> Option<Offer> {
        let mut taken = self.market.taken(self.order.side).raw();
        for level in levels.iter().filter(|l| is_offer(l)) {
            let left = level.quantity.raw() - taken;
            if left <= 0 {
                taken -= level.quantity.raw();
                continue;
            }
            let reachable = self.left(levels, |l| self.order.accepts(l.price));
            return self.order.accepts(level.price).then(|| Offer {
                price: self.slip(level.price),
                available: Quantity::from_raw(left),
                reachable,
            });
        }
        None
    }

    /// How much of this input the order may have: its share of what traded, less what orders of
    /// both sides have had of it.
    fn share(&self) -> Quantity {
        if self.settings.participation == 0 {
            return Quantity::MAX;
        }
        let market = self.market;
        let taken =
            i128::from(market.taken_from_asks.raw()) + i128::from(market.taken_from_bids.raw());
        let share = i128::from(market.traded().raw()) * i128::from(self.settings.participation)
            / i128::from(ONE)
            - taken;
        let share = Quantity::from_raw(i64::try_from(share.max(0)).unwrap_or(i64::MAX));
        // Whole lots, unless it is the last of an order that is no multiple of them.
        if share >= self.order.open() {
            share
        } else {
            share.floor_to(self.instrument.lot_size)
        }
    }

    /// The price after slippage, rounded against the order, never beyond its limit.
    fn slip(&self, price: Price) -> Price {
        let settings = self.settings;
        if settings.slippage_bps == 0 && settings.slippage_ticks == 0 {
            return price;
        }
        let (raw, tick) = (i128::from(price.raw()), self.instrument.tick_size);
        let bps = (raw * i128::from(settings.slippage_bps) + BASIS_POINT - 1) / BASIS_POINT;
        let loss = bps + i128::from(tick.raw()) * i128::from(settings.slippage_ticks);
        let loss = i64::try_from(loss).unwrap_or(i64::MAX);
        match self.order.side {
            Side::Buy => {
                let raised = Price::from_raw(price.raw().saturating_add(loss)).min(Price::MAX);
                let raised = raised.ceil_to(tick).unwrap_or(Price::MAX).min(Price::MAX);
                self.order
                    .limit
                    .map_or(raised, |limit| raised.min(limit))
                    .max(price)
            }
            Side::Sell => {
                let lowered = Price::from_raw(price.raw().saturating_sub(loss)).floor_to(tick);
                // No sale below the lowest price there is.
                let lowered = lowered.max(tick.max(Price::MIN));
                self.order
                    .limit
                    .map_or(lowered, |limit| lowered.max(limit))
                    .min(price)
            }
        }
    }
}

/// One basis point of a price, in the units of [`Resolved::slippage_bps`].
const BASIS_POINT: i128 = 10_000 * ONE as i128;

fn is_offer(level: &Level) -> bool {
    !level.price.is_zero() && level.quantity > Quantity::ZERO
}
