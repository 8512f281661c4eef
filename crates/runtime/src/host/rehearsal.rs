//! Rehearsals: what an order needs from the caches is in them before the order is.
//!
//! Between two ticks of a quiet market a core sleeps, and what it had in its caches is gone: the code
//! that judges, records and hands over an order then takes three times as long as when it was used a
//! moment ago. While the runner still works on a tick, a namespace whose broker is outside
//! plays the whole way of an order on an understudy: a [`Namespace`] of its own that has no strategy, no
//! link, no reader and no disk. Nothing that it does reaches a journal, a broker or a figure; what it
//! remembers of its orders is bounded as any namespace's.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::record::{MarketItem, Start, StrategyEntry};
use journal::storage::{OpenMode, StorageFile};
use journal::{LogOptions, Position, Storage};
use model::charges::NoCharges;
use model::ids::{CorrelationId, NameHash, SignalId, SourceSession, StrategyIdx};
use model::reason::Reason;
use model::rules::NoRules;
use model::session::{AlwaysOpen, Sessions};
use model::signal::{Action, Decision, Signal, Trigger};
use model::time::{MINUTE, SECOND};
use model::topic::Namespace as Name;
use model::trader::{Capabilities, Delivery};
use model::{
    Amount, AssetClass, InputId, Instrument, InstrumentIdx, Instruments, Price, Quantity, Tick,
    Timestamp,
};
use pipeline::broker::OnResume;
use pipeline::risk::{AutoResume, Limits, MoneyLimit};
use pipeline::{BrokerMask, BrokerPipeline, BrokerSettings};
use traders::Answer;

use crate::clock::{FeedClock, SessionClock, wall};
use crate::desk::{Call, DeskSettings, Outcome};
use crate::error::RuntimeError;
use crate::namespace::{Namespace, Recovery};
use crate::packet::Step;

/// What was used so short a time ago is still in the caches.
const WARM: Duration = Duration::from_micros(100);

const NAME: &str = "rehearsal";
const SOURCE: SourceSession = SourceSession(1);
const INSTRUMENT: InstrumentIdx = InstrumentIdx(0);
const ONE: Quantity = Quantity::from_raw(model::fixed::ONE);

/// Rehearses on an understudy. One that fails is given up: the namespace trades on, on cold caches.
pub(super) struct Rehearsal {
    understudy: Option<Understudy>,
    latest: Option<Instant>,
}

impl Rehearsal {
    pub(super) fn new() -> Self {
        Self {
            understudy: catch_unwind(Understudy::new).ok().flatten(),
            latest: None,
        }
    }

    /// An order from its tick to the call to the broker, unless one has just been played.
    pub(super) fn play(&mut self) {
        if self.latest.is_none_or(|latest| latest.elapsed() >= WARM) {
            self.with(Understudy::order);
            self.latest = Some(Instant::now());
        }
    }

    /// Ends what was played, once there is time for it.
    pub(super) fn end(&mut self) {
        self.with(Understudy::end);
    }

    fn with(&mut self, play: fn(&mut Understudy) -> Result<(), RuntimeError>) {
        let Some(understudy) = &mut self.understudy else {
            return;
        };
        let played = catch_unwind(AssertUnwindSafe(|| play(understudy)));
        if !matches!(played, Ok(Ok(()))) {
            self.understudy = None;
        }
    }
}

struct Understudy {
    namespace: Namespace,
    clock: Arc<FeedClock>,
    /// The number of its next input, and so of its orders.
    next: u64,
    /// The call that nobody makes.
    call: Option<Call>,
}

impl Understudy {
    /// `None` where it cannot be put together, which a test would show.
    fn new() -> Option<Self> {
        let share = Instrument::share("NSE", "REHEARSAL", "INR".parse().ok()?);
        let instruments = Arc::new(Instruments::new(vec![share]).ok()?);
        let now = Timestamp(wall());
        let clock = FeedClock::simulated(now);
        let names = [model::StrategyIdx::MANUAL_NAME, NAME];
        let strategies = names.map(|name| StrategyEntry {
            name: name.to_owned(),
            definition: String::new(),
        });
        let start = Start {
            epoch: 0,
            at: now,
            build: String::new(),
            settings: String::new(),
            source: SOURCE,
            live: true,
            salt: 1,
            brokers: vec![NAME.to_owned()],
            strategies: strategies.to_vec(),
            instruments: instruments.iter().map(|(_, i)| i.clone()).collect(),
            currencies: instruments.currencies().to_vec(),
        };
        let desk = DeskSettings {
            salt: 1,
            delivery: Delivery::QueryOnly,
            call_within: SECOND,
            pause_min: SECOND,
            pause_max: SECOND,
            silence: MINUTE,
        };
        let opened = Namespace::open(Recovery {
            index: 0,
            storage: Arc::new(Nowhere),
            journal: PathBuf::from(NAME),
            market: PathBuf::from(NAME),
            pipeline: pipeline(instruments)?,
            start,
            clock: Arc::clone(&clock) as Arc<dyn SessionClock>,
            desk: Some(desk),
            options: LogOptions::default(),
        });
        Some(Self {
            namespace: opened.ok()?.0,
            clock,
            next: 0,
            call: None,
        })
    }

