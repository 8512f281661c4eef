//! What every trader outside the pipeline keeps to, as a suite. A trader that loses calls on purpose
//! passes it as well: the suite then finds out what became of each, as a host would.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::ids::NameHash;
use model::order::{OrderIntent, OrderRole};
use model::signal::{Bracket, OrderType, Product, Side, Validity};
use model::time::HOUR;
use model::trader::{Delivery, ReportKind};
use model::{
    CorrelationId, InstrumentIdx, OrderId, Price, Quantity, StrategyIdx, Timestamp, TradeId,
};

use crate::{Answer, BrokerReport, ClientOrderId, Found, Modification, Reports, Trader};

/// A broker with a market, in which a trader is tried.
pub trait OutsideSubject {
    /// Another trader of the same account at the same broker, as after a restart; not connected.
    fn trader(&mut self) -> Box<dyn Trader>;
    /// What is traded.
    fn instrument(&self) -> InstrumentIdx;
    /// About where its market is.
    fn price(&self) -> Price;
    /// Its tick.
    fn tick(&self) -> Price;
    /// The session's time.
    fn now(&self) -> Timestamp;
    /// The market of the instrument trades once more. Fails only where the broker is gone.
    fn step(&mut self, trader: &mut dyn Trader) -> Result<(), String>;
    /// Whether calls may get lost.
    fn is_faulty(&self) -> bool;
}

/// A rule and what broke it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The rule, in one sentence.
    pub rule: &'static str,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} But: {}", self.rule, self.what)
    }
}

type Checked = Result<(), String>;
type Rule = (&'static str, fn(&mut Stage<'_>) -> Checked);

/// The rules.
const RULES: &[Rule] = &[
    (
        "A market order is acknowledged and filled, each execution once.",
        fills,
    ),
    (
        "An idempotent broker takes an order that is presented twice as one.",
        again,
    ),
    (
        "Of an order that was never presented the books show nothing.",
        absent,
    ),
    (
        "The books show of an order all that was reported of it.",
        present,
    ),
    (
        "A working order that is cancelled never fills, and cancelling it twice does no harm.",
        cancels,
    ),
    ("A change of a working order says what holds.", modifies),
    (
        "After a reconnect the reports that were not confirmed come again, and no others.",
        resends,
    ),
    (
        "A senseless order is refused, whether at once or by a report.",
        refuses,
    ),
    (
        "Without a connection a call provably does not reach the broker.",
        unconnected,
    ),
    ("After it was stopped a trader reports nothing.", stops),
];

/// Checks every rule; the first that is broken.
pub fn check(subject: &mut dyn OutsideSubject) -> Result<(), Broken> {
    let mut orders = 0;
    for (rule, keeps) in RULES {
        let mut stage = Stage::new(subject, orders);
        keeps(&mut stage).map_err(|what| Broken { rule, what })?;
        orders = stage.orders;
    }
    Ok(())
}

#[derive(Default)]
struct Sink {
    said: Mutex<Vec<BrokerReport>>,
    is_lost: Mutex<bool>,
}

impl Reports for Sink {
    fn report(&self, report: BrokerReport) -> bool {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(report);
        true
    }
    fn lost(&self, _: &str) {
        *self.is_lost.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
    fn unreadable(&self, _: &[u8], _: &str) {}
}

/// A trader at work, as its host sees it.
struct Stage<'a> {
    subject: &'a mut dyn OutsideSubject,
    trader: Box<dyn Trader>,
    sink: Arc<Sink>,
    orders: u32,
    is_connected: bool,
}

/// Attempts at anything before the suite gives up; enough for a broker that loses nine of ten.
const ATTEMPTS: u32 = 200;
/// Steps of the market within which something must have happened.
const STEPS: u32 = 500;

impl<'a> Stage<'a> {
    fn new(subject: &'a mut dyn OutsideSubject, orders: u32) -> Self {
        let trader = subject.trader();
        Self {
            subject,
            trader,
            sink: Arc::default(),
            orders,
            is_connected: false,
        }
    }

    fn connect(&mut self) -> Checked {
        let mut is_lost = self
            .sink
            .is_lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let was_lost = std::mem::take(&mut *is_lost);
        drop(is_lost);
        if self.is_connected && !was_lost {
            return Ok(());
        }
        let sink: Arc<dyn Reports> = Arc::clone(&self.sink) as Arc<dyn Reports>;
        self.trader.connect(sink).map_err(|e| e.to_string())?;
        self.is_connected = true;
        Ok(())
    }

