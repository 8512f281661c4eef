//! Threads one of which fails: it ends alone, and says why, once.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use feeds::live::{FeedQueue, Policy};
use journal::Retention;
use model::control::{Command, CommandAction};
use model::event::{Event, EventBody};
use model::ids::CommandId;
use model::instrument::Instrument;
use model::order::OrderIntent;
use model::reason::Reason;
use model::session::{AlwaysOpen, SessionGroup, SessionStatus, Sessions, TradingDay};
use model::trader::{Capabilities, Delivery};
use model::{AssetClass, Date, StrategyIdx, Timestamp};
use runtime::clock::{FeedClock, SessionClock};
use runtime::desk::{Call, Outcome};
use runtime::driver::market::{MarketMessage, MarketParts, MarketSettings};
use runtime::driver::namespace::{BrokerLink, NamespaceSettings, OrderRoute};
use runtime::driver::probe::StrategyProbe;
use runtime::driver::{Detached, Message};
use runtime::host::link::{Link, Unreadable};
use runtime::host::market::{MarketThread, Members};
use runtime::host::namespace::{NamespaceHost, Notice};
use runtime::inbox::{Inbox, Refused, Work};
use runtime::lockstep::Lockstep;
use runtime::market::MarketHost;
use runtime::namespace::{Namespace, Tap, Told};
use traders::{Answer, ClientOrderId, Found, LinkError, Modification, Reports, Trader};

use crate::world::{System, World};

const PATIENCE: Duration = Duration::from_secs(60);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A broker whose connections come to what is listed, and then hold; it never answers a call.
struct Broker {
    capabilities: Capabilities,
    connections: Vec<Result<(), LinkError>>,
    sink: Option<Arc<dyn Reports>>,
    panics: bool,
}

fn broker(connections: &[Result<(), LinkError>], panics: bool) -> Box<dyn Trader> {
    Box::new(Broker {
        capabilities: Capabilities {
            delivery: Delivery::Idempotent,
            asset_classes: AssetClass::ALL.to_vec(),
            native_oco: false,
            executes_on_tick: true,
        },
        connections: connections.iter().rev().cloned().collect(),
        sink: None,
        panics,
    })
}

impl Trader for Broker {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn connect(&mut self, reports: Arc<dyn Reports>) -> Result<(), LinkError> {
        self.sink = Some(reports);
        // The last holds for good.
        match self.connections.len() {
            0 => Ok(()),
            1 => self.connections[0].clone(),
            _ => self.connections.pop().unwrap(),
        }
    }
    fn submit(&mut self, _: &ClientOrderId, _: &OrderIntent) -> Answer {
        assert!(!self.panics, "the trader's code");
        self.sink.as_ref().unwrap().lost("it hung up");
        Answer::Unknown
    }
    fn cancel(&mut self, _: &ClientOrderId) -> Answer {
        Answer::Unknown
    }
    fn modify(&mut self, _: &ClientOrderId, _: &Modification) -> Answer {
        Answer::Unknown
    }
    fn query(&mut self, _: &ClientOrderId) -> Found {
        Found::Unknown
    }
    fn stop(&mut self) {}
}

fn refused() -> Result<(), LinkError> {
    Err(LinkError::Refused("wrong account".to_owned()))
}

fn away() -> Result<(), LinkError> {
    Err(LinkError::Unreachable("no route".to_owned()))
}

fn lockstep(connections: &[Result<(), LinkError>]) -> OrderRoute {
    let unreadable: Unreadable = Arc::new(|_, why| panic!("{why}"));
    OrderRoute::Lockstep(Lockstep::new(broker(connections, false), unreadable))
}

type Notices = Arc<Mutex<Vec<(String, Detached)>>>;

fn noted() -> (Notice, Notices) {
    let all = Notices::default();
    let taken = Arc::clone(&all);
    let notice: Notice = Arc::new(move |name, detached| {
        let mut all = taken.lock().unwrap();
        all.push((name.to_owned(), detached.clone()));
    });
    (notice, all)
}