    /// A tick, a signal on it, and all that leads to the call to the broker.
    fn order(&mut self) -> Result<(), RuntimeError> {
        self.end()?;
        self.clock.reach(Timestamp(wall()));
        let (now, input) = (self.clock.now(), InputId(self.next));
        self.next += 1;
        let tick = Tick {
            ts: now,
            exchange_ts: now,
            price: Price::from_raw(100 * model::fixed::ONE),
            quantity: ONE,
            instrument: INSTRUMENT,
            ..Tick::default()
        };
        let name = NameHash::of(NAME);
        let signal = Signal {
            id: SignalId::derive(name, SOURCE, input, 0),
            correlation: CorrelationId::of_schedule(name, now.nanos(), 0),
            strategy: StrategyIdx(1),
            input,
            ordinal: 0,
            ts: now,
            trigger: Trigger::Input,
            decision: Decision::market(INSTRUMENT, Action::Target { quantity: ONE }),
        };
        for step in [
            Step::Market(input, MarketItem::Tick(tick)),
            Step::Signal(signal, BrokerMask(1)),
        ] {
            self.namespace.take(&step, Position(0), now.nanos())?;
        }
        self.namespace.make_durable()?;
        self.call = self.namespace.next_call()?;
        Ok(())
    }

    /// The call is refused, and the order has ended: the next is played on the same ground.
    fn end(&mut self) -> Result<(), RuntimeError> {
        let Some(call) = self.call.take() else {
            return Ok(());
        };
        let refused = Outcome::Answered(Answer::Refused(Reason::NotSent));
        self.namespace.answered(&call, refused, 0, 0)?;
        self.namespace.make_durable()
    }
}

/// Every limit is looked at, and none is met.
fn pipeline(instruments: Arc<Instruments>) -> Option<BrokerPipeline> {
    let money = || Some(MoneyLimit(vec![Some(Amount::from_int(1_000_000_000))]));
    let settings = BrokerSettings {
        namespace: Name::new(NAME).ok()?,
        starting_cash: vec![Amount::from_int(1_000_000_000)],
        limits: Limits {
            order_quantity: Some(Quantity::MAX),
            order_notional: money(),
            position_quantity: Some(Quantity::MAX),
            gross_exposure: money(),
            open_orders: Some(u32::MAX),
            orders_per_second: Some(u32::MAX),
            orders_per_day: Some(u32::MAX),
            trades_per_day: Some(u32::MAX),
            price_band: Some(model::fixed::ONE),
            daily_loss: money(),
            drawdown: money(),
            stale_market_data: Some(MINUTE),
            stale_signal: Some(MINUTE),
            available_cash: true,
            watches_losses: true,
            ..Limits::default()
        },
        strategy_limits: vec![None; 2],
        auto_resume: AutoResume::Manual,
        on_resume: OnResume::Hold,
        square_off: Vec::new(),
        square_off_notice: 0,
        snapshot_interval: MINUTE,
        send_within: SECOND,
        report_band: model::fixed::ONE / 2,
        charges: Arc::new(NoCharges),
        rules: Arc::new(NoRules),
    };
    let capabilities = Capabilities {
        delivery: Delivery::QueryOnly,
        asset_classes: AssetClass::ALL.to_vec(),
        native_oco: false,
        executes_on_tick: true,
    };
    let sessions: Arc<dyn Sessions> = Arc::new(AlwaysOpen);
    Some(BrokerPipeline::new(
        instruments,
        sessions,
        SOURCE,
        settings,
        capabilities,
        Vec::new(),
        None,
    ))
}

/// Storage that keeps nothing but the length of an open file.
struct Nowhere;

struct Nothing(u64);

impl Storage for Nowhere {
    fn open(&self, _: &Path, _: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(Nothing(0)))
    }
    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl StorageFile for Nothing {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0)
    }
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }
    fn write_all_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        self.0 = self.0.max(at + data.len() as u64);
        Ok(())
    }
    fn allocate(&mut self, length: u64) -> io::Result<()> {
        self.0 = length;
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::engine::CLOSED_ORDERS_MAX;

    #[test]
    fn every_rehearsal_goes_as_far_as_the_call_and_leaves_nothing_behind() {
        let mut rehearsal = Rehearsal::new();
        for _ in 0..3 * CLOSED_ORDERS_MAX {
            rehearsal.latest = None;
            rehearsal.play();
            let understudy = rehearsal.understudy.as_ref().unwrap();
            assert!(matches!(understudy.call, Some(Call::Submit(..))));
            rehearsal.end();
            let understudy = rehearsal.understudy.as_ref().unwrap();
            let engine = understudy.namespace.pipeline().engine();
            assert_eq!(
                (understudy.call.is_some(), engine.open_orders()),
                (false, 0)
            );
            assert!(engine.ended_ids().count() <= CLOSED_ORDERS_MAX);
        }
        // One that was not ended is, before the next.
        rehearsal.latest = None;
        rehearsal.play();
        rehearsal.latest = None;
        rehearsal.play();
        let understudy = rehearsal.understudy.as_ref().unwrap();
        assert_eq!(understudy.next, 3 * CLOSED_ORDERS_MAX as u64 + 2);
        let engine = understudy.namespace.pipeline().engine();
        assert!(understudy.call.is_some() && engine.open_orders() == 1);
    }

    #[test]
    fn what_is_warm_is_not_played_and_one_that_fails_is_given_up() {
        let mut rehearsal = Rehearsal::new();
        rehearsal.play();
        rehearsal.end();
        rehearsal.latest = Some(Instant::now() + Duration::from_secs(60));
        rehearsal.play();
        assert_eq!(rehearsal.understudy.as_ref().unwrap().next, 1);
        rehearsal.with(|_| Err(RuntimeError::state(NAME, "a test")));
        assert!(rehearsal.understudy.is_none());
        rehearsal.play();
        rehearsal.end();
        let mut rehearsal = Rehearsal::new();
        rehearsal.with(|_| panic!("a test"));
        assert!(rehearsal.understudy.is_none());
    }
}
