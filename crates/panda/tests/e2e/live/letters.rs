//! What a broker says and nobody can take is kept, and looked after while the session runs.

use std::sync::Arc;
use std::time::Duration;

use model::order::OrderIntent;
use model::trader::{Capabilities, ReportKind};
use panda::live::Plugins;
use serde_json::Value;
use traders::{
    Answer, BrokerKind, BrokerReport, Built, ClientOrderId, Found, LinkError, Modification,
    Reports, Trader,
};

use super::inside::start;
use super::{status, until};
use crate::harness::{World, text};

/// The simulated exchange's trader, which says two things too many when it connects.
fn babbling() -> BrokerKind {
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
                    trader: Box::new(Babbling(trader)),
                    warnings,
                    effective,
                },
                built => built,
            })
        }),
        ..sim::kind(None)
    }
}

struct Babbling(Box<dyn Trader>);

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
    fn submit(&mut self, _: &ClientOrderId, _: &OrderIntent) -> Answer {
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
    fn stop(&mut self) {
        self.0.stop();
    }
}

fn letters(world: &World) -> Vec<Value> {
    let listed = world.ok(&["dlq", "list", "--all", "--json"]);
    let lines = listed.lines();
    lines.map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn what_a_broker_says_in_vain_is_parked_and_looked_after() {
    let world = World::new();
    let toml = "[feeds.sim]\nsource = \"simulated\"\n[trading_engine.sim]\n";
    world.write("panda.toml", toml);
    let settings = panda::commands::run::settings(
        Some(&world.path("panda.toml")),
        &[],
        Some(&world.path("data")),
        &[],
    );
    let plugins = Plugins {
        brokers: vec![babbling()],
        ..Plugins::default()
    };
    let session = start(settings.unwrap(), &["sim"], plugins);
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
    world.ok(&["dlq", "drop", &bytes]);
    world.ok(&["dlq", "replay", &foreign]);
    world.ok(&["dlq", "replay", &half]);
    let is = |id: &str, status: &str, tries: u64| {
        let all = letters(&world);
        let letter = all.iter().find(|l| l["id"] == id).unwrap();
        letter["status"] == status && letter["tries"] == tries
    };
    until(
        "the session has seen to it",
        Duration::from_secs(30),
        || {
            // Taken again, and what it is about is known no more than before.
            is(&bytes, "dropped", 0) && is(&foreign, "parked", 1) && is(&half, "parked", 1)
        },
    );
    until("it is shown", Duration::from_secs(30), || {
        parked()["parked"] == 2
    });
    let ended = session.stop();
    assert!(
        ended.failed.is_empty() && ended.detached.is_empty(),
        "{ended:?}"
    );
}
