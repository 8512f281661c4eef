//! The calendar against the sources' own list, day by day, and its transitions to the minute.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

use std::collections::BTreeSet;

use markets::calendar::{Assume, Calendar, DayState, MarketSessions, Next, TradingDayStart};
use markets::{Grade, Rules, State};
use model::instrument::Instruments;
use model::session::{SessionStatus, Sessions};
use model::{AssetClass, Date, Instrument, Timestamp};

fn date(text: &str) -> Date {
    Date::parse(text).unwrap()
}

/// `2026-12-07T15:30` or with seconds, on the clocks of a zone.
fn at(zone: &str, text: &str) -> Timestamp {
    let local: jiff::civil::DateTime = text.parse().unwrap();
    let zoned = local.in_tz(zone).unwrap();
    Timestamp(i64::try_from(zoned.timestamp().as_nanosecond()).unwrap())
}

fn ist(text: &str) -> Timestamp {
    at("Asia/Kolkata", text)
}

/// The windows of a date as `HH:MM-HH:MM` of India, `closed` or `unknown`.
fn shown(calendar: &Calendar, venue: &str, day: Date) -> String {
    let hours = calendar.hours(calendar.venue_of(venue).unwrap(), day);
    match hours.state {
        DayState::Closed => return "closed".to_owned(),
        DayState::Unknown => return "unknown".to_owned(),
        DayState::Trading => {}
    }
    let clock = |at: Timestamp| {
        let minutes = at.since(ist(&format!("{day}T00:00"))) / model::time::MINUTE;
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    };
    let windows = hours.windows().into_iter();
    let shown: Vec<String> = windows
        .map(|w| format!("{}-{}", clock(w.open), clock(w.close)))
        .collect();
    shown.join(" ")
}

mod skip {
    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../xtask/src/skip.rs"
    ));
}

/// The list of sources that the facts were compiled into.
struct Facts(toml::Table);

impl Facts {
    fn read() -> Option<Self> {
        let file = skip::shared("markets/calendar.toml")?;
        let text = std::fs::read_to_string(file).unwrap();
        let mut table: toml::Table = text.parse().unwrap();
        let closed = table["equity_and_fno"]["closed"].clone();
        table.insert("equity_and_fno".to_owned(), closed);
        Some(Self(table))
    }

    fn dates(&self, table: &str, year: i32) -> BTreeSet<Date> {
        let list = self.0[table].get(year.to_string());
        let list = list.and_then(|list| list.as_array());
        let texts = list.into_iter().flatten().map(|d| d.as_str().unwrap());
        texts.map(|day| date(&format!("{year}-{day}"))).collect()
    }

    /// What is said of a special session on a date.
    fn special(&self, day: Date) -> Option<String> {
        let list = self.0["special_sessions"].get(day.ymd().0.to_string())?;
        let of = |entry: &&toml::Value| day.to_string().ends_with(entry["date"].as_str().unwrap());
        let entry = list.as_array()?.iter().find(of)?;
        Some(entry["what"].as_str().unwrap().to_owned())
    }

    /// The effective value of a key of a table of sessions.
    fn hours(&self, table: &str, key: &str, day: Date) -> Option<String> {
        let entries = self.0["sessions_effective"][table].as_array()?;
        let bound = |entry: &toml::Value, key: &str| {
            entry.get(key).map(|text| date(text.as_str().unwrap()))
        };
        let holds = |entry: &&toml::Value| {
            bound(entry, "from").is_none_or(|from| from <= day)
                && bound(entry, "to").is_none_or(|to| day <= to)
        };
        let found = entries
            .iter()
            .filter(holds)
            .filter_map(|e| e.get(key))
            .next_back();
        found.map(|value| value.as_str().unwrap().to_owned())
    }

