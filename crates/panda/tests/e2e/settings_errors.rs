//! Wrong settings: file, key and fix.

use crate::harness::{World, base};
use crate::market::{self, Random};

/// Settings with what the message must hold beside the file's name.
const WRONG: &[(&str, &[&str])] = &[
    (
        "actve_brokers = []",
        &["line 1", "`actve_brokers`", "active_brokers"],
    ),
    (
        "active_brokers = [\"x\"]",
        &["active_brokers", "`x`", "paper"],
    ),
    ("active_brokers = 4", &["line 1", "active_brokers"]),
    ("= =", &["line 1"]),
    ("[data\n", &["line 1"]),
    (
        "[data]\ntime_zon = \"UTC\"",
        &["line 2", "`time_zon`", "`time_zone`"],
    ),
    (
        "[data]\ntime_zone = \"Mars/Base\"",
        &["[data]", "time_zone", "`Mars/Base`", "Asia/Kolkata"],
    ),
    (
        "[data]\njump_band_percent = -5",
        &["[data]", "jump_band_percent", "-5"],
    ),
    (
        "[data]\njump_band_percent = \"wide\"",
        &["[data]", "jump_band_percent", "`wide`"],
    ),
    (
        "[data]\njump_band_percent = true",
        &["[data]", "jump_band_percent", "20"],
    ),
    (
        "[data]\ntimeframe = \"7 parsecs\"",
        &["[data]", "timeframe", "`7 parsecs`", "1m"],
    ),
    (
        "[data]\nbar_stamp = \"middle\"",
        &["line 2", "`middle`", "`open` or `close`"],
    ),
    ("[data]\nsession_only = 3", &["line 2", "session_only"]),
    (
        "[data]\ncolumns = { prize = \"x\" }",
        &["[data]", "columns", "`prize`", "price"],
    ),
    (
        "[trading_day]\nstart = \"25:00\"",
        &["[trading_day]", "start", "`25:00`", "HH:MM"],
    ),
    (
        "[trading_day]\nstrt = \"05:00\"",
        &["line 2", "`strt`", "`start`"],
    ),
    (
        "[markets]\ncalendar_file = \"none.toml\"",
        &["[markets]", "`calendar_file`", "none.toml", "No such file"],
    ),
    (
        "[markets]\nassume = \"weekday\"",
        &["[markets]", "`assume`", "`weekday`", "weekdays"],
    ),
    (
        "[trading_day]\ntime_zone = \"X\"",
        &["[trading_day]", "`X`"],
    ),
    (
        "[trading_day]\nstart = \"6:00 am\"",
        &["[trading_day]", "`6:00 am`", "HH:MM"],
    ),
    (
        "[portfolio]\nsnapshot_interval_seconds = 0",
        &["[portfolio]", "snapshot_interval_seconds", "at least 1"],
    ),
    (
        "[portfolio]\nsnapshot_interval_seconds = -1",
        &["line 2", "snapshot_interval_seconds"],
    ),
    (
        "[risk]\norder_quantiy = 5",
        &["[risk]", "`order_quantiy`", "`order_quantity`"],
    ),
    (
        "[risk]\nshort_selling = \"no\"",
        &["[risk]", "short_selling", "`no`", "`forbidden`"],
    ),
    (
        "[risk]\nsession_open = 1",
        &["[risk]", "session_open", "boolean"],
    ),
    ("[risk]\nbrokers = 4", &["[risk]", "brokers"]),
    (
        "[risk.brokers.other]\norder_quantity = 1",
        &["[risk.brokers.other]", "paper"],
    ),
    (
        "[risk.brokers.paper]\norder_quantiy = 1",
        &["risk", "paper", "`order_quantiy`"],
    ),
    ("trading_engine = 5", &["line 1", "trading_engine"]),
    (
        "[trading_engine.Zed]\nkind = \"paper\"",
        &["[trading_engine.Zed]", "lower-case"],
    ),
    (
        "[trading_engine.market]\nkind = \"paper\"",
        &["[trading_engine.market]", "reserved"],
    ),
    (
        "[trading_engine.zed]\nkind = \"papr\"",
        &["[trading_engine.zed]", "kind", "`papr`", "paper"],
    ),
    (
        "[trading_engine.zed]\nseed = 4",
        &["[trading_engine.zed]", "kind", "`zed`", "paper"],
    ),
    (
        "[trading_engine.paper]\nstarting_cash = { INR = -5 }",
        &[
            "[trading_engine.paper]",
            "starting_cash.INR",
            "-5",
            "negative",
        ],
    ),
    (
        "[trading_engine.paper]\nstarting_cash = { rupees = 5 }",
        &["[trading_engine.paper]", "starting_cash", "`rupees`", "INR"],
    ),
    (
        "[trading_engine.paper]\nstarting_cash = 5",
        &["[trading_engine.paper]", "starting_cash"],
    ),
    (
        "[trading_engine.paper]\nstarting_cash = { INR = \"much\" }",
        &["[trading_engine.paper]", "starting_cash.INR", "`much`"],
    ),
    (
        "[trading_engine.paper]\ncharges = \"free\"",
        &["[trading_engine.paper]", "charges", "`free`", "flat_rate"],
    ),
    (
        "[trading_engine.paper]\ncharges = { flat_rate = 2 }",
        &["[trading_engine.paper]", "charges.flat_rate", "0 to 1"],
    ),
    (
        "[trading_engine.paper]\nbase_currency = \"rupees\"",
        &["[trading_engine.paper]", "base_currency", "`rupees`", "INR"],
    ),
    (
        "[trading_engine.paper]\nauto_resume = \"never\"",
        &[
            "[trading_engine.paper]",
            "auto_resume",
            "`never`",
            "next_day",
        ],
    ),
    (
        "[trading_engine.paper]\non_resume = \"never\"",
        &["[trading_engine.paper]", "on_resume", "`never`", "follow"],
    ),
    (
        "[trading_engine.paper]\nsend_within_ms = -1",
        &["[trading_engine.paper]", "send_within_ms"],
    ),
    (
        "[trading_engine.paper]\nsquare_off_minutes_before_close = -1",
        &["[trading_engine.paper]", "square_off_minutes_before_close"],
    ),
];

