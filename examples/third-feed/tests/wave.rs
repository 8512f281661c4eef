//! It keeps to what every feed keeps to, and a session trades on it, beside another feed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use feeds::live::conformance::{Subject, check};
use feeds::live::{Feed, FeedContext};
use model::time::{DAY, SECOND};
use model::{Instrument, Instruments, Timestamp};
use panda::compose::BUILT_IN;
use session::{Plugins, Preparation, Session, StopRequest, prepare};
use settings::Settings;

struct Subjects(Arc<Instruments>);

impl Subject for Subjects {
    fn begin(&mut self, _: u64) -> Box<dyn Feed> {
        // A clock that moves on by itself with every look.
        let time = AtomicI64::new(20_000 * DAY);
        let now = move || Timestamp(time.fetch_add(SECOND / 20, Ordering::Relaxed));
        let kind = third_feed::kind();
        let build = kind.build.unwrap();
        let context = FeedContext {
            name: "wave",
            settings: &toml::Table::new(),
            instruments: Arc::clone(&self.0),
            now: Arc::new(now),
        };
        build(&context).unwrap()
    }
    fn wanted(&self) -> Vec<String> {
        ["DEMO:A", "DEMO:C"].map(str::to_owned).to_vec()
    }
    fn pulls(&self) -> usize {
        100
    }
}

#[test]
fn it_conforms() {
    let share = |symbol| Instrument::share("DEMO", symbol, "INR".parse().unwrap());
    let all = ["A", "B", "C"].map(share).to_vec();
    check(&mut Subjects(Arc::new(Instruments::new(all).unwrap()))).unwrap();
}

const SETTINGS: &str = "
instruments = \"DIR/list.csv\"
data_dir = \"DIR/data\"
[strategies]
files = [\"DIR/strategies.yaml\"]
[markets]
always_open = [\"DEMO\", \"SIM\", \"NOWHERE\"]
[feeds.first]
source = \"wave\"
interval_ms = 20
[feeds.second]
source = \"simulated\"
[feeds.third]
source = \"wave\"
exchange = \"NOWHERE\"
";
const LIST: &str = "id,currency\nDEMO:A,INR\nDEMO:B,INR\nSIM:ALPHA,INR\n";
const STRATEGIES: &str = "
strategies:
  - { id: waves, kind: low_frequency_demo, instruments: ['DEMO:A'], parameters: { every: 1s, quantity: 1 } }
  - { id: sims, kind: low_frequency_demo, instruments: ['SIM:ALPHA'], parameters: { every: 1s, quantity: 1 } }
";

#[test]
fn a_session_trades_on_it_beside_another_feed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("list.csv"), LIST).unwrap();
    std::fs::write(dir.path().join("strategies.yaml"), STRATEGIES).unwrap();
    let text = SETTINGS.replace("DIR", &dir.path().display().to_string());
    let opened = prepare(Preparation {
        settings: Settings::parse(&text, "test").unwrap(),
        brokers: vec!["paper".to_owned()],
        plugins: Plugins {
            feeds: vec![third_feed::kind()],
            ..Plugins::new(BUILT_IN)
        },
    });
    let session = Session::start(opened.unwrap(), Arc::new(StopRequest::default())).unwrap();
    let handles = Arc::clone(&session.handles);
    // The first two deliver all that is used, so the third is not needed.
    let names: Vec<&str> = handles
        .feeds
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["first", "second"]);
    let known: Vec<&str> = handles
        .instruments
        .iter()
        .map(|(_, i)| i.id.as_str())
        .collect();
    assert_eq!(known, ["DEMO:A", "SIM:ALPHA"]);
    let begin = Instant::now();
    while handles.market.status().signals.load(Ordering::Relaxed) < 4 {
        assert!(begin.elapsed() < Duration::from_secs(60), "nothing trades");
        std::thread::sleep(Duration::from_millis(20));
    }
    for (name, feed) in &handles.feeds {
        assert!(feed.delivered.load(Ordering::Relaxed) > 10, "{name}");
        assert_eq!(feed.rejected.load(Ordering::Relaxed), 0, "{name}");
    }
    let ended = session.stop();
    assert!(ended.failed.is_empty(), "{ended:?}");
}
