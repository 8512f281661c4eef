//! A broker's dump lists 150,000 instruments, and a session knows those that it uses.

use std::fmt::Write as _;

use serde_json::Value;

use super::replay_world;
use crate::harness::World;

/// Adds so many coins that nothing uses to the list of instruments.
fn list_more(world: &World, count: usize) {
    let mut text = world.read("market/instruments.csv");
    let columns = text
        .lines()
        .next()
        .map_or(0, |head| head.split(',').count());
    let head = text.lines().next().unwrap().to_owned();
    for n in 0..count {
        let row = head.split(',').map(|column| match column {
            "id" => format!("LISTED:S{n:06}"),
            "exchange" => "LISTED".to_owned(),
            "symbol" => format!("S{n:06}"),
            "asset_class" => "crypto".to_owned(),
            "currency" => "INR".to_owned(),
            "tick_size" => "0.05".to_owned(),
            "lot_size" => "1".to_owned(),
            _ => String::new(),
        });
        let row: Vec<String> = row.collect();
        assert_eq!(row.len(), columns);
        let _infallible = writeln!(text, "{}", row.join(","));
    }
    world.write("market/instruments.csv", text);
}

/// What a replay leaves: the brokers' books, and the bytes of logs and snapshots.
fn replayed(world: &World) -> (Vec<Value>, Vec<u64>) {
    let at = ["--config", "live.toml", "--json"];
    world.ok(&["run", "--config", "live.toml"]);
    let status: Value = serde_json::from_str(&world.ok(&[&["status"], &at[..]].concat())).unwrap();
    let brokers = status["brokers"].as_array().unwrap();
    let parts = ["accounts", "positions", "activity"];
    let books = brokers
        .iter()
        .flat_map(|b| parts.map(|part| b[part].clone()));
    let stats = world.ok(&[&["journal", "stats"], &at[..]].concat());
    let bytes = |line: &str| {
        let stats: Value = serde_json::from_str(line).unwrap();
        stats["bytes"].as_u64().unwrap()
    };
    let mut sizes: Vec<u64> = stats.lines().map(bytes).collect();
    for dir in ["data/market", "data/journal/paper"] {
        let files = std::fs::read_dir(world.path(dir)).unwrap();
        let files = files.map(|file| file.unwrap());
        let snapshots = files.filter(|f| f.file_name().to_string_lossy().starts_with("snapshot-"));
        sizes.push(
            snapshots
                .map(|f| f.metadata().unwrap().len())
                .max()
                .unwrap(),
        );
    }
    (books.collect(), sizes)
}

#[test]
fn what_is_listed_and_not_used_is_neither_recorded_nor_traded() {
    let (few, many) = (replay_world(1, ""), replay_world(1, ""));
    list_more(&many, 150_000);
    let ((books, small), (same, large)) = (replayed(&few), replayed(&many));
    assert!(
        books.len() >= 3 && books[2]["fills"].as_u64() > Some(3),
        "{books:?}"
    );
    assert_eq!(books, same);
    for (small, large) in small.iter().zip(&large) {
        // The identities of runs differ, and with them a length here and there.
        assert!(
            large.abs_diff(*small) * 100 <= *small,
            "{small} and {large}"
        );
    }
    // One that is used from now on is known at the next start, and the books go on.
    let strategies = many.read("strategies.yaml");
    let more = "  - { id: added, kind: low_frequency_demo, instruments: ['LISTED:S000007'], parameters: { every: 30s, quantity: 5 } }\n";
    many.write("strategies.yaml", strategies + more);
    let (again, larger) = replayed(&many);
    assert_eq!(again, same);
    assert!(
        larger[0] > large[0] && larger[0] < large[0] + 100_000,
        "{larger:?}"
    );
}