/// Settings that are only wrong for these instruments or this trader: the table and the key tell.
const WRONG_LATER: &[(&str, &[&str])] = &[
    (
        "[risk]\norder_quantity = -5",
        &["[risk]", "order_quantity", "-5"],
    ),
    (
        "[risk]\norder_quantity = \"five\"",
        &["[risk]", "order_quantity", "`five`"],
    ),
    ("[risk]\nprice_band = -1", &["[risk]", "price_band", "-1"]),
    ("[risk]\nallow = [\"TCSS\"]", &["[risk]", "allow", "`TCSS`"]),
    (
        "[risk]\norder_notional = { USD = 5 }",
        &["[risk]", "order_notional", "`USD`", "INR"],
    ),
    (
        "[trading_engine.paper]\nslipage_ticks = 1",
        &[
            "[trading_engine.paper]",
            "`slipage_ticks`",
            "slippage_ticks",
        ],
    ),
    (
        "[trading_engine.paper]\nslippage_ticks = -1",
        &["[trading_engine.paper]", "-1"],
    ),
    (
        "[trading_engine.paper]\nslippage_bps = 1e9",
        &["[trading_engine.paper]", "slippage_bps", "10000"],
    ),
    (
        "[trading_engine.paper]\nslippage_bps = nan",
        &["[trading_engine.paper]", "slippage_bps"],
    ),
    (
        "[trading_engine.paper]\nparticipation = 2",
        &["[trading_engine.paper]", "participation", "1"],
    ),
    (
        "[trading_engine.paper]\nfill = \"now\"",
        &["[trading_engine.paper]", "`now`", "signal_tick"],
    ),
];

fn world() -> World {
    let world = World::new();
    world.write("instruments.csv", market::instruments(&["TCS"]));
    world.write(
        "strategies.yaml",
        "- { id: cross, kind: ema_cross, instruments: [TCS] }\n",
    );
    let day = market::day(&mut Random::new(6), 40, 30);
    world.write("data/TCS.csv", market::csv("2021-04-15", &day));
    world
}

#[test]
fn every_wrong_setting_is_named() {
    let world = world();
    let mut args = base("data", "out");
    args.extend(["--config", "panda.toml"]);
    for (content, wanted) in WRONG {
        world.write("panda.toml", content);
        let message = world.refuses(&args, wanted);
        assert!(message.contains("panda.toml"), "{content:?}: {message}");
    }
    for (content, wanted) in WRONG_LATER {
        world.write("panda.toml", content);
        world.refuses(&args, wanted);
    }
    world.write("panda.toml", [0xff, 0x00]);
    world.refuses(&args, &["panda.toml", "UTF-8"]);
    let last = args.len() - 1;
    args[last] = "none.toml";
    world.refuses(&args, &["none.toml"]);
}
