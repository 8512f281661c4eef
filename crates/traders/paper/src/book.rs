//! The orders at the paper exchange and the market that they are matched with.

use model::order::OrderIntent;
use model::reason::Reason;
use model::signal::{Bracket, OrderType, Side, Validity};
use model::{Bar, Depth, InstrumentIdx, OrderId, Price, Quantity, Tick, Timestamp};
use serde::{Deserialize, Serialize};

/// An order at the exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resting {
    pub id: OrderId,
    pub instrument: InstrumentIdx,
    pub side: Side,
    pub order_type: OrderType,
    pub limit: Option<Price>,
    pub trigger: Option<Price>,
    pub validity: Validity,
    pub oco: Option<OrderId>,
    /// The entry that this leg protects.
    pub parent: Option<OrderId>,
    /// Whether legs are attached to it as it fills.
    pub has_legs: bool,
    /// The fill of its parent on the market input on which this leg reached the market.
    pub entered: Option<Entered>,
    /// On this market input, no more than this total quantity may fill: the rest protects what was
    /// entered when the bar's extremes may have been past.
    pub held_to: Option<(u64, Quantity)>,
    /// Total quantity and what has executed of it.
    pub quantity: Quantity,
    pub filled: Quantity,
    pub executions: u32,
    pub draws: u32,
    /// The number of the market input after which it was placed.
    pub placed: u64,
    /// When it reaches the market, and when its time runs out.
    pub arrives: Timestamp,
    pub expires: Timestamp,
    /// Until when it may be presented again.
    pub send_by: Timestamp,
    pub acknowledged: bool,
    /// The first market input on which it could fill; none yet while it may not be matched.
    pub first_input: Option<u64>,
    /// The market input on which its trigger was reached.
    pub triggered_at: Option<u64>,
    /// The market input of its latest random partial fill: one such fill per input.
    pub cut_at: Option<u64>,
    pub cancel: Option<(Timestamp, Reason)>,
    /// Requested total quantities with the times at which they reach the market, oldest first.
    pub modifies: Vec<(Timestamp, Quantity)>,
    /// The total quantity that the pair's other leg has left it; holds at once.
    pub oco_quantity: Option<Quantity>,
    /// The time of the latest event of its life: its reports never go back in time.
    pub reported: Timestamp,
}

/// At which moment of a market input an entry filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EntryMoment {
    /// On a tick, or at a bar's close by an order that looks ahead.
    Instant,
    /// At a bar's open: all of the bar follows.
    Open,
    /// Within a bar: how much of it follows is not known.
    Within,
}

/// The fill of an entry with legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entered {
    pub order: OrderId,
    pub input: u64,
    pub moment: EntryMoment,
    pub price: Price,
}

/// Changes of one order that are on their way at most; the newest then takes the last one's place.
const MODIFIES_MAX: usize = 16;

impl Resting {
    pub fn new(intent: &OrderIntent, placed: u64, arrives: Timestamp, expires: Timestamp) -> Self {
        Self {
            id: intent.id,
            instrument: intent.instrument,
            side: intent.side,
            order_type: intent.order_type,
            limit: intent.limit_price,
            trigger: intent.trigger_price,
            validity: intent.validity,
            oco: intent.oco,
            parent: intent.parent,
            has_legs: intent.bracket != Bracket::default(),
            entered: None,
            held_to: None,
            quantity: intent.quantity,
            filled: Quantity::ZERO,
            executions: 0,
            draws: 0,
            placed,
            arrives,
            expires,
            send_by: intent.send_by,
            acknowledged: false,
            first_input: None,
            triggered_at: None,
            cut_at: None,
            cancel: None,
            modifies: Vec::new(),
            oco_quantity: None,
            reported: intent.submitted,
        }
    }

    /// What may still execute.
    pub fn open(&self) -> Quantity {
        Quantity::from_raw(self.quantity.raw() - self.filled.raw())
    }

    /// What may still execute on a market input.
    pub fn open_on(&self, input: u64) -> Quantity {
        match self.held_to {
            Some((at, total)) if at == input => {
                Quantity::from_raw((total.raw() - self.filled.raw()).clamp(0, self.open().raw()))
            }
            _ => self.open(),
        }
    }

    /// The fill of its parent within this bar, where that brought the leg to the market.
    pub fn entered_within(&self, input: u64) -> Option<&Entered> {
        let within = |e: &&Entered| e.input == input && e.moment == EntryMoment::Within;
        self.entered.as_ref().filter(within)
    }

    /// Whether its parent's fill in this bar, at the open or after it, brought the leg to the market.
    pub fn entered_in_bar(&self, input: u64) -> bool {
        let in_bar = |e: &Entered| e.input == input && e.moment != EntryMoment::Instant;
        self.entered.as_ref().is_some_and(in_bar)
    }

    /// Whether its trigger was reached within this bar, after its open.
    pub fn triggered_within(&self, bar: &Bar, input: u64) -> bool {
        self.triggered_at == Some(input)
            && (!self.reaches(bar.open) || self.entered_within(input).is_some())
    }

    /// At which moment of the market input an execution of it happens.
    pub fn moment(&self, market: &Market, through: bool) -> EntryMoment {
        match &market.bar {
            Some(bar) if self.placed < market.input => {
                let at_open = !self.triggered_within(bar, market.input)
                    && self.accepts_trade(bar.open, through);
                if at_open {
                    EntryMoment::Open
                } else {
                    EntryMoment::Within
                }
            }
            _ => EntryMoment::Instant,
        }
    }

    /// Whether its limit price, if it has one, is as good as or better than `price`.
    pub fn accepts(&self, price: Price) -> bool {
        match (self.limit, self.side) {
            (None, _) => true,
            (Some(limit), Side::Buy) => price <= limit,
            (Some(limit), Side::Sell) => price >= limit,
        }
    }

