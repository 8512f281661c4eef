//! A paper trader with its pipeline's part played by the suite's adapter.

use std::sync::Arc;

use model::ids::{NameHash, StrategyIdx};
use model::market::{Bar, Depth, Level, MarketData, Tick, Timeframe};
use model::order::{OrderIntent, OrderRole};
use model::signal::{Bracket, OrderType, Product, Side, Validity};
use model::time::{MINUTE, SECOND};
use model::trader::{InPipelineTrader, ReportKind, TraderCommand, TraderReport};
use model::{CorrelationId, InstrumentIdx, OrderId, Price, Quantity, Timestamp};
use paper::{PaperSettings, PaperTrader};
use traders::conformance::{Fixture, InPipelineSubject, Profile, Subject};

pub const MS: i64 = 1_000_000;

/// Hundredths.
pub fn cents(cents: i64) -> Price {
    Price::from_raw(cents * model::fixed::ONE / 100)
}

pub fn units(units: i64) -> Quantity {
    Quantity::from_int(units).unwrap()
}

pub struct Desk {
    pub subject: InPipelineSubject,
    pub now: Timestamp,
    pub log: Vec<TraderReport>,
    given: u32,
}

pub fn trader(settings: &PaperSettings) -> PaperTrader {
    let fixture = Fixture::new();
    PaperTrader::new(
        settings.clone(),
        fixture.instruments,
        Arc::clone(&fixture.sessions),
    )
    .unwrap()
}

impl Desk {
    pub fn new(settings: PaperSettings) -> Self {
        let build = move || -> Box<dyn InPipelineTrader> { Box::new(trader(&settings)) };
        Self {
            subject: InPipelineSubject::new(build, Profile::default()),
            now: Fixture::new().start,
            log: Vec::new(),
            given: 0,
        }
    }

    pub fn intent(&mut self, side: Side, quantity: i64, order_type: OrderType) -> OrderIntent {
        self.given += 1;
        OrderIntent {
            id: OrderId::derive(NameHash::of("desk"), u128::from(self.given), 0),
            correlation: CorrelationId(1),
            signal: None,
            strategy: StrategyIdx(1),
            instrument: Fixture::SHARE,
            role: OrderRole::Entry,
            side,
            quantity: units(quantity),
            increase: units(quantity),
            order_type,
            limit_price: None,
            trigger_price: None,
            validity: Validity::Day,
            product: Product::Intraday,
            bracket: Bracket::default(),
            oco: None,
            parent: None,
            submitted: self.now,
            send_by: self.now.plus(5 * SECOND),
        }
    }

    pub fn give(&mut self, intent: OrderIntent) -> OrderId {
        self.command(&TraderCommand::Submit(intent));
        intent.id
    }

    pub fn market(&mut self, side: Side, quantity: i64) -> OrderId {
        let intent = self.intent(side, quantity, OrderType::Market);
        self.give(intent)
    }

    pub fn limit(&mut self, side: Side, quantity: i64, limit: i64) -> OrderId {
        let intent = self.intent(side, quantity, OrderType::Limit);
        self.give(OrderIntent {
            limit_price: Some(cents(limit)),
            ..intent
        })
    }

    pub fn stop(&mut self, side: Side, quantity: i64, trigger: i64) -> OrderId {
        let intent = self.intent(side, quantity, OrderType::Stop);
        self.give(OrderIntent {
            trigger_price: Some(cents(trigger)),
            ..intent
        })
    }

    pub fn stop_limit(&mut self, side: Side, quantity: i64, trigger: i64, limit: i64) -> OrderId {
        let intent = self.intent(side, quantity, OrderType::StopLimit);
        let (trigger_price, limit_price) = (Some(cents(trigger)), Some(cents(limit)));
        self.give(OrderIntent {
            trigger_price,
            limit_price,
            ..intent
        })
    }

    pub fn pair(&mut self, side: Side, quantity: i64, trigger: i64, limit: i64) -> [OrderId; 2] {
        let stop = self.intent(side, quantity, OrderType::Stop);
        let target = self.intent(side, quantity, OrderType::Limit);
        let (a, b) = (stop.id, target.id);
        self.give(OrderIntent {
            trigger_price: Some(cents(trigger)),
            oco: Some(b),
            ..stop
        });
        self.give(OrderIntent {
            limit_price: Some(cents(limit)),
            oco: Some(a),
            ..target
        });
        [a, b]
    }

