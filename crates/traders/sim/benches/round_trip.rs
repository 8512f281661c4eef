//! What an input costs in lockstep with an exchange behind a socket, and an order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use model::market::MarketData;
use model::{InputId, InstrumentIdx, Price, Tick, Timestamp};
use sim::server::{ServeOptions, Server};
use sim::{RemoteTrader, SimSettings};
use traders::{BrokerReport, Reports, Trader};

struct Deaf;

impl Reports for Deaf {
    fn report(&self, _: BrokerReport) -> bool {
        true
    }
    fn lost(&self, _: &str) {}
    fn unreadable(&self, _: &[u8], _: &str) {}
}

fn main() -> std::io::Result<()> {
    let socket: PathBuf = std::env::temp_dir().join(format!("sim-bench-{}", std::process::id()));
    let _server = Server::start(ServeOptions::new(&socket))?;
    let names = vec!["X:A".to_owned()];
    let mut trader = RemoteTrader::new(&SimSettings::default(), socket, "bench", names);
    trader
        .connect(Arc::new(Deaf))
        .map_err(std::io::Error::other)?;
    const PASSES: usize = 200_000;
    let mut took = Vec::with_capacity(PASSES);
    for n in 0..PASSES {
        let tick = Tick {
            ts: Timestamp(n as i64),
            price: Price::MAX,
            instrument: InstrumentIdx(0),
            ..Tick::default()
        };
        let began = Instant::now();
        trader
            .pass(InputId(n as u64), &MarketData::Tick(&tick, None))
            .map_err(std::io::Error::other)?;
        took.push(began.elapsed().as_nanos());
    }
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 1_000).copied().unwrap_or(0);
    println!(
        "pass round trip: median {} ns, 90 % {} ns, 99 % {} ns, 99.9 % {} ns",
        at(500),
        at(900),
        at(990),
        at(999)
    );
    Ok(())
}