    fn equity(&self, venue: &str, day: Date) -> String {
        let year = day.ymd().0;
        let regular = || {
            let (open, mut close) = ("09:15".to_owned(), None);
            if venue.ends_with("cash_fno") {
                let auction = self.hours("equity_fno_stock", "cas", day);
                close = auction.map(|text| text[6..11].to_owned());
            } else if venue.ends_with("fno") {
                close = self.hours("nfo_bfo", "close", day);
            }
            let close = close.or_else(|| self.hours("equity_non_fno", "close", day));
            format!("{open}-{}", close.unwrap())
        };
        match self.special(day).as_deref() {
            Some(what) if what.contains("UNVERIFIED") => return "unknown".to_owned(),
            Some(what) if what.contains("13:45-14:45") => return "13:45-14:45".to_owned(),
            Some(what) if what.contains("Budget") => return regular(),
            Some(what) => panic!("the test does not understand `{what}`"),
            None => {}
        }
        if day.weekday() >= 5 || self.dates("equity_and_fno", year).contains(&day) {
            return "closed".to_owned();
        }
        regular()
    }
}

#[test]
fn every_covered_day_of_shares_and_their_derivatives_is_as_the_sources_say() {
    let Some(facts) = Facts::read() else {
        return;
    };
    let calendar = Calendar::embedded().unwrap();
    let mut walked = 0;
    for year in [2021, 2025, 2026] {
        for day in date(&format!("{year}-01-01")).days()..=date(&format!("{year}-12-31")).days() {
            let day = Date::from_days(day);
            for venue in [
                "NSE",
                "NSE:cash_fno",
                "BSE:cash",
                "BSE:cash_fno",
                "NFO:fno",
                "BFO",
            ] {
                let as_facts = if venue == "BFO" { "BFO:fno" } else { venue };
                assert_eq!(
                    shown(&calendar, venue, day),
                    facts.equity(as_facts, day),
                    "{venue} on {day}"
                );
                walked += 1;
            }
            let mut expiring = facts.equity("NFO:fno", day);
            if day >= date("2026-12-07") {
                expiring = expiring.replace("15:45", "15:30");
            }
            assert_eq!(
                shown(&calendar, "NFO:expiring_index", day),
                expiring,
                "{day}"
            );
        }
    }
    assert_eq!(walked, 3 * 365 * 6);
}

#[test]
fn every_day_of_2026_of_currency_and_commodities_is_as_the_sources_say() {
    let Some(facts) = Facts::read() else {
        return;
    };
    let calendar = Calendar::embedded().unwrap();
    let in_list = |table: &str, day: Date| facts.dates(table, 2026).contains(&day);
    for day in date("2026-01-01").days()..=date("2026-12-31").days() {
        let day = Date::from_days(day);
        let is_weekend = day.weekday() >= 5;
        let is_budget = day == date("2026-02-01");
        let is_muhurat = day == date("2026-11-08");
        let currency = if is_budget || is_muhurat {
            "unknown"
        } else if is_weekend
            || in_list("equity_and_fno", day)
            || in_list("currency_extra_closed", day)
        {
            "closed"
        } else {
            "09:00-17:00"
        };
        assert_eq!(shown(&calendar, "CDS", day), currency, "{day}");
        // The sources say the winter of 2026; the one before follows from American clocks.
        let winter = day < date("2026-03-09");
        let close = facts.hours("mcx", "close", day).unwrap();
        let close = if winter { "23:55" } else { &close };
        let commodity = if is_muhurat || day == date("2026-01-15") {
            "unknown".to_owned()
        } else if is_budget || in_list("mcx_morning_only", day) {
            "09:00-17:00".to_owned()
        } else if is_weekend || in_list("mcx_full_closed", day) {
            "closed".to_owned()
        } else if in_list("mcx_evening_only", day) {
            format!("17:00-{close}")
        } else {
            format!("09:00-{close}")
        };
        assert_eq!(shown(&calendar, "MCX", day), commodity, "{day}");
    }
}