/// A namespace's thread with room for so many steps.
fn host(
    namespace: Namespace,
    route: OrderRoute,
    capacity: usize,
    notice: &Notice,
) -> Arc<NamespaceHost> {
    let settings = NamespaceSettings {
        sync_interval: Duration::ZERO,
        snapshot_interval: PATIENCE,
        conflate_above: usize::MAX,
        call_deadline: PATIENCE,
        foreign: Arc::new(|_| {}),
    };
    let (inbox, notice) = (Arc::new(Inbox::new(capacity)), Arc::clone(notice));
    let clock: Arc<dyn SessionClock> = FeedClock::replay();
    Arc::new(NamespaceHost::start(namespace, inbox, clock, route, settings, notice).unwrap())
}

fn ended(host: &NamespaceHost) {
    until("the thread does not end", || {
        host.status().ended.load(Ordering::Acquire)
    });
}

#[test]
fn a_namespace_that_fails_ends_alone_and_says_why_once() {
    let fails = |what: &str, code: &str, why: &[&str]| {
        let world = World::new();
        let mut system = world.start();
        let (notice, notices) = noted();
        let (mut namespace, route) = match what {
            "refused" => (world.outside(), lockstep(&[refused()])),
            "refused again" => (world.outside(), lockstep(&[Ok(()), refused()])),
            _ => (system.namespaces.remove(0), OrderRoute::Inside),
        };
        let name = namespace.name().to_owned();
        if what == "panic" {
            namespace.set_tap(Some(Box::new(OnTold(|_: &[Event]| panic!("an event")))));
        }
        let host = host(namespace, route, 1 << 12, &notice);
        match what {
            "panic" => assert!(host.inbox().send(Message::Lost(String::new()))),
            "disk" => world.disk.fail_sync(1),
            _ => {}
        }
        for number in 0..60 {
            let packet = Arc::new(system.packet(number));
            if what == "disk" {
                world.disk.fail_sync(1);
            }
            // One that has ended takes no more.
            let _ = host.inbox().push(&packet, PATIENCE);
        }
        ended(&host);
        let notices = notices.lock().unwrap().clone();
        let [(named, detached)] = notices.as_slice() else {
            panic!("{what}: {notices:?}");
        };
        assert_eq!(
            (named, detached.code),
            (&name, code),
            "{what}: {detached:?}"
        );
        for part in why {
            assert!(detached.why.contains(part), "{what}: {}", detached.why);
        }
        assert_eq!(host.status().detached(), Some(detached.clone()));
        let late = Arc::new(system.packet(60));
        assert_eq!(host.inbox().push(&late, PATIENCE), Err(Refused::Closed));
        assert!(host.stop(PATIENCE));
    };
    fails(
        "panic",
        "stage_panic",
        &[
            "a stage's code failed (an event)",
            "report this with its journal",
        ],
    );
    fails(
        "disk",
        "journal",
        &[
            "the journal of `east`: ",
            "the device did not confirm a write",
        ],
    );
    let trader = "the trader of `desk`: wrong account";
    fails("refused", "trader", &[trader]);
    fails("refused again", "trader", &[trader]);
}

#[test]
fn a_namespace_that_is_taken_out_while_it_waits_for_its_broker_calls_and_writes_nothing_more() {
    for (connections, what) in [
        (vec![away()], "before anything"),
        (vec![Ok(()), away()], "with an order under way"),
    ] {
        let world = World::new();
        let mut system = world.start();
        let (notice, notices) = noted();
        let route = lockstep(&connections);
        let host = host(world.outside(), route, 1 << 12, &notice);
        for number in 0..60 {
            let packet = Arc::new(system.packet(number));
            host.inbox().push(&packet, PATIENCE).unwrap();
        }
        until(what, || {
            let waits_for = host.status().waits_for.lock().unwrap();
            waits_for.as_deref() == Some("the broker cannot be reached: no route")
        });
        host.detach("trader_hang", "it was silent".to_owned(), &notice);
        host.detach("queue_full", "a second reason".to_owned(), &notice);
        ended(&host);
        let written = world.log("desk").check(&journal::Owner::NONE);
        // Its thread has ended: what it says is said.
        assert_eq!(notices.lock().unwrap().len(), 1, "{what}");
        assert_eq!(host.status().detached().unwrap().code, "trader_hang");
        assert!(written.unwrap().records > 0);
        assert!(host.stop(PATIENCE));
    }
}