    pub fn command(&mut self, command: &TraderCommand) {
        self.subject.command(command, self.now);
        self.log.extend(self.subject.reports());
    }

    pub fn modify(&mut self, order: OrderId, quantity: i64) {
        let quantity = units(quantity);
        let command = TraderCommand::Modify {
            order,
            quantity,
            limit_price: None,
            trigger_price: None,
        };
        self.command(&command);
    }

    pub fn wait(&mut self, nanos: i64) {
        self.now = self.now.plus(nanos);
        self.subject.time(self.now);
        self.log.extend(self.subject.reports());
    }

    /// A tick now.
    pub fn tick(&mut self, tick: Tick, depth: Option<&Depth>) {
        let tick = Tick {
            ts: self.now,
            ..tick
        };
        self.subject
            .market(&MarketData::Tick(&tick, depth), self.now);
        self.log.extend(self.subject.reports());
    }

    /// A trade of plenty a second later.
    pub fn trade(&mut self, price: i64) {
        self.now = self.now.plus(SECOND);
        self.tick(trade(price, 1_000_000), None);
    }

    /// The bar of the next minute.
    pub fn bar(&mut self, prices: [i64; 4]) {
        self.bar_of(Fixture::SHARE, self.now, prices);
    }

    pub fn bar_of(&mut self, instrument: InstrumentIdx, open_ts: Timestamp, prices: [i64; 4]) {
        self.now = open_ts.plus(MINUTE);
        let [open, high, low, close] = prices.map(cents);
        let bar = Bar {
            open_ts,
            close_ts: self.now,
            open,
            high,
            low,
            close,
            volume: units(100),
            open_interest: Quantity::ZERO,
            instrument,
            timeframe: Timeframe::MINUTE,
        };
        self.subject.market(&MarketData::Bar(&bar), self.now);
        self.log.extend(self.subject.reports());
    }

    /// Quantities in units and prices in hundredths of an order's executions.
    pub fn fills(&self, order: OrderId) -> Vec<(i64, i64)> {
        self.of(order)
            .filter_map(|kind| match kind {
                ReportKind::Filled {
                    quantity, price, ..
                } => Some((
                    quantity.raw() / model::fixed::ONE,
                    price.raw() / (model::fixed::ONE / 100),
                )),
                _ => None,
            })
            .collect()
    }

    pub fn of(&self, order: OrderId) -> impl Iterator<Item = ReportKind> {
        self.log
            .iter()
            .filter(move |r| r.order == order)
            .map(|r| r.kind)
    }

    pub fn last(&self, order: OrderId) -> Option<ReportKind> {
        self.of(order).last()
    }

    pub fn is_cancelled(&self, order: OrderId) -> bool {
        matches!(self.last(order), Some(ReportKind::Cancelled(_)))
    }
}

/// A trade without quotes.
pub fn trade(price: i64, quantity: i64) -> Tick {
    let instrument = Fixture::SHARE;
    Tick {
        price: cents(price),
        quantity: units(quantity),
        instrument,
        ..Tick::default()
    }
}

/// A quote around the last price; nothing traded, in a feed that counts volume.
pub fn quote(last: i64, bid: i64, ask: i64) -> Tick {
    let volume = units(1_000);
    Tick {
        bid: cents(bid),
        ask: cents(ask),
        volume,
        ..trade(last, 0)
    }
}

/// Levels as (price, quantity), best first.
pub fn depth(bids: &[(i64, i64)], asks: &[(i64, i64)]) -> Depth {
    let side = |levels: &[(i64, i64)]| {
        let mut side = [Level::default(); 5];
        for (slot, (price, quantity)) in side.iter_mut().zip(levels) {
            *slot = Level {
                price: cents(*price),
                quantity: units(*quantity),
                orders: 1,
            };
        }
        side
    };
    Depth {
        bids: side(bids),
        asks: side(asks),
    }
}