/// One line of a day's course: time, state, phase, stage.
fn course(calendar: &Calendar, venue: &str, day: &str) -> Vec<String> {
    let venue = calendar.venue_of(venue).unwrap();
    let mut lines: Vec<String> = Vec::new();
    for minute in 0..24 * 60 {
        let clock = format!("{:02}:{:02}", minute / 60, minute % 60);
        let start = ist(&format!("{day}T{clock}"));
        let tell = |at| {
            let status = calendar.status_of(venue, at);
            let phase = status.phase.as_deref().unwrap_or("-").to_owned();
            let stage = status.stage.as_deref().unwrap_or("-").to_owned();
            (format!("{} {phase} {stage}", status.state), status)
        };
        let (now, status) = tell(start);
        // Nothing changes within a minute: its last nanosecond is like its first.
        assert_eq!(tell(start.plus(model::time::MINUTE - 1)).0, now);
        assert!(status.ends.is_none_or(|ends| ends > start));
        if lines.last().is_none_or(|line| line[6..] != now) {
            lines.push(format!("{clock} {now}"));
        }
    }
    lines
}

#[test]
fn the_closing_auction_comes_and_changes() {
    let calendar = Calendar::embedded().unwrap();
    let before = course(&calendar, "NSE:cash_fno", "2026-07-31");
    assert_eq!(
        before,
        [
            "00:00 closed - -",
            "09:00 closed pre_open -",
            "09:08 closed - -",
            "09:15 open continuous -",
            "15:30 closed - -",
            "15:40 closed post_close -",
            "16:00 closed - -",
        ]
    );
    let first = course(&calendar, "NSE:cash_fno", "2026-08-03");
    let auction = [
        "15:15 open closing_auction reference",
        "15:20 open closing_auction limit_and_market",
        "15:25 open closing_auction limit_only",
        "15:30 open closing_auction matching",
        "15:35 closed - -",
        "15:50 closed post_close -",
        "16:00 closed - -",
    ];
    assert_eq!(first[4..], auction);
    let pre_open = [
        "09:00 closed pre_open limit_and_market",
        "09:05 closed pre_open limit_only",
        "09:10 closed pre_open matching",
        "09:12 closed pre_open transition",
        "09:15 open continuous -",
    ];
    assert_eq!(
        course(&calendar, "NSE:cash_fno", "2026-09-04")[1..4],
        first[1..4]
    );
    assert_eq!(course(&calendar, "BSE:cash", "2026-09-07")[1..6], pre_open);
    let last = course(&calendar, "NSE:cash_fno", "2026-12-04");
    assert_eq!(last[1..6], pre_open);
    assert_eq!(last[6..], auction);
    let changed = course(&calendar, "BSE:cash_fno", "2026-12-07");
    assert_eq!(
        changed[6..],
        [
            "15:30 open closing_auction reference",
            "15:31 open closing_auction limit_and_market",
            "15:36 open closing_auction limit_only",
            "15:40 closed - -",
            "15:50 closed post_close -",
            "16:00 closed - -",
        ]
    );
    // Shares without derivatives see none of it but the later post-close.
    let plain = course(&calendar, "NSE:cash", "2026-12-07");
    assert_eq!(
        plain[5..],
        [
            "09:15 open continuous -",
            "15:30 closed - -",
            "15:50 closed post_close -",
            "16:00 closed - -",
        ]
    );
}

#[test]
fn a_stage_tells_its_end_its_phases_end_and_its_orders() {
    use model::signal::OrderType::{Limit, Market, Stop};
    let calendar = Calendar::embedded().unwrap();
    let status = calendar.status("NSE", Some("cash_fno"), ist("2026-08-03T15:26"));
    assert_eq!(status.stage_ends, Some(ist("2026-08-03T15:30")));
    assert_eq!(status.ends, Some(ist("2026-08-03T15:35")));
    assert!(status.takes.order(Limit) && !status.takes.order(Market));
    let earlier = calendar.status("NSE", Some("cash_fno"), ist("2026-08-03T15:21"));
    assert!(earlier.takes.order(Market) && !earlier.takes.order(Stop));
    assert!(!earlier.takes.iceberg);
    // Over a weekend and a holiday the next change is told.
    let night = calendar.status("NSE", None, ist("2026-12-24T18:00"));
    assert_eq!(night.ends, Some(ist("2026-12-28T09:00")));
    assert_eq!(night.evidence.grade, Grade::Press);
    let next = calendar.next(calendar.venue_of("NSE").unwrap(), ist("2026-12-24T15:29"));
    let Next::Opens { window, .. } = next else {
        panic!("{next:?}")
    };
    assert_eq!(window.open, ist("2026-12-28T09:15"));
}