#[test]
fn a_snapshot_that_cannot_be_saved_is_told_and_ends_nothing() {
    let mut world = World::new();
    let mut system = world.session(20);
    let (notice, notices) = noted();
    let namespace = system.namespaces.remove(0);
    let host = host(namespace, OrderRoute::Inside, 1 << 12, &notice);
    let save = || {
        let (reply, saved) = sync_channel(1);
        assert!(host.inbox().send(Message::Snapshot(Some(reply))));
        saved.recv_timeout(PATIENCE).unwrap()
    };
    world.disk.space(Some(0));
    let error = save().unwrap_err();
    assert!(
        error.starts_with("the journal of `east`: ") && error.contains("free some space"),
        "{error}"
    );
    assert_eq!(host.status().snapshots.failed(), 1);
    assert_eq!(host.status().snapshots.news(), Some(error));
    assert_eq!(host.status().snapshots.news(), None);
    world.disk.space(None);
    save().unwrap();
    assert_eq!(host.status().snapshots.why(), None);
    assert!(host.stop(PATIENCE) && notices.lock().unwrap().is_empty());
}

#[test]
fn entries_are_blocked_while_the_broker_cannot_be_reached() {
    let world = World::new();
    let mut system = world.start();
    let (notice, _) = noted();
    let mut namespace = system.namespaces.remove(0);
    let told = watch(&mut namespace);
    let host = host(namespace, OrderRoute::Inside, 8, &notice);
    for _ in 0..2 {
        assert!(host.inbox().send(Message::Lost("no route".to_owned())));
    }
    assert!(host.inbox().send(Message::Connected));
    assert!(host.stop(PATIENCE));
    let reason = Reason::TraderUnreachable;
    assert_eq!(blocks(&told), [(reason, true), (reason, false)]);
}

#[test]
fn a_trader_that_panics_has_an_unknown_outcome_and_is_connected_anew() {
    let world = World::new();
    let mut system = world.start();
    let mut namespace = world.outside();
    let mut number = 0;
    let call = loop {
        for step in &system.packet(number).steps {
            let position = system.market.log().durable();
            namespace.take(step, position, 0).unwrap();
        }
        namespace.commit().unwrap();
        if let Some(call @ Call::Submit(..)) = namespace.next_call().unwrap() {
            break call;
        }
        number += 1;
        assert!(number < 200, "no order");
    };
    let Call::Submit(_, _, intent) = &call else {
        unreachable!()
    };
    let inbox = Arc::new(Inbox::<Message>::new(16));
    let clock = FeedClock::simulated(intent.submitted);
    let clock: Arc<dyn SessionClock> = clock;
    let unreadable: Unreadable = Arc::new(|_, why| panic!("{why}"));
    let trader = broker(&[away(), Ok(())], true);
    let mut link = Link::start(
        "desk",
        trader,
        Arc::clone(&inbox),
        Arc::clone(&clock),
        unreadable,
    )
    .unwrap();
    let mut waiting = Vec::new();
    let mut next = || {
        let mut work = Work::default();
        while waiting.is_empty() {
            inbox.take(&mut work, 8, PATIENCE);
            waiting.append(&mut work.messages);
        }
        waiting.remove(0)
    };
    let status = Arc::clone(link.status());
    until("no reason", || {
        *status.why.lock().unwrap() == "the broker cannot be reached: no route"
    });
    assert!(matches!(next(), Message::Connected));
    let outcome_of = |link: &mut Link, answer: &mut dyn FnMut() -> Message| {
        assert!(link.call(call.clone()));
        match answer() {
            Message::Outcome(_, outcome, ..) => outcome,
            _ => panic!("no outcome"),
        }
    };
    // Its panic does not say whether the broker has the order.
    let unknown = Outcome::Answered(Answer::Unknown);
    assert_eq!(outcome_of(&mut link, &mut next), unknown);
    assert_eq!(status.unknown.load(Ordering::Acquire), 1);
    clock.reach(intent.send_by.plus(1));
    let Message::Lost(why) = next() else {
        panic!("not lost")
    };
    assert_eq!(why, "the trader's code failed");
    assert!(matches!(next(), Message::Connected));
    // A call whose time has passed is not made: the trader would fail again.
    let unsent = Outcome::Answered(Answer::NotSent(Reason::NotSent));
    assert_eq!(outcome_of(&mut link, &mut next), unsent);
    assert_eq!(status.lost.load(Ordering::Acquire), 1);
    link.stop(PATIENCE);
}

