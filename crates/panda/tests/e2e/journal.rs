//! The readers of a data directory: beside the system that writes it, and on damage.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use feeds::live::Batch;
use journal::record::{Start, StrategyEntry};
use journal::{DirLock, FileLogs, FileOptions, LogName, Logs, Owner};
use model::ids::SourceSession;
use model::session::Sessions;
use model::time::SECOND;
use model::topic::{Channel, Namespace as Name, Topic};
use model::{Instrument, Instruments, Price, Quantity, Tick, Timestamp};
use panda::compose::{broker_registry, kind_registry};
use runtime::clock::{FeedClock, SessionClock, wall};
use runtime::dead_letters::{DeadLetters, LetterReason, LetterStatus};
use runtime::market::{MarketHost, MarketRecovery};
use runtime::namespace::{Namespace, Recovery};
use runtime::packet::Packet;
use serde_json::Value;
use session::compose::{Parts, stages};
use settings::Settings;

use crate::harness::{World, text};

const SETTINGS: &str = "
[markets]
always_open = [\"NSE\"]
[trading_engine.east]
kind = \"paper\"
[trading_engine.west]
kind = \"paper\"
";
const STRATEGIES: &str = "
strategies:
  - { id: clockwork, kind: low_frequency_demo, instruments: ['NSE:MID'], parameters: { every: 30s, quantity: 5 } }
";

/// A system that runs in this process, on the data directory `data`.
struct Running {
    market: MarketHost,
    namespaces: Vec<Namespace>,
    logs: Arc<dyn Logs>,
    given: u64,
    _lock: DirLock,
}

impl Running {
    fn start(world: &World) -> Self {
        Self::start_with(world, STRATEGIES)
    }

    fn start_with(world: &World, definitions: &str) -> Self {
        let data = world.path("data");
        let lock = DirLock::acquire(&data).unwrap();
        let options = FileOptions {
            preallocate: 1 << 16,
            ..FileOptions::default()
        };
        let disk = Arc::new(journal::Disk::new(&data).unwrap());
        let logs: Arc<dyn Logs> = Arc::new(FileLogs::over(disk, options));
        let settings = Settings::parse(SETTINGS, "test").unwrap();
        let share = Instrument::share("NSE", "MID", "INR".parse().unwrap());
        let instruments = Arc::new(Instruments::new(vec![share]).unwrap());
        let sessions: Arc<dyn Sessions> = Arc::new(settings.sessions(&instruments).unwrap());
        let definitions = strategies::parse("test", definitions).unwrap();
        let kinds = kind_registry();
        let resolved = strategies::resolve(definitions, &instruments, &kinds).unwrap();
        let names = ["east".to_owned(), "west".to_owned()];
        let parts = Parts {
            settings: &settings,
            brokers: &names,
            registry: &broker_registry(),
            strategies: &resolved,
            retired: &[],
            instruments: &instruments,
            sessions: &sessions,
            source: SourceSession(7),
            live: false,
        };
        let stages = stages(&parts).unwrap();
        let entry = |name: &String| StrategyEntry {
            name: name.clone(),
            definition: String::new(),
        };
        let start = Start {
            epoch: 0,
            at: Timestamp(wall()),
            build: "test".to_owned(),
            settings: SETTINGS.to_owned(),
            source: SourceSession(7),
            live: false,
            salt: 3,
            brokers: names.to_vec(),
            strategies: stages.strategies.iter().map(entry).collect(),
            instruments: instruments.iter().map(|(_, i)| i.clone()).collect(),
            currencies: instruments.currencies().to_vec(),
        };
        let clock: Arc<dyn SessionClock> = FeedClock::replay();
        let mut namespaces = Vec::new();
        for (index, stage) in stages.namespaces.into_iter().enumerate() {
            let recovery = Recovery {
                index,
                journal: logs.log(LogName::Journal(&names[index])),
                owner: Owner::NONE,
                first_day: model::Date::default(),
                market: logs.log(LogName::Market),
                pipeline: stage.pipeline,
                start: start.clone(),
                clock: Arc::clone(&clock),
                desk: None,
            };
            namespaces.push(Namespace::open(recovery).unwrap().0);
        }
        let recovery = MarketRecovery {
            log: logs.log(LogName::Market),
            runner: stages.runner,
            start,
            clock,
            namespaces: vec![0, 0],
            disabled: Vec::new(),
        };
        let opened = recovery.log.open(&Owner::NONE).unwrap();
        let (market, _) = MarketHost::open(opened, recovery, &mut |_| Ok(())).unwrap();
        Self {
            market,
            namespaces,
            logs,
            given: 0,
            _lock: lock,
        }
    }

    /// So many ticks, one a second.
    fn ticks(&mut self, count: u64) {
        for number in self.given..self.given + count {
            let mut batch = Batch::default();
            let tick = Tick {
                ts: Timestamp(1_736_157_600 * SECOND + number as i64 * SECOND),
                price: Price::from_raw((1000 + (number % 7) as i64) * model::fixed::ONE / 10),
                quantity: Quantity::from_int(1).unwrap(),
                ..Tick::default()
            };
            batch.tick(number, tick, None);
            let mut packet = Packet {
                steps: Vec::new(),
                position: self.market.log().durable(),
                received: wall(),
            };
            self.market.take(&batch, &mut packet);
            self.market.commit();
            for namespace in &mut self.namespaces {
                for step in &packet.steps {
                    let (position, received) = (packet.position, packet.received);
                    namespace.take(step, position, received).unwrap();
                }
                namespace.commit().unwrap();
            }
        }
        self.given += count;
    }
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn readers_work_beside_the_running_system_and_leave_no_trace() {
    let world = World::new();
    let mut running = Running::start(&world);
    running.ticks(100);
    let before = world.tree();

    let logs = lines(&world.ok(&["journal", "verify", "--json"]));
    let names: Vec<String> = logs.iter().map(|l| text(l, "log")).collect();
    assert_eq!(names, ["market", "east", "west"]);
    assert!(logs.iter().all(|l| l["ok"] == true), "{logs:?}");
    // A start, and a record for each tick.
    assert!(logs[0]["records"].as_u64().unwrap() >= 101);
    let table = world.ok(&["journal", "verify"]);
    assert!(table.contains("market") && table.contains(" ok"), "{table}");

    let all = lines(&world.ok(&["journal", "dump"]));
    let brokers: Vec<String> = all.iter().map(|e| text(e, "broker")).collect();
    assert!(brokers.is_sorted() && brokers.contains(&"west".to_owned()));
    let filled = lines(&world.ok(&["journal", "dump", "--type", "order_filled"]));
    let by_topic = ["journal", "dump", "--type", "orders.filled"];
    assert_eq!(filled, lines(&world.ok(&by_topic)));
    assert!(!filled.is_empty() && filled.iter().all(|e| e["type"] == "order_filled"));
    let east = [
        "journal", "dump", "--broker", "east", "--inputs", "--since", "2",
    ];
    let east = lines(&world.ok(&east));
    let of_step = |e: &Value| e["record"] == "start" || e["step"].as_u64() >= Some(2);
    assert!(east.iter().all(|e| e["broker"] == "east" && of_step(e)));
    assert!(east.iter().any(|e| e["input"] == "signal"));
    let market = lines(&world.ok(&["journal", "dump", "--market", "--since", "95"]));
    let ticks = market.iter().filter(|r| r["record"] == "market");
    assert_eq!(ticks.count(), 5);

    let stats = lines(&world.ok(&["journal", "stats", "--json"]));
    assert_eq!(stats[1]["events"]["order_filled"], filled.len() / 2);
    assert!(world.ok(&["journal", "stats"]).contains("2025-01-06"));

    let decision = text(&filled[0], "correlation_id");
    let order = text(&filled[0], "order_id");
    let timeline = world.ok(&["trace", &order]);
    for wanted in [&decision, "timer_due", "east", "west", "order_filled"] {
        assert!(timeline.contains(wanted), "{timeline} lacks {wanted}");
    }
    let life = &lines(&world.ok(&["trace", &decision[..16], "--json"]))[0];
    assert_eq!(text(life, "correlation_id"), decision);
    assert_eq!(before, world.tree(), "a reader wrote something");
}

#[test]
fn a_trace_shows_what_a_decision_was_made_on_and_what_was_seen() {
    let world = World::new();
    let definitions = "
strategies:
  - { id: by_clock, kind: low_frequency_demo, instruments: ['NSE:MID'], parameters: { every: 30s } }
  - { id: by_bar, kind: ema_cross, instruments: ['NSE:MID'], parameters: { fast: 2, slow: 3, timeframe: 10s } }
  - { id: by_tick, kind: momentum, instruments: ['NSE:MID'], parameters: { period: 2, timeframe: tick } }
";
    let mut running = Running::start_with(&world, definitions);
    running.ticks(200);
    let raw = [
        "journal",
        "dump",
        "--broker",
        "east",
        "--type",
        "signal_raw",
    ];
    let mut kinds = std::collections::BTreeMap::new();
    for event in lines(&world.ok(&raw)) {
        let (signal, strategy) = (&event["signal"], text(&event["signal"], "strategy"));
        let id = text(&event, "correlation_id");
        let life = &lines(&world.ok(&["trace", &id, "--json"]))[0];
        let moments = life["moments"].as_array().unwrap();
        let ours = |m: &&Value| m["signal"]["signal_id"] == signal["signal_id"];
        let at = moments.iter().position(|m| ours(&m)).unwrap();
        let mut causes = moments[..at].iter().filter(|m| m["broker"].is_null());
        // The signal's own cause is the last one that stands before it.
        let cause = causes.next_back().unwrap();
        let note = signal["decision"]["note"].as_object().unwrap();
        match strategy.as_str() {
            "by_clock" => {
                assert_eq!(cause["type"], "timer_due", "{life}");
                assert_eq!(cause["ts"], event["ts"]);
                assert_eq!(cause["ts"].as_i64().unwrap() % (30 * SECOND), 0);
            }
            "by_bar" => {
                assert_eq!(cause["type"], "bar", "{life}");
                assert_eq!(cause["data"], signal["trigger"]);
                let close: f64 = text(&cause["data"], "close").parse().unwrap();
                assert_eq!(note["price"], close);
                assert!(note["fast"] != note["slow"]);
            }
            _ => {
                assert_eq!(cause["type"], "market_input", "{life}");
                assert_eq!(cause["n"], signal["input"]);
                let price: f64 = text(&cause["data"], "price").parse().unwrap();
                assert_eq!(note["price"], price);
            }
        }
        let timeline = world.ok(&["trace", &id]);
        assert!(
            timeline
                .lines()
                .all(|line| !line.trim_start().starts_with(['-', '−']) && !line.contains("+-")),
            "{timeline}"
        );
        let shown = moments.iter().map(|m| text(m, "time"));
        let shown: Vec<String> = shown.collect();
        assert!(shown.is_sorted(), "time runs backwards: {timeline}");
        let saw = note.keys().all(|name| timeline.contains(name.as_str()));
        assert!(saw && timeline.contains("saw "), "{timeline}");
        *kinds.entry(strategy).or_insert(0) += 1;
    }
    assert!(
        kinds.len() == 3 && kinds.values().all(|n| *n > 1),
        "{kinds:?}"
    );
}

#[test]
fn a_follower_sees_events_as_they_become_durable() {
    let world = World::new();
    let mut running = Running::start(&world);
    running.ticks(1);
    let follow = ["journal", "dump", "--follow", "--type", "order_filled"];
    let mut child = world
        .command()
        .args(follow)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    running.ticks(70);
    let mut seen = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while seen.len() < 4 {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        seen.push(text(&line, "broker"));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, ["east", "east", "west", "west"]);
}

#[test]
fn damage_is_told_with_its_place_and_ends_with_an_error() {
    let world = World::new();
    let mut running = Running::start(&world);
    running.ticks(100);
    drop(running);
    let log = FileLogs::existing(&world.path("data")).log(LogName::Journal("east"));
    let spans = log.spans().unwrap();
    let name = format!("{:020}-{}.log", spans[0].first.0, spans[0].day);
    let path = world.path("data").join(log.place()).join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let ran = world.panda(&["journal", "verify"]);
    assert!(
        !ran.ok && ran.stderr.contains("not in order: east"),
        "{}",
        ran.stderr
    );
    for wanted in [
        "damaged at offset",
        "confirmed durable",
        "restore this file",
    ] {
        assert!(ran.stdout.contains(wanted), "{} lacks {wanted}", ran.stdout);
    }
    let ran = world.panda(&["journal", "verify", "--json"]);
    let logs = lines(&ran.stdout);
    assert_eq!(logs[1]["damage"]["code"], "damaged");
    assert_eq!(
        (&logs[0]["ok"], &logs[2]["ok"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
    world.ok(&["journal", "verify", "--broker", "west"]);
}

#[test]
fn what_is_not_there_is_said_with_the_way_out() {
    let world = World::new();
    world.refuses(&["journal", "verify"], &["data", "--data-dir"]);
    world.refuses(
        &["trace", "ab", "--data-dir", "elsewhere"],
        &["elsewhere", "--data-dir"],
    );
    let mut running = Running::start(&world);
    running.ticks(40);
    world.refuses(
        &["journal", "dump", "--broker", "north"],
        &["north", "east, west"],
    );
    world.refuses(&["trace", "zz"], &["`zz`", "panda journal dump"]);
    world.refuses(&["dlq", "show", "12"], &["`12`", "panda dlq list"]);
    assert!(world.ok(&["dlq", "list"]).contains("no dead letters"));
}

#[test]
fn dead_letters_are_shown_and_marked_where_no_session_runs() {
    let world = World::new();
    let running = Running::start(&world);
    let east = Name::new("east").unwrap();
    let logs = Arc::clone(&running.logs);
    let mut letters = DeadLetters::open(Arc::clone(&logs), &east).unwrap();
    let mut park = |payload: &[u8]| {
        let topic = Topic::Broker(east.clone(), Channel::OrdersUpdated);
        letters
            .park(
                &topic,
                LetterReason::Unreadable,
                "no JSON",
                payload,
                Timestamp(5),
            )
            .unwrap()
    };
    let (first, second) = (park(b"{\"half"), park(&[0xff, 0xfe]));
    assert!(world.path("data/dlq/east.orders.updated.dlq").is_dir());

    let all = lines(&world.ok(&["dlq", "list", "--json"]));
    let statuses = |all: &[Value]| all.iter().map(|l| text(l, "status")).collect::<Vec<_>>();
    assert_eq!(statuses(&all), ["parked", "parked"]);
    assert_eq!(text(&all[0], "topic"), "east.orders.updated.dlq");
    let shown = world.ok(&["dlq", "show", &first[..8]]);
    assert!(
        shown.contains("{\"half") && shown.contains("unreadable"),
        "{shown}"
    );
    assert!(world.ok(&["dlq", "show", &second]).contains("fffe"));

    drop(letters);
    // Something has the directory that hears no commands: a session that is starting, say.
    world.refuses(&["dlq", "replay", &first], &["process"]);
    drop(running);
    let said = world.ok(&["dlq", "replay", &first]);
    assert!(said.contains("the next session of `east`"), "{said}");
    let said = world.ok(&["dlq", "drop", &second]);
    assert_eq!(said, format!("letter {second}: dropped\n"));
    world.refuses(&["dlq", "replay", &second], &["was dropped already"]);
    let all = lines(&world.ok(&["dlq", "list", "--all", "--json"]));
    assert_eq!(statuses(&all), ["replay_requested", "dropped"]);
    let mut letters = DeadLetters::open(logs, &east).unwrap();
    let wanted = letters.requested();
    assert_eq!(wanted.len(), 1);
    assert_eq!(wanted[0].bytes(), b"{\"half");
    letters
        .mark(&first, LetterStatus::Replayed, Timestamp(7))
        .unwrap();
    assert!(world.ok(&["dlq", "list"]).contains("no dead letters"));
    let all = lines(&world.ok(&["dlq", "list", "--all", "--json"]));
    assert_eq!(statuses(&all), ["replayed", "dropped"]);
}