#[test]
fn commodities_follow_american_daylight_saving_to_the_minute() {
    let calendar = Calendar::embedded().unwrap();
    let ends = |text: &str| calendar.status("MCX", None, ist(text)).ends;
    assert_eq!(ends("2026-03-06T23:00"), Some(ist("2026-03-06T23:55")));
    assert_eq!(ends("2026-03-09T23:00"), Some(ist("2026-03-09T23:30")));
    assert_eq!(ends("2026-10-30T23:00"), Some(ist("2026-10-30T23:30")));
    assert_eq!(ends("2026-11-02T23:00"), Some(ist("2026-11-02T23:55")));
    let state = |text: &str| calendar.status("MCX", None, ist(text)).state;
    assert_eq!(state("2026-11-02T23:54:59.999999999"), State::Open);
    assert_eq!(state("2026-11-02T23:55"), State::Closed);
    let york = |text: &str| at("America/New_York", text);
    let us = |text: &str| calendar.status("NASDAQ", None, york(text));
    assert_eq!(us("2026-03-06T15:59:59").state, State::Open);
    assert_eq!(us("2026-03-09T09:30").state, State::Open);
    assert_eq!(us("2026-11-27T13:00").state, State::Closed);
    assert_eq!(&*us("2026-11-27T13:00").phase.unwrap(), "after_hours");
    assert_eq!(york("2026-03-09T09:30"), at("UTC", "2026-03-09T13:30"));
    assert_eq!(
        calendar.status("24X7", None, Timestamp::MIN).state,
        State::Open
    );
}

#[test]
fn what_is_not_covered_is_unknown_and_names_the_gap() {
    let calendar = Calendar::embedded().unwrap();
    let status = calendar.status("NSE", None, ist("2023-05-02T11:00"));
    assert_eq!(status.state, State::Unknown);
    assert!(status.why.contains("2023-05-02"), "{}", status.why);
    assert_eq!(status.ends, Some(ist("2025-01-01T00:00")));
    let after = calendar.status("MCX", None, ist("2027-01-01T11:00"));
    assert_eq!((after.state, after.ends), (State::Unknown, None));
    assert_eq!(
        calendar.status("XNSE", None, ist("2026-05-04T11:00")).state,
        State::Unknown
    );
    assert_eq!(
        calendar.coverage_ends("NFO", date("2025-06-01")),
        Some(date("2026-12-31"))
    );
    assert_eq!(calendar.coverage_ends("NFO", date("2027-06-01")), None);
    let next = calendar.next(calendar.venue_of("NSE").unwrap(), ist("2026-11-06T16:00"));
    let Next::Unknown { from, why } = next else {
        panic!("{next:?}")
    };
    assert_eq!(from, ist("2026-11-08T00:00"));
    assert!(why.contains("Muhurat"), "{why}");
    let recalled = calendar.status("NSE", None, ist("2021-01-27T11:00"));
    assert_eq!(recalled.evidence.grade, Grade::Unverified);
    let recorded = calendar.status("NSE", None, ist("2021-04-15T11:00"));
    assert!(!recorded.evidence.grade.is_unverified());
}