/// Knows no trading day.
struct NoDays;

impl Sessions for NoDays {
    fn groups(&self) -> usize {
        AlwaysOpen.groups()
    }
    fn group(&self, instrument: &Instrument) -> SessionGroup {
        AlwaysOpen.group(instrument)
    }
    fn status(&self, group: SessionGroup, at: Timestamp) -> SessionStatus {
        AlwaysOpen.status(group, at)
    }
    fn trading_day(&self, _: Timestamp) -> TradingDay {
        panic!("no days")
    }
}

/// The runner's thread over these namespaces, its queue, and where it says that it has failed.
fn runner(
    world: &World,
    market: MarketHost,
    namespaces: Vec<Arc<NamespaceHost>>,
    sessions: Arc<dyn Sessions>,
    probe: Option<Arc<StrategyProbe>>,
    notice: &Notice,
) -> (MarketThread, Arc<FeedQueue>, Receiver<String>) {
    let queue = Arc::new(FeedQueue::new(16, Policy::Block, 1));
    let (tell, told) = sync_channel(16);
    let journals = namespaces.iter().map(|host| world.log(host.name()));
    let journals = journals.collect();
    let members = Members {
        namespaces,
        patience: Duration::ZERO,
        notice: Arc::clone(notice),
    };
    let failed = Arc::new(move |why: &str| tell.send(why.to_owned()).unwrap());
    let thread = MarketThread::start(Arc::clone(&queue), members, failed, |outlet| MarketParts {
        host: market,
        journals,
        clock: FeedClock::replay(),
        probe,
        instruments: world.instruments(),
        sessions,
        settings: MarketSettings {
            write_interval: Duration::ZERO,
            sync_interval: Duration::ZERO,
            snapshot_interval: Duration::ZERO,
        },
        outlet,
    });
    (thread.unwrap(), queue, told)
}

fn feed(world: &World, queue: &FeedQueue, number: u64) {
    assert!(queue.push(&mut world.batch(number)));
}

fn next_input(host: &NamespaceHost) -> u64 {
    host.status().next_input.load(Ordering::Acquire)
}

/// Called on a namespace's thread with the events that it tells.
struct OnTold<F>(F);

impl<F: FnMut(&[Event]) + Send> Tap for OnTold<F> {
    fn told(&mut self, told: &Told<'_>) {
        if !told.events.is_empty() {
            (self.0)(told.events);
        }
    }
}

/// The events that a namespace tells.
fn watch(namespace: &mut Namespace) -> Arc<Mutex<Vec<Event>>> {
    let all = Arc::<Mutex<Vec<Event>>>::default();
    let told = Arc::clone(&all);
    let tap = OnTold(move |events: &[Event]| told.lock().unwrap().extend_from_slice(events));
    namespace.set_tap(Some(Box::new(tap)));
    all
}

fn blocks(events: &Mutex<Vec<Event>>) -> Vec<(Reason, bool)> {
    let events = events.lock().unwrap();
    let blocked = events.iter().filter_map(|event| match event.body {
        EventBody::EntriesBlocked { reason, blocked } => Some((reason, blocked)),
        _ => None,
    });
    blocked.collect()
}