    /// The process of the host ends and another begins; what was reported is forgotten.
    fn restart(&mut self) -> Checked {
        self.trader = self.subject.trader();
        self.sink = Arc::default();
        self.is_connected = false;
        self.connect()
    }

    fn intent(&mut self, side: Side, limit: Option<Price>) -> OrderIntent {
        self.orders += 1;
        let id = OrderId::derive(NameHash::of("outside suite"), u128::from(self.orders), 0);
        let quantity = Quantity::from_raw(10 * model::fixed::ONE);
        let now = self.subject.now();
        OrderIntent {
            id,
            correlation: CorrelationId(u128::from(self.orders)),
            signal: None,
            strategy: StrategyIdx(1),
            instrument: self.subject.instrument(),
            role: OrderRole::Entry,
            side,
            quantity,
            increase: quantity,
            order_type: if limit.is_some() {
                OrderType::Limit
            } else {
                OrderType::Market
            },
            limit_price: limit,
            trigger_price: None,
            validity: Validity::Day,
            product: Product::Intraday,
            bracket: Bracket::default(),
            oco: None,
            parent: None,
            submitted: now,
            send_by: now.plus(HOUR),
        }
    }

    /// A price at which nobody sells.
    fn far(&self) -> Price {
        Price::from_raw(self.subject.price().raw() / 2).floor_to(self.subject.tick())
    }

    /// Presents an order as a host does. False where a broker that is asked once has lost it.
    fn present(&mut self, id: &ClientOrderId, intent: &OrderIntent) -> Result<bool, String> {
        let delivery = self.trader.capabilities().delivery;
        let mut is_asked = false;
        for _ in 0..ATTEMPTS {
            self.connect()?;
            if is_asked {
                match self.trader.query(id) {
                    Found::Present(_) => return Ok(true),
                    Found::Absent if delivery == Delivery::QueryOnly => return Ok(false),
                    Found::Absent => is_asked = false,
                    Found::Unknown => {}
                }
                continue;
            }
            match self.trader.submit(id, intent) {
                Answer::Accepted => return Ok(true),
                Answer::Refused(reason) => return Err(format!("refused: {reason}")),
                Answer::NotSent(_) => {}
                Answer::Unknown if !self.subject.is_faulty() => {
                    return Err("the outcome of a submission is unknown".to_owned());
                }
                Answer::Unknown => is_asked = true,
            }
        }
        Err(format!("{ATTEMPTS} attempts led to nothing"))
    }

    /// Presents orders like this until one has got through.
    fn place(&mut self, side: Side, limit: Option<Price>) -> Result<Placed, String> {
        for _ in 0..ATTEMPTS {
            let intent = self.intent(side, limit);
            let id = intent.id.client_order_id(7);
            if self.present(&id, &intent)? {
                return Ok(Placed { id, intent });
            }
        }
        Err("every order was lost".to_owned())
    }

    /// Calls until there is an answer.
    fn insist(
        &mut self,
        what: &str,
        call: &mut dyn FnMut(&mut dyn Trader) -> Answer,
    ) -> Result<Answer, String> {
        for _ in 0..ATTEMPTS {
            self.connect()?;
            match call(self.trader.as_mut()) {
                Answer::NotSent(_) => {}
                Answer::Unknown if self.subject.is_faulty() => {}
                Answer::Unknown => return Err(format!("the outcome of a {what} is unknown")),
                answer => return Ok(answer),
            }
        }
        Err(format!("{ATTEMPTS} attempts at a {what} led to nothing"))
    }

    fn find(&mut self, id: &ClientOrderId) -> Result<Found, String> {
        for _ in 0..ATTEMPTS {
            self.connect()?;
            match self.trader.query(id) {
                Found::Unknown if self.subject.is_faulty() => {}
                found => return Ok(found),
            }
        }
        Err(format!("{ATTEMPTS} questions were not answered"))
    }

    fn step(&mut self) -> Checked {
        self.connect()?;
        self.subject.step(self.trader.as_mut())
    }

    fn said(&self, id: &ClientOrderId) -> Vec<ReportKind> {
        let said = self
            .sink
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        said.iter()
            .filter(|r| r.client_order_id == *id)
            .map(|r| r.kind)
            .collect()
    }