#[test]
fn a_users_file_extends_and_corrects() {
    let calendar = Calendar::with_overrides(
        r#"
        [[special]]
        exchanges = ["NSE"]
        dates = ["2026-11-08"]
        phases = [{ name = "continuous", from = "18:00", to = "19:00", open = true, takes = ["all"] }]
        what = "Muhurat trading"

        [[closed]]
        exchanges = ["NSE"]
        dates = ["2026-02-01", "2027-01-26"]
        what = "closed after all"

        [[coverage]]
        exchanges = ["NSE"]
        from = "2027-01-01"
        to = "2027-12-31"

        [[market]]
        exchange = "X"
        zone = "UTC"
        segments = ["spot"]
        "#,
    )
    .unwrap();
    assert_eq!(shown(&calendar, "NSE", date("2026-11-08")), "18:00-19:00");
    assert_eq!(shown(&calendar, "BSE", date("2026-11-08")), "unknown");
    assert_eq!(shown(&calendar, "NSE", date("2026-02-01")), "closed");
    assert_eq!(shown(&calendar, "NSE", date("2027-01-26")), "closed");
    assert_eq!(shown(&calendar, "NSE", date("2027-01-27")), "09:15-15:30");
    let ends = calendar.coverage_ends("NSE", date("2026-11-25"));
    assert_eq!(ends, Some(date("2027-12-31")));
    for (text, want) in [
        ("[[closed]]\nexchanges = [\"NSX\"]\ndates = []", "NSX"),
        (
            "[[closed]]\nexchanges = [\"NSE\"]\ndates = [\"1.2.2027\"]",
            "1.2.2027",
        ),
        ("[[close]]\nexchanges = [\"NSE\"]\ndates = []", "close"),
    ] {
        let error = Calendar::with_overrides(text).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn the_pipeline_sees_each_instruments_own_hours() {
    let inr = "INR".parse().unwrap();
    let share = |exchange, symbol| Instrument::share(exchange, symbol, inr);
    let contract = |exchange, symbol, class, expiry| Instrument {
        asset_class: class,
        expiry: Some(date(expiry)),
        ..share(exchange, symbol)
    };
    let all = vec![
        share("NSE", "INFY"),
        share("NSE", "SMALLCO"),
        contract("NFO", "INFY26DECFUT", AssetClass::Futures, "2026-12-29"),
        contract("NFO", "NIFTY26DECFUT", AssetClass::Futures, "2026-12-29"),
        contract("NFO", "NIFTY27JANFUT", AssetClass::Futures, "2027-01-26"),
        share("OTHER", "Y"),
    ];
    let instruments = Instruments::new(all).unwrap();
    let (calendar, rules) = (Calendar::embedded().unwrap(), Rules::embedded().unwrap());
    let range = (date("2022-12-01"), date("2027-01-31"));
    let build = |assume| {
        let day = TradingDayStart::new("Asia/Kolkata", "06:00").unwrap();
        MarketSessions::new(&calendar, &rules, &instruments, &[], range, assume, day).unwrap()
    };
    let sessions = build(Assume::Nothing);
    let close = |sessions: &MarketSessions, name: &str, text: &str| {
        let instrument = instruments.get(instruments.find(name).unwrap());
        match sessions.status(sessions.group(instrument), ist(text)) {
            SessionStatus::Open(window) => Ok(window.close),
            SessionStatus::Closed { next_open } => Err(next_open),
        }
    };
    for (name, want) in [
        ("NSE:INFY", "15:40"),
        ("SMALLCO", "15:30"),
        ("INFY26DECFUT", "15:45"),
        ("NIFTY26DECFUT", "15:30"),
        ("NIFTY27JANFUT", "15:45"),
    ] {
        let want = ist(&format!("2026-12-29T{want}"));
        assert_eq!(
            close(&sessions, name, "2026-12-29T10:00"),
            Ok(want),
            "{name}"
        );
    }
    let day_before = close(&sessions, "NIFTY26DECFUT", "2026-12-28T10:00");
    assert_eq!(day_before, Ok(ist("2026-12-28T15:45")));
    assert_eq!(sessions.without_calendar(), ["OTHER"]);
    assert_eq!(
        close(&sessions, "OTHER:Y", "2026-12-27T10:00"),
        Ok(Timestamp::MAX)
    );
    // A year without data is a gap; weekdays stand in for it only where that is asked for.
    let gap = sessions
        .gaps()
        .iter()
        .find(|gap| gap.segment == "cash_fno")
        .unwrap();
    assert_eq!((gap.from, gap.to), (date("2022-12-01"), date("2024-12-31")));
    let opens = close(&sessions, "NSE:INFY", "2023-05-02T11:00");
    assert_eq!(opens, Err(ist("2025-01-01T09:15")));
    let assumed = build(Assume::Weekdays);
    assert_eq!(assumed.gaps(), sessions.gaps());
    let open = close(&assumed, "NSE:INFY", "2023-05-02T11:00");
    assert_eq!(open, Ok(ist("2023-05-02T15:30")));
    let muhurat = close(&assumed, "NSE:INFY", "2026-11-08T11:00");
    assert_eq!(muhurat, Err(ist("2026-11-09T09:15")));
    let day = sessions.trading_day(ist("2026-12-07T05:59:59"));
    assert_eq!(
        (day.date, day.end),
        (date("2026-12-06"), ist("2026-12-07T06:00"))
    );
}

#[test]
fn the_pipeline_sees_auctions_and_when_data_is_expected() {
    let inr = "INR".parse().unwrap();
    let future = Instrument {
        asset_class: AssetClass::Futures,
        expiry: Some(date("2026-12-29")),
        ..Instrument::share("NFO", "INFY26DECFUT", inr)
    };
    let shares = ["INFY", "SMALLCO"].map(|symbol| Instrument::share("NSE", symbol, inr));
    let all = shares.into_iter().chain([future]).collect();
    let instruments = Instruments::new(all).unwrap();
    let sessions = MarketSessions::new(
        &Calendar::embedded().unwrap(),
        &Rules::embedded().unwrap(),
        &instruments,
        &[],
        (date("2026-01-01"), date("2026-12-31")),
        Assume::Nothing,
        TradingDayStart::new("Asia/Kolkata", "06:00").unwrap(),
    )
    .unwrap();
    let group = |name: &str| sessions.group(instruments.get(instruments.find(name).unwrap()));
    let infy = group("NSE:INFY");
    let takes = |text: &str| {
        let takes = sessions.takes(infy, ist(text));
        [
            (takes.limit, 'l'),
            (takes.market, 'm'),
            (takes.stop, 's'),
            (takes.iceberg, 'i'),
        ]
        .into_iter()
        .filter_map(|(is, name)| is.then_some(name))
        .collect::<String>()
    };
    // The day before the auction began, and the day it did.
    for (at, want) in [
        ("2026-07-31T09:14:59", ""),
        ("2026-07-31T09:15", "lmsi"),
        ("2026-07-31T15:29:59", "lmsi"),
        ("2026-07-31T15:30", ""),
        ("2026-08-03T15:14:59", "lmsi"),
        ("2026-08-03T15:15", ""),
        ("2026-08-03T15:20", "lm"),
        ("2026-08-03T15:25", "l"),
        ("2026-08-03T15:30", ""),
        ("2026-08-03T15:35", ""),
    ] {
        assert_eq!(takes(at), want, "{at}");
    }
    let ends = |name: &str, text: &str| match sessions.status(group(name), ist(text)) {
        SessionStatus::Open(window) => (
            sessions.continuous_close(group(name), &window),
            window.close,
        ),
        SessionStatus::Closed { .. } => panic!("{name} is closed at {text}"),
    };
    for (name, day, continuous, close) in [
        ("NSE:INFY", "2026-07-31", "15:30", "15:30"),
        ("NSE:INFY", "2026-08-03", "15:15", "15:35"),
        ("NSE:SMALLCO", "2026-08-03", "15:30", "15:30"),
        ("NFO:INFY26DECFUT", "2026-08-03", "15:40", "15:40"),
        ("NFO:INFY26DECFUT", "2026-12-07", "15:45", "15:45"),
    ] {
        let at = |time: &str| ist(&format!("{day}T{time}"));
        assert_eq!(
            ends(name, &format!("{day}T10:00")),
            (at(continuous), at(close)),
            "{name} on {day}"
        );
    }
    // Data comes from the opening auction to the end of the session after the close.
    let expected = |text: &str| {
        matches!(
            sessions.data_expected(infy, ist(text)),
            SessionStatus::Open(_)
        )
    };
    assert!(!expected("2026-08-03T08:59:59") && expected("2026-08-03T09:00"));
    assert!(expected("2026-08-03T15:59:59") && !expected("2026-08-03T16:05"));
    assert!(!expected("2026-08-02T12:00"), "a Sunday");
}