#[test]
fn a_market_log_that_fails_stops_entries_everywhere_and_no_tick() {
    let world = World::new();
    let market = world.start().market;
    let (notice, notices) = noted();
    // The journal is on another disk than the market log.
    let elsewhere = World::new();
    let mut namespace = elsewhere.start().namespaces.remove(0);
    let events = watch(&mut namespace);
    let host = host(namespace, OrderRoute::Inside, 1 << 12, &notice);
    let (thread, queue, told) = runner(
        &world,
        market,
        vec![Arc::clone(&host)],
        Arc::new(AlwaysOpen),
        None,
        &notice,
    );
    world.disk.fail_sync(1);
    feed(&world, &queue, 0);
    let why = told.recv_timeout(PATIENCE).unwrap();
    assert!(
        why.starts_with("the journal of `market`: ")
            && why.contains("the device did not confirm a write"),
        "{why}"
    );
    assert_eq!(*thread.status().failed.lock().unwrap(), Some(why));
    for number in 1..5 {
        feed(&world, &queue, number);
    }
    until("a tick is not handed on", || next_input(&host) == 5);
    assert_eq!(blocks(&events), [(Reason::MarketLogFailed, true)]);
    let left = thread.stop(PATIENCE).unwrap();
    assert!(left.failed().is_some());
    assert!(told.try_recv().is_err(), "it is told once");
    assert!(host.stop(PATIENCE) && notices.lock().unwrap().is_empty());
}

#[test]
fn a_day_that_comes_to_too_many_bytes_makes_room_while_it_runs() {
    let mut world = World::new();
    world.brokers.clear();
    let mut system = world.start();
    for day in 0..3 {
        assert!(system.market.begin_day(Date::from_days(20_000 + day)));
        world.ticks(&mut system, 40);
    }
    let mut market = system.market;
    let spans = |world: &World| world.log("market").spans().unwrap();
    let before = spans(&world);
    // There is room for the names with which today begins, and for some ticks.
    let room = market.log().bytes() + 4_000;
    market.keep(Retention {
        days: None,
        bytes: Some(room),
    });
    let (notice, _) = noted();
    let sessions = Arc::new(AlwaysOpen);
    let (thread, queue, _) = runner(&world, market, Vec::new(), sessions, None, &notice);
    let mut number = world.given;
    feed(&world, &queue, number);
    until("today has no file", || spans(&world).len() > before.len());
    assert_eq!(spans(&world)[0].first, before[0].first, "it goes too early");
    until("nothing goes", || {
        number += 1;
        feed(&world, &queue, number);
        spans(&world)[0].first > before[0].first
    });
    let left = thread.stop(PATIENCE).unwrap();
    let kept = left.log().bytes();
    assert!(kept <= room, "{kept} of {room}");
}

#[test]
fn a_runner_that_panics_is_told_and_leaves_no_state() {
    let world = World::new();
    let market = world.start().market;
    let (notice, _) = noted();
    let (thread, queue, told) = runner(&world, market, Vec::new(), Arc::new(NoDays), None, &notice);
    feed(&world, &queue, 0);
    let why = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(why, "the runner's code failed");
    until("it goes on", || {
        thread.status().ended.load(Ordering::Acquire)
    });
    assert!(thread.stop(PATIENCE).is_none());
}