    /// Whether a trade at `price` fills it where it waits at its limit; `through`: only a better
    /// one does.
    pub fn accepts_trade(&self, price: Price, through: bool) -> bool {
        self.accepts(price) && !(through && self.limit == Some(price))
    }

    /// Whether a trade at `price` reaches its trigger.
    pub fn reaches(&self, price: Price) -> bool {
        match (self.trigger, self.side) {
            (None, _) => true,
            (Some(trigger), Side::Buy) => price >= trigger,
            (Some(trigger), Side::Sell) => price <= trigger,
        }
    }

    /// Whether it still waits for its trigger.
    pub fn waits_for_trigger(&self) -> bool {
        self.order_type.has_trigger() && self.triggered_at.is_none()
    }

    /// Whether it fills at once or not at all.
    pub fn is_immediate(&self) -> bool {
        matches!(self.validity, Validity::Ioc | Validity::Fok)
    }

    /// Whether it has been in the book since before this market input. Others come to it then; it
    /// does not pay for taking what is there.
    pub fn waited(&self, input: u64) -> bool {
        self.limit.is_some()
            && self
                .first_input
                .max(self.triggered_at)
                .is_some_and(|i| i < input)
    }

    /// Takes a requested change that reaches the market at `at`; the time of the one that it
    /// replaces, if there are too many.
    pub fn request(&mut self, at: Timestamp, quantity: Quantity) -> Option<Timestamp> {
        let replaced = (self.modifies.len() >= MODIFIES_MAX)
            .then(|| self.modifies.pop())
            .flatten();
        self.modifies.push((at, quantity));
        replaced
            .map(|(at, _)| at)
            .filter(|replaced| *replaced != at)
    }

    /// The other leg of the pair has executed `quantity`: so much less is left for this one, and
    /// for what was asked before that was known. True when nothing is left.
    pub fn give_way(&mut self, quantity: Quantity) -> bool {
        let less = |total: Quantity| Quantity::from_raw(total.raw() - quantity.raw());
        for (_, requested) in &mut self.modifies {
            *requested = less(*requested);
        }
        let rest = less(self.oco_quantity.unwrap_or(self.quantity));
        self.oco_quantity = Some(rest);
        rest <= self.filled
    }

    /// What it has to say apart from triggers and executions.
    pub fn announcement(&self, now: Timestamp, expires: Timestamp) -> Option<Announcement> {
        if self.arrives > now {
            return None;
        }
        if !self.acknowledged {
            return Some(Announcement::Acknowledged);
        }
        if let Some((at, reason)) = self.cancel
            && at <= now
        {
            return Some(Announcement::Cancelled(reason));
        }
        let requested = self
            .modifies
            .first()
            .filter(|(at, _)| *at <= now)
            .map(|(_, q)| *q);
        if let Some(total) = self.oco_quantity.or(requested) {
            let total = total.min(Quantity::MAX).max(self.filled);
            return Some(if total.is_zero() {
                Announcement::Cancelled(Reason::PositionClosed)
            } else {
                Announcement::Modified(total)
            });
        }
        (expires <= now).then_some(Announcement::Expired(match self.validity {
            Validity::Gtd(_) => Reason::GoodTillReached,
            _ => Reason::SessionEnd,
        }))
    }
}

/// What an order can have to say without a market input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announcement {
    Acknowledged,
    Cancelled(Reason),
    Modified(Quantity),
    Expired(Reason),
}

/// The working orders of an instrument, in the order of their submission.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Book {
    pub orders: Vec<Resting>,
    /// Whether its market data comes as bars.
    pub bars: bool,
    /// Its latest price.
    pub last: Price,
}

impl Book {
    /// When an order's time runs out. A bar is delivered at its close: the one that ends with the
    /// order's time is still matched.
    pub fn expires(&self, order: &Resting) -> Timestamp {
        order.expires.plus(i64::from(self.bars))
    }
}

/// What matching needs of a tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quote {
    pub price: Price,
    pub quantity: Quantity,
    pub bid: Price,
    pub ask: Price,
}

impl Quote {
    #[inline]
    pub fn of(tick: &Tick) -> Self {
        Self {
            price: tick.price,
            quantity: tick.quantity,
            bid: tick.bid,
            ask: tick.ask,
        }
    }
    /// The best price on the side that an order of this side meets; zero where unknown.
    pub fn against(&self, side: Side) -> Price {
        match side {
            Side::Buy => self.ask,
            Side::Sell => self.bid,
        }
    }
}

/// The latest market input of an instrument and what orders have taken from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Market {
    /// Its number among all market inputs; zero before the first.
    pub input: u64,
    pub quote: Quote,
    /// Whether the tick is, or may be, a trade.
    pub has_trade: bool,
    pub depth: Option<Depth>,
    pub bar: Option<Bar>,
    pub taken_from_asks: Quantity,
    pub taken_from_bids: Quantity,
}

impl Market {
    pub fn taken(&self, side: Side) -> Quantity {
        match side {
            Side::Buy => self.taken_from_asks,
            Side::Sell => self.taken_from_bids,
        }
    }
    /// Books what an order on `side` has taken.
    pub fn take(&mut self, side: Side, quantity: Quantity) {
        let taken = match side {
            Side::Buy => &mut self.taken_from_asks,
            Side::Sell => &mut self.taken_from_bids,
        };
        *taken = Quantity::from_raw(taken.raw().saturating_add(quantity.raw()));
    }
    /// What traded on this input.
    pub fn traded(&self) -> Quantity {
        self.bar.map_or(self.quote.quantity, |bar| bar.volume)
    }
}
