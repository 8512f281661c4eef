//! What a broker says and nobody can take is kept, and looked after while the session runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use journal::{FileLogs, Logs};
use model::Timestamp;
use model::event::EventBody;
use model::order::{OrderChange, OrderIntent};
use model::reason::Reason;
use model::topic::{Channel, Namespace, Topic};
use model::trader::{Capabilities, ReportKind};
use panda::compose::BUILT_IN;
use runtime::dead_letters::{DeadLetters, LetterReason};
use serde_json::Value;
use session::{Plugins, Session};
use traders::{
    Answer, BrokerKind, BrokerReport, Built, ClientOrderId, Found, LinkError, Modification,
    Reports, Trader,
};

use super::inside::start;
use super::logs::Journal;
use super::{status, until};
use crate::harness::{World, text};

/// What the broker does.
#[derive(Default)]
struct AtBroker {
    /// The first order that was submitted.
    first: Mutex<Option<ClientOrderId>>,
    /// Whether it answers questions.
    answers: AtomicBool,
}

type Seen = Arc<AtBroker>;

/// The simulated exchange's trader, which says two things too many when it connects.
fn babbling(seen: &Seen) -> BrokerKind {
    let seen = Arc::clone(seen);
    let sim = sim::kind(None);
    BrokerKind {
        name: "sim",
        build: Box::new(move |context| {
            // One that is outside this process and not reached: it has only this to say.
            let mut settings = context.settings.clone();
            settings.insert("connect".to_owned(), "unix:nobody.sock".into());
            let built = (sim.build)(&traders::BuildContext {
                namespace: context.namespace,
                settings: &settings,
                instruments: Arc::clone(&context.instruments),
                sessions: Arc::clone(&context.sessions),
            })?;
            Ok(match built {
                Built::Outside {
                    trader,
                    warnings,
                    effective,
                } => Built::Outside {
                    trader: Box::new(Babbling(trader, Arc::clone(&seen))),
                    warnings,
                    effective,
                },
                built => built,
            })
        }),
        ..sim::kind(None)
    }
}

struct Babbling(Box<dyn Trader>, Seen);

impl Trader for Babbling {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }
    fn connect(&mut self, reports: Arc<dyn Reports>) -> Result<(), LinkError> {
        reports.unreadable(b"{\"half", "no JSON");
        reports.unreadable(&[0xff, 0xfe], "no text");
        reports.report(BrokerReport {
            client_order_id: ClientOrderId::from("NOBODYSORDER00000000").unwrap(),
            kind: ReportKind::Acknowledged,
            number: 0,
            due: None,
        });
        Ok(())
    }
    fn submit(&mut self, id: &ClientOrderId, _: &OrderIntent) -> Answer {
        self.1.first.lock().unwrap().get_or_insert(*id);
        Answer::Unknown
    }
    fn cancel(&mut self, _: &ClientOrderId) -> Answer {
        Answer::Unknown
    }
    fn modify(&mut self, _: &ClientOrderId, _: &Modification) -> Answer {
        Answer::Unknown
    }
    fn query(&mut self, _: &ClientOrderId) -> Found {
        // It has the order, and nothing more to say of it than it has said.
        if self.1.answers.load(Ordering::Acquire) {
            Found::Present(Vec::new())
        } else {
            Found::Unknown
        }
    }
    fn stop(&mut self) {
        self.0.stop();
    }
}