    fn numbers(&self) -> Vec<u64> {
        let said = self
            .sink
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut numbers: Vec<u64> = said.iter().map(|r| r.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Lets the market go on until something of an order has been reported.
    fn until(
        &mut self,
        what: &str,
        id: &ClientOrderId,
        is_it: &dyn Fn(&[ReportKind]) -> bool,
    ) -> Result<Vec<ReportKind>, String> {
        for _ in 0..STEPS {
            let said = self.said(id);
            if is_it(&said) {
                return Ok(said);
            }
            self.step()?;
        }
        Err(format!("no {what} was reported: {:?}", self.said(id)))
    }

    /// Reports may take a moment from thread to thread.
    fn soon(&mut self, what: &str, is_it: &dyn Fn(&Self) -> bool) -> Checked {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !is_it(self) {
            if Instant::now() > deadline {
                return Err(format!("{what}: {:?}", self.numbers()));
            }
            std::thread::sleep(Duration::from_millis(1));
            self.connect()?;
        }
        Ok(())
    }
}

struct Placed {
    id: ClientOrderId,
    intent: OrderIntent,
}

/// What executed: each trade id once, or the largest total.
fn filled(said: &[ReportKind]) -> Quantity {
    let mut trades: Vec<TradeId> = Vec::new();
    let (mut sum, mut most) = (0, 0);
    for kind in said {
        match kind {
            ReportKind::Filled {
                trade, quantity, ..
            } if !trades.contains(trade) => {
                trades.push(*trade);
                sum += quantity.raw();
            }
            ReportKind::FilledTo { quantity, .. } => most = most.max(quantity.raw()),
            _ => {}
        }
    }
    Quantity::from_raw(sum.max(most))
}

fn expect(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

fn fills(stage: &mut Stage<'_>) -> Checked {
    for side in [Side::Buy, Side::Sell] {
        let order = stage.place(side, None)?;
        let whole = order.intent.quantity;
        let said = stage.until("fill", &order.id, &|said| filled(said) >= whole)?;
        expect(said.contains(&ReportKind::Acknowledged), || {
            format!("not acknowledged: {said:?}")
        })?;
        expect(filled(&said) == whole, || format!("{said:?}"))?;
    }
    Ok(())
}

fn again(stage: &mut Stage<'_>) -> Checked {
    if stage.trader.capabilities().delivery == Delivery::QueryOnly {
        return Ok(());
    }
    let order = stage.place(Side::Buy, None)?;
    for _ in 0..3 {
        let (id, intent) = (order.id, order.intent);
        let answer = stage.insist("submission", &mut |t| t.submit(&id, &intent))?;
        expect(answer == Answer::Accepted, || format!("{answer:?}"))?;
        stage.step()?;
    }
    let whole = order.intent.quantity;
    stage.until("fill", &order.id, &|said| filled(said) >= whole)?;
    for _ in 0..10 {
        stage.step()?;
    }
    let said = stage.said(&order.id);
    expect(filled(&said) == whole, || format!("{said:?}"))
}

fn absent(stage: &mut Stage<'_>) -> Checked {
    let id = stage.intent(Side::Buy, None).id.client_order_id(7);
    let found = stage.find(&id)?;
    expect(found == Found::Absent, || format!("{found:?}"))
}

fn present(stage: &mut Stage<'_>) -> Checked {
    let order = stage.place(Side::Buy, None)?;
    let found = stage.find(&order.id)?;
    expect(matches!(found, Found::Present(_)), || format!("{found:?}"))?;
    let whole = order.intent.quantity;
    let said = stage.until("fill", &order.id, &|said| filled(said) >= whole)?;
    let Found::Present(books) = stage.find(&order.id)? else {
        return Err("it is not in the books any more".to_owned());
    };
    for kind in &said {
        expect(books.iter().any(|r| r.kind == *kind), || {
            format!("{kind:?} was reported, and the books say {books:?}")
        })?;
    }
    Ok(())
}

fn is_cancelled(said: &[ReportKind]) -> bool {
    said.iter().any(|k| matches!(k, ReportKind::Cancelled(_)))
}

fn cancels(stage: &mut Stage<'_>) -> Checked {
    let far = stage.far();
    let order = stage.place(Side::Buy, Some(far))?;
    stage.until("acknowledgement", &order.id, &|said| {
        said.contains(&ReportKind::Acknowledged)
    })?;
    let answer = stage.insist("cancellation", &mut |t| t.cancel(&order.id))?;
    expect(answer == Answer::Accepted, || format!("{answer:?}"))?;
    stage.until("cancellation", &order.id, &is_cancelled)?;
    stage.insist("second cancellation", &mut |t| t.cancel(&order.id))?;
    for _ in 0..10 {
        stage.step()?;
    }
    let said = stage.said(&order.id);
    expect(filled(&said).is_zero(), || format!("{said:?}"))
}

fn modifies(stage: &mut Stage<'_>) -> Checked {
    let far = stage.far();
    let order = stage.place(Side::Buy, Some(far))?;
    let change = Modification {
        quantity: Quantity::from_raw(2 * order.intent.quantity.raw()),
        limit_price: None,
        trigger_price: None,
    };
    let answer = stage.insist("change", &mut |t| t.modify(&order.id, &change))?;
    expect(answer == Answer::Accepted, || format!("{answer:?}"))?;
    let holds = ReportKind::Modified {
        quantity: change.quantity,
        limit_price: Some(far),
        trigger_price: None,
    };
    stage.until("change", &order.id, &|said| said.contains(&holds))?;
    stage.insist("cancellation", &mut |t| t.cancel(&order.id))?;
    stage.until("cancellation", &order.id, &is_cancelled)?;
    Ok(())
}

fn resends(stage: &mut Stage<'_>) -> Checked {
    stage.connect()?;
    let order = stage.place(Side::Buy, None)?;
    let whole = order.intent.quantity;
    stage.until("fill", &order.id, &|said| filled(said) >= whole)?;
    let before = stage.numbers();
    let (Some(first), Some(last)) = (before.first().copied(), before.last().copied()) else {
        return Err("no reports".to_owned());
    };
    if last == 0 {
        // It does not number its reports, and so does not send them again.
        return Ok(());
    }
    expect(last - first + 1 == before.len() as u64, || {
        format!("numbers do not rise by one: {before:?}")
    })?;
    stage.restart()?;
    stage.soon("not all came again", &|stage| {
        before.iter().all(|n| stage.numbers().contains(n))
    })?;
    // All but the last.
    stage.trader.confirm(last - 1);
    // In lockstep a confirmation may go out with the next call.
    stage.find(&order.id)?;
    stage.restart()?;
    let next = stage.place(Side::Sell, None)?;
    stage.until("fill", &next.id, &|said| filled(said) >= whole)?;
    let after = stage.numbers();
    let may_be_repeated = stage.subject.is_faulty();
    expect(
        after
            .first()
            .is_some_and(|n| *n == last || (may_be_repeated && *n > 0)),
        || format!("all before {last} are confirmed, and it sent {after:?}"),
    )
}

fn refuses(stage: &mut Stage<'_>) -> Checked {
    let mut intent = stage.intent(Side::Buy, None);
    intent.quantity = Quantity::ZERO;
    let id = intent.id.client_order_id(7);
    for _ in 0..ATTEMPTS {
        stage.connect()?;
        match stage.trader.submit(&id, &intent) {
            Answer::Refused(_) => return Ok(()),
            Answer::Accepted => {
                let rejected =
                    |said: &[ReportKind]| said.iter().any(|k| matches!(k, ReportKind::Rejected(_)));
                return stage.until("refusal", &id, &rejected).map(|_| ());
            }
            Answer::NotSent(_) => {}
            Answer::Unknown if stage.subject.is_faulty() => {
                // It may be presented no more, and where it arrived the books say so.
                if stage.trader.capabilities().delivery == Delivery::QueryOnly {
                    return Ok(());
                }
            }
            Answer::Unknown => return Err("the outcome is unknown".to_owned()),
        }
    }
    Err(format!("{ATTEMPTS} attempts led to nothing"))
}

fn unconnected(stage: &mut Stage<'_>) -> Checked {
    let intent = stage.intent(Side::Buy, None);
    let id = intent.id.client_order_id(7);
    let answer = stage.trader.submit(&id, &intent);
    expect(matches!(answer, Answer::NotSent(_)), || {
        format!("{answer:?}")
    })?;
    let found = stage.find(&id)?;
    expect(found == Found::Absent, || format!("{found:?}"))
}

fn stops(stage: &mut Stage<'_>) -> Checked {
    let order = stage.place(Side::Buy, None)?;
    stage.trader.stop();
    let before = stage.said(&order.id).len();
    let mut other = stage.subject.trader();
    other
        .connect(Arc::new(Sink::default()))
        .map_err(|e| e.to_string())?;
    for _ in 0..20 {
        // Where the connection is lost on purpose, the market stands; that is all right here.
        let _ = stage.subject.step(other.as_mut());
    }
    let after = stage.said(&order.id).len();
    expect(before == after, || {
        format!("{} reports after it", after - before)
    })
}