#[test]
fn a_namespace_that_takes_nothing_is_taken_out_and_the_others_go_on() {
    let world = World::new();
    let System {
        market,
        mut namespaces,
        ..
    } = world.start();
    let (notice, notices) = noted();
    let west = host(namespaces.remove(1), OrderRoute::Inside, 1 << 12, &notice);
    // It does not come back before it is let go.
    let (release, held) = sync_channel::<()>(0);
    let (begins, hangs) = sync_channel(1);
    let hang = OnTold(move |_: &[Event]| {
        begins.send(()).unwrap();
        held.recv().unwrap();
    });
    let mut namespace = namespaces.remove(0);
    namespace.set_tap(Some(Box::new(hang)));
    let east = host(namespace, OrderRoute::Inside, 1, &notice);
    assert!(east.inbox().send(Message::Lost(String::new())));
    hangs.recv_timeout(PATIENCE).unwrap();
    let all = vec![Arc::clone(&east), Arc::clone(&west)];
    let (thread, queue, _) = runner(&world, market, all, Arc::new(AlwaysOpen), None, &notice);
    for number in 0..3 {
        feed(&world, &queue, number);
        until("a tick is not handed on", || {
            next_input(&west) == number + 1
        });
    }
    let detached = east.status().detached().unwrap();
    assert_eq!(detached.code, "queue_full");
    assert!(
        detached.why.starts_with("its queue is full (1 of 1 steps)"),
        "{}",
        detached.why
    );
    assert_eq!(
        notices.lock().unwrap().as_slice(),
        [("east".to_owned(), detached)]
    );
    assert!(thread.stop(PATIENCE).is_some() && west.stop(PATIENCE));
    release.send(()).unwrap();
    ended(&east);
    assert_eq!(notices.lock().unwrap().len(), 1);
}

#[test]
fn a_shared_strategy_is_switched_by_an_operator_and_by_its_time() {
    let world = World::new();
    let System {
        mut market,
        mut namespaces,
        ..
    } = world.start();
    let (notice, _) = noted();
    let mut namespace = namespaces.remove(0);
    let told = watch(&mut namespace);
    let host = host(namespace, OrderRoute::Inside, 1 << 12, &notice);
    let probe = StrategyProbe::new(Duration::ZERO);
    let watched = Arc::clone(&probe) as Arc<dyn pipeline::strategy_host::CallProbe>;
    market.runner_mut().set_probe(Some(watched));
    let all = vec![Arc::clone(&host)];
    let sessions: Arc<dyn Sessions> = Arc::new(AlwaysOpen);
    let (thread, queue, _) = runner(&world, market, all, sessions, Some(probe), &notice);
    let clockwork = StrategyIdx(1);
    let switch = |id, action| MarketMessage::Switch(Command::of_system(CommandId(id), action));
    let is_enabled = || {
        let told = told.lock().unwrap();
        let switched = |event: &Event| match event.body {
            EventBody::StrategySwitched {
                strategy, enabled, ..
            } if strategy == clockwork => Some(enabled),
            _ => None,
        };
        told.iter().rev().find_map(switched).unwrap_or(true)
    };
    // No call takes no time at all.
    let mut number = 0;
    while is_enabled() {
        feed(&world, &queue, number);
        number += 1;
        until("a tick is not handed on", || next_input(&host) == number);
        assert!(number < 100, "it is never called");
    }
    thread.tell(switch(1, CommandAction::EnableStrategy(clockwork)));
    until("it is not enabled", is_enabled);
    let disable = CommandAction::DisableStrategy(clockwork, Reason::OperatorRequest);
    thread.tell(switch(2, disable));
    until("it is not disabled", || !is_enabled());
    thread.tell(switch(3, CommandAction::EnableStrategyAnew(clockwork)));
    until("it is not enabled", is_enabled);
    let left = thread.stop(PATIENCE).unwrap();
    assert_eq!(left.next_input(), number);
    assert!(host.stop(PATIENCE));
    // Each switch is in the market log, with its reason.
    let mut records = runtime::records::MarketRecords::open(world.log("market").as_ref()).unwrap();
    let mut reasons = Vec::new();
    while let Some(found) = records.next().unwrap() {
        if let journal::record::MarketRecord::Switch {
            enabled, reason, ..
        } = found.record
        {
            reasons.push((enabled, reason));
        }
    }
    assert_eq!(
        reasons,
        [
            (false, Reason::StrategyTimeout),
            (true, Reason::OperatorRequest),
            (false, Reason::OperatorRequest),
            (true, Reason::OperatorRequest),
        ]
    );
}
