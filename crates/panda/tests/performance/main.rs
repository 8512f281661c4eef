//! What must stay true of the pipeline's speed, as counts and ratios: nothing here reads a clock.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use bench::{Costs, Workload, kernel};
use jiff::ToSpan;
use jiff::civil::{Date, Weekday, date};
use markets::charges::Profile;
use model::InputId;
use model::event::Event;
use model::market::MarketData;
use panda::compose::BUILT_IN;
use pipeline::EventSink;

/// The market's hours, and all of its charges.
const CHARGED: Costs = Costs::Market(Profile::ContractNote);

/// Counts events, keeps none.
struct Count(u64);

impl EventSink for Count {
    fn events(&mut self, _: usize, events: &[Event]) {
        self.0 += events.len() as u64;
    }
}

/// Allocations of a kernel over `ticks[from..]`, and the events it produced meanwhile.
fn allocations(workload: &Workload, orders: bool, costs: Costs, from: usize) -> (u64, u64) {
    let (mut kernel, _) =
        kernel(BUILT_IN, workload, orders, costs).expect("the benchmark's settings are valid");
    let mut sink = Count(0);
    let mut deliver = |range: std::ops::Range<usize>| {
        for n in range {
            let data = MarketData::Tick(&workload.ticks[n], None);
            kernel.market(InputId(n as u64), &data, &mut sink);
        }
    };
    deliver(0..from);
    let info = allocation_counter::measure(|| deliver(from..workload.ticks.len()));
    (info.count_total, sink.0)
}

#[test]
fn a_tick_without_an_order_allocates_nothing() {
    let workload = Workload::on_an_exchange(200_000, 10).expect("generated data is valid");
    for costs in [Costs::None, CHARGED] {
        let (count, events) = allocations(&workload, false, costs, 1_000);
        assert_eq!(events, 0, "nothing trades");
        assert_eq!(count, 0, "allocations over 199,000 ticks, {costs:?}");
    }
}

/// An order's life takes a few allocations whatever has traded before: the cost per order is flat.
#[test]
fn the_allocations_of_an_order_do_not_grow() {
    let workload = Workload::on_an_exchange(1_000_000, 10).expect("generated data is valid");
    let mut bare = 0;
    for costs in [Costs::None, CHARGED] {
        let (all, _) = allocations(&workload, true, costs, 0);
        let (second_half, _) = allocations(&workload, true, costs, 500_000);
        let first_half = all - second_half;
        assert!(
            second_half <= first_half + first_half / 4,
            "{costs:?}: {first_half} allocations in the first half of the ticks, {second_half} in the second"
        );
        match costs {
            Costs::None => bare = second_half,
            // What a fill is charged is looked up, not made anew.
            Costs::Market(_) => assert!(
                second_half <= bare + bare / 100,
                "{bare} allocations without charges, {second_half} with them"
            ),
        }
    }
}

#[test]
fn memory_above_the_data_stays_bounded() {
    let output = Command::new(env!("CARGO_BIN_EXE_panda"))
        .args(["bench", "pipeline", "--passes", "1", "--json"])
        .output()
        .expect("the binary runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let number = |key: &str| json[key].as_u64().expect("a number");
    let above = number("peak_rss_bytes") - number("data_bytes");
    assert!(number("orders") > 40_000, "{json}");
    assert!(above < 100 << 20, "{} MiB above the data", above >> 20);
}

/// The first weekdays of June and July 2021 on which the market was open.
fn market_days(count: usize) -> Vec<Date> {
    date(2021, 6, 1)
        .series(1.day())
        .filter(|day| !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday))
        .take(count)
        .collect()
}

/// One instrument's raw files, one a day.
fn raw_days(folder: &Path, days: &[Date]) {
    for day in days {
        let mut text = String::from("timestamp,price,volume\n");
        for n in 0..50_000u64 {
            let at = 9 * 3_600_000 + 15 * 60_000 + n * 450;
            let (second, milli) = (at / 1_000, at % 1_000);
            let clock = (second / 3_600, second / 60 % 60, second % 60);
            let price = 1_000 + (n * 7 + u64::from(day.day().unsigned_abs())) % 40;
            let (h, m, s) = clock;
            let stamp = format!("{day} {h:02}:{m:02}:{s:02}.{milli:03}");
            writeln!(text, "{stamp},{price}.05,{}", n * 3).expect("memory takes it");
        }
        let folder = folder.join(day.to_string());
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("TCS.csv"), text).expect("a file");
    }
}

/// Runs the binary to its end; its peak of resident memory in bytes. The kernel's own mark is read
/// every two milliseconds, so what is missed is the growth within the last two. The usage that a
/// parent gets by waiting would miss nothing, and begins at this process's own memory.
fn peak_of(folder: &Path, args: &[&str]) -> u64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_panda"))
        .args(args)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(&status_file).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            assert!(status.success(), "{args:?} failed");
            assert!(peak > 8 << 20, "{args:?}: {peak} bytes are not its peak");
            return peak;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// A backtest of raw files holds a day at a time: six times the days take no more memory. Its result
/// is that of the catalogue made of the files.
///
/// The least of three runs counts: the peak of one varies by a fifth with how the threads that clean
/// files overlap, whatever the number of the allocator's arenas. With all days held, the ratio is 1.8.
#[test]
fn memory_of_raw_files_does_not_grow_with_their_days() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let write = |name: &str, text: &str| std::fs::write(root.join(name), text).expect("a file");
    write(
        "instruments.csv",
        "exchange,symbol,asset_class,currency,tick_size,lot_size\nNSE,TCS,equity,INR,0.05,1\n",
    );
    write("panda.toml", "");
    write(
        "strategies.yaml",
        "- { id: cross, kind: ema_cross, asset_classes: [equity] }\n",
    );
    let days = market_days(36);
    raw_days(&root.join("few"), &days[..6]);
    raw_days(&root.join("many"), &days);
    let backtest = |data: &str, out: &str| {
        let mut args = vec![
            "backtest",
            "--config",
            "panda.toml",
            "--data",
            data,
            "--out",
            out,
        ];
        args.extend([
            "--instruments",
            "instruments.csv",
            "--strategy",
            "strategies.yaml",
        ]);
        let peak = peak_of(root, &args);
        let summary = std::fs::read(root.join(out).join("summary.json")).expect("a summary");
        let summary: serde_json::Value = serde_json::from_slice(&summary).expect("JSON");
        (peak, summary)
    };
    let least = |data: &str| {
        let runs = (1..=3).map(|run| backtest(data, &format!("out-{data}-{run}")));
        runs.min_by_key(|(peak, _)| *peak).expect("three runs")
    };
    let ((few, _), (many, raw)) = (least("few"), least("many"));
    let ratio = many as f64 / few as f64;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let seen = format!(
        "{:.1} MiB for 6 days, {:.1} MiB for 36: {ratio:.3}",
        mib(few),
        mib(many)
    );
    eprintln!("{seen}");
    assert!(ratio < 1.4, "{seen}");

    let import = ["data", "import", "many", "--catalogue", "catalogue"];
    let import = [&import[..], &["--instruments", "instruments.csv"]].concat();
    peak_of(root, &import);
    let (_, stored) = backtest("catalogue", "out-catalogue");
    assert!(
        raw["orders"].as_u64().is_some_and(|orders| orders > 0),
        "{raw}"
    );
    assert_eq!(raw["log_hash"], stored["log_hash"]);
}