fn letters(world: &World) -> Vec<Value> {
    let listed = world.ok(&["dlq", "list", "--all", "--json"]);
    let lines = listed.lines();
    lines.map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn session(world: &World, seen: &Seen) -> Session {
    let toml = "[feeds.sim]\nsource = \"simulated\"\n[trading_engine.sim]\n";
    world.write("panda.toml", toml);
    let settings = panda::commands::run::settings(
        Some(&world.path("panda.toml")),
        &[],
        Some(&world.path("data")),
        &[],
    );
    let plugins = Plugins {
        brokers: vec![babbling(seen)],
        ..Plugins::new(BUILT_IN)
    };
    start(settings.unwrap(), &["sim"], plugins)
}

#[test]
fn what_a_broker_says_in_vain_is_parked_and_looked_after() {
    let world = World::new();
    let session = session(&world, &Seen::default());
    let parked = || {
        let status = status(&world, "data");
        status.map_or(Value::Null, |s| s["brokers"][0]["dead_letters"].clone())
    };
    until("three are parked", Duration::from_secs(30), || {
        parked()["parked"] == 3
    });
    assert_eq!(parked()["lost"], 0);
    let shown = world.ok(&["status", "--data-dir", "data"]);
    assert!(shown.contains("3 dead letters"), "{shown}");
    let all = letters(&world);
    let id = |reason: &str, encoding: &str| {
        let found = all
            .iter()
            .find(|l| l["reason"] == reason && l["encoding"] == encoding);
        text(found.unwrap_or_else(|| panic!("{all:?}")), "id")
    };
    let (half, bytes) = (id("unreadable", "text"), id("unreadable", "hex"));
    let foreign = id("unknown_order", "text");
    assert!(world.ok(&["dlq", "show", &half]).contains("{\"half"));
    let shown = world.ok(&["dlq", "show", &foreign]);
    assert!(
        shown.contains("sim.orders.updated.dlq") && shown.contains("NOBODYSORDER00000000"),
        "{shown}"
    );
    let dropped = world.ok(&["dlq", "drop", &bytes]);
    assert_eq!(dropped, format!("letter {bytes}: dropped\n"));
    // What they are about is known no more than before.
    for (id, why) in [
        (&foreign, "its order is still not known here"),
        (&half, "it is no report that can be read"),
    ] {
        world.refuses(&["dlq", "replay", id], &["stays parked", why]);
    }
    let is = |id: &str, status: &str, tries: u64| {
        let all = letters(&world);
        let letter = all.iter().find(|l| l["id"] == id).unwrap();
        letter["status"] == status && letter["tries"] == tries
    };
    assert!(is(&bytes, "dropped", 0) && is(&foreign, "parked", 1) && is(&half, "parked", 1));
    world.refuses(&["dlq", "replay", &bytes], &["was dropped already"]);
    until("it is shown", Duration::from_secs(30), || {
        parked()["parked"] == 2
    });
    let ended = session.stop();
    assert!(
        ended.failed.is_empty() && ended.detached.is_empty(),
        "{ended:?}"
    );
}

#[test]
fn a_report_whose_order_is_known_by_now_is_taken_from_its_letter() {
    let world = World::new();
    let seen = Seen::default();
    let first = session(&world, &seen);
    until("an order", Duration::from_secs(60), || {
        seen.first.lock().unwrap().is_some()
    });
    let id = seen.first.lock().unwrap().unwrap();
    let unresolved = || {
        let status = status(&world, "data").unwrap_or(Value::Null);
        status["brokers"][0]["unresolved_orders"]
            .as_array()
            .map(Vec::len)
    };
    until("its outcome is unknown", Duration::from_secs(30), || {
        unresolved() > Some(0)
    });
    first.stop();
    // Letters as if its report had come before the order was known.
    let logs: Arc<dyn Logs> = Arc::new(FileLogs::existing(&world.path("data")));
    let sim = Namespace::new("sim").unwrap();
    let mut letters = DeadLetters::open(Arc::clone(&logs), &sim).unwrap();
    let payload = serde_json::json!({
        "client_order_id": id.as_str(),
        "kind": ReportKind::Cancelled(Reason::BrokerRejected),
        "number": 0,
    });
    let topic = Topic::Broker(sim, Channel::OrdersUpdated);
    let payload = payload.to_string();
    let [before, during] = [1, 2].map(|at| {
        let (reason, at) = (LetterReason::UnknownOrder, Timestamp(at));
        let letter = letters.park(&topic, reason, "early", payload.as_bytes(), at);
        letter.unwrap()
    });
    drop(letters);
    let is = |id: &str, status: &str| {
        let all = self::letters(&world);
        all.iter().any(|l| l["id"] == id && l["status"] == status)
    };
    // Without a session it is only noted, as a crash leaves a letter that was given out.
    let said = world.ok(&["dlq", "replay", &before]);
    assert!(said.contains("the next session of `sim`"), "{said}");
    assert!(is(&before, "replay_requested"));
    let second = session(&world, &seen);
    until("it is taken", Duration::from_secs(30), || {
        is(&before, "replayed")
    });
    let said = world.ok(&["dlq", "replay", &during]);
    assert_eq!(said, format!("letter {during}: `sim` has taken it again\n"));
    assert!(is(&during, "replayed"));
    // An end that a broker tells is taken once it has answered what else there was.
    seen.answers.store(true, Ordering::Release);
    until("nothing is unresolved", Duration::from_secs(60), || {
        unresolved() == Some(0)
    });
    second.stop();
    let ended = Journal::read(&world.path("data"), "sim").events();
    let ended = ended.iter().any(|e| {
        matches!(&e.body, EventBody::OrderChanged(step)
            if step.change == OrderChange::Cancelled(Reason::BrokerRejected))
    });
    assert!(ended, "the order is still open");
}

#[test]
fn only_an_order_that_is_in_doubt_is_resolved_by_hand() {
    let world = World::new();
    let session = session(&world, &Seen::default());
    let unresolved = || {
        let status = status(&world, "data").unwrap_or(Value::Null);
        let all = status["brokers"][0]["unresolved_orders"]
            .as_array()
            .cloned();
        all.unwrap_or_default()
    };
    until("its outcome is unknown", Duration::from_secs(60), || {
        !unresolved().is_empty()
    });
    let id = unresolved()[0].as_str().unwrap().to_owned();
    let resolve = ["order", "resolve", &id, "--as", "never-reached"];
    let said = world.ok(&resolve);
    assert!(said.contains(&id), "{said}");
    assert!(!unresolved().contains(&Value::from(id.clone())));
    let refused = |args: &[&str], why: &str| {
        let ran = world.panda(args);
        assert!(!ran.ok && ran.stderr.contains(why), "{}", ran.stderr);
    };
    refused(&resolve, "is failed: only one whose outcome is unknown");
    let nowhere = "00000000000000000000";
    refused(
        &["order", "resolve", nowhere, "--as", "cancelled"],
        "no order 00000000000000000000",
    );
    session.stop();
    // What is refused leaves nothing behind.
    let of_refusal = |e: &model::event::Event| match e.body {
        EventBody::Alert { reason, .. } => {
            matches!(reason, Reason::OrderNotUnknown | Reason::IllegalReport)
        }
        _ => false,
    };
    let events = Journal::read(&world.path("data"), "sim").events();
    assert!(!events.iter().any(of_refusal));
}
