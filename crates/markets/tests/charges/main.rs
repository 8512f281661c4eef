//! Charges against the broker's own examples, by date, and at the day's close.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod days;
mod skip {
    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../xtask/src/skip.rs"
    ));
}

use markets::charges::{
    Amounts, ChargeError, Component, Conditions, DayBook, Deed, LEDGER, MarketCharges, Profile,
    Segment, Terms, Traded,
};
use markets::{ChargeTable, Grade, Rules};
use model::charges::{ChargeInput, Charges};
use model::contract_note::DayOrder;
use model::money::Multiplier;
use model::signal::{Product, Side};
use model::{Amount, AssetClass, Date, Instrument, NumberError, Price, Quantity};

fn date(text: &str) -> Date {
    Date::parse(text).unwrap()
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn traded(price: &str, quantity: &str) -> Traded {
    let (price, quantity): (Price, Quantity) = (price.parse().unwrap(), quantity.parse().unwrap());
    Traded {
        notional: Amount::notional(price, quantity, Multiplier::ONE).unwrap(),
        quantity,
    }
}

fn terms<'a>(
    exchange: &'a str,
    segment: Segment,
    product: Product,
    deed: Deed,
    day: &str,
) -> Terms<'a> {
    Terms {
        exchange,
        segment,
        product,
        deed,
        underlying: None,
        date: date(day),
    }
}

fn example(name: &str) -> Option<serde_json::Value> {
    let file = skip::shared(&format!("kite-mocks/{name}"))?;
    let text = std::fs::read_to_string(file).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

/// Within 10⁻⁹, as decimals: the example's floats are not exact themselves.
fn is_close(ours: Amount, theirs: &serde_json::Value) -> bool {
    let number = |text: String| text.parse::<bigdecimal::BigDecimal>().unwrap();
    let difference = number(ours.to_string()) - number(theirs.to_string());
    difference.abs() <= number("0.000000001".to_owned())
}

#[test]
fn the_estimate_is_the_brokers_own_on_every_component() {
    let Some(note) = example("virtual_contract_note.json") else {
        return;
    };
    let table = ChargeTable::embedded().unwrap();
    let orders = note["data"].as_array().unwrap();
    for order in orders {
        let exchange = order["exchange"].as_str().unwrap();
        let symbol = order["tradingsymbol"].as_str().unwrap();
        let segment = match exchange {
            "NSE" => Segment::Equity,
            "MCX" => Segment::Futures,
            _ => Segment::Options,
        };
        let (product, deed) = match (&order["product"], &order["transaction_type"]) {
            (p, d) if p == "CNC" && d == "BUY" => (Product::Delivery, Deed::Buy),
            (_, d) if d == "BUY" => (Product::CarryForward, Deed::Buy),
            _ => (Product::CarryForward, Deed::Sell),
        };
        let terms = terms(exchange, segment, product, deed, "2023-07-13");
        let traded = traded(&order["price"].to_string(), &order["quantity"].to_string());
        let rates = table.rates(&terms, Conditions::default()).unwrap();
        assert_eq!(rates.unverified().count(), 0, "{symbol}");
        let ours = rates.of_order(traded, Profile::Estimate).unwrap();
        let charges = &order["charges"];
        let shown = [
            (ours.get(Component::Stt), &charges["transaction_tax"]),
            (
                ours.exchange_turnover().unwrap(),
                &charges["exchange_turnover_charge"],
            ),
            (ours.get(Component::Sebi), &charges["sebi_turnover_charge"]),
            (ours.get(Component::Brokerage), &charges["brokerage"]),
            (ours.get(Component::StampDuty), &charges["stamp_duty"]),
            (ours.get(Component::Gst), &charges["gst"]["total"]),
            (ours.total().unwrap(), &charges["total"]),
        ];
        for (ours, theirs) in shown {
            assert!(is_close(ours, theirs), "{symbol}: {ours} and {theirs}");
        }
    }
    assert_eq!(orders.len(), 3);
}

#[test]
fn the_old_rule_that_taxed_the_whole_exchange_charge_is_not_ours() {
    let Some(margins) = example("order_margins.json") else {
        return;
    };
    let old = &margins["data"][0]["charges"];
    // Its brokerage of 0.01, so that the rule is all that differs.
    let table = ChargeTable::with_overrides(
        "[[rate]]\ncomponent = \"brokerage\"\nexchanges = [\"NSE\"]\nsegments = [\"equity\"]\n\
         from = \"2021-01-01\"\nper_order = \"0.01\"",
    )
    .unwrap();
    for day in ["2023-07-13", "2024-10-01", "2026-11-25"] {
        let terms = terms("NSE", Segment::Equity, Product::Delivery, Deed::Buy, day);
        let rates = table.rates(&terms, Conditions::default()).unwrap();
        let ours = rates
            .of_order(traded("1498", "1"), Profile::Estimate)
            .unwrap();
        let parts = [Component::Brokerage, Component::Exchange, Component::Sebi];
        let base = parts.iter().fold(Amount::ZERO, |sum, part| {
            sum.checked_add(ours.get(*part)).unwrap()
        });
        assert_eq!(ours.get(Component::Gst), base.fraction(18_000_000).unwrap());
        assert!(!is_close(ours.get(Component::Gst), &old["gst"]["total"]));
        // And the old rule on our own figures would differ too.
        let whole = base
            .checked_add(ours.get(Component::InvestorProtection))
            .unwrap();
        assert_ne!(
            ours.get(Component::Gst),
            whole.fraction(18_000_000).unwrap()
        );
    }
}

#[test]
fn rates_change_on_their_dates() {
    let table = ChargeTable::embedded().unwrap();
    let of = |component, terms: Terms<'_>, conditions| {
        let rates = table.rates(&terms, conditions).unwrap();
        let amounts = rates.of_order(traded("1000", "1000"), Profile::ContractNote);
        amounts.unwrap().get(component).to_string()
    };
    let plain = Conditions::default();
    let nfo = |segment, deed, day| terms("NFO", segment, Product::CarryForward, deed, day);
    for (component, terms, want) in [
        (
            Component::Stt,
            nfo(Segment::Futures, Deed::Sell, "2024-10-01"),
            "200",
        ),
        (
            Component::Stt,
            nfo(Segment::Futures, Deed::Sell, "2026-03-31"),
            "200",
        ),
        (
            Component::Stt,
            nfo(Segment::Futures, Deed::Sell, "2026-04-01"),
            "500",
        ),
        (
            Component::Stt,
            nfo(Segment::Futures, Deed::Buy, "2026-04-01"),
            "0",
        ),
        (
            Component::Stt,
            nfo(Segment::Options, Deed::Sell, "2024-09-30"),
            "625",
        ),
        (
            Component::Stt,
            nfo(Segment::Options, Deed::Sell, "2024-10-01"),
            "1000",
        ),
        (
            Component::Stt,
            nfo(Segment::Options, Deed::Sell, "2026-04-01"),
            "1500",
        ),
        (
            Component::Stt,
            nfo(Segment::Options, Deed::Exercise, "2026-03-31"),
            "1250",
        ),
        (
            Component::Stt,
            nfo(Segment::Options, Deed::Exercise, "2026-04-01"),
            "1500",
        ),
        (
            Component::Brokerage,
            nfo(Segment::Options, Deed::Exercise, "2026-04-01"),
            "0",
        ),
        (
            Component::StampDuty,
            nfo(Segment::Futures, Deed::Buy, "2026-04-01"),
            "20",
        ),
        (
            Component::StampDuty,
            nfo(Segment::Futures, Deed::Sell, "2026-04-01"),
            "0",
        ),
        (
            Component::Exchange,
            nfo(Segment::Options, Deed::Buy, "2024-03-31"),
            "500",
        ),
        (
            Component::Exchange,
            nfo(Segment::Options, Deed::Buy, "2024-04-01"),
            "495",
        ),
        (
            Component::Exchange,
            nfo(Segment::Options, Deed::Buy, "2024-09-30"),
            "495",
        ),
        (
            Component::Exchange,
            nfo(Segment::Futures, Deed::Buy, "2024-09-30"),
            "18.3",
        ),
        (
            Component::Exchange,
            nfo(Segment::Options, Deed::Buy, "2024-10-01"),
            "350.3",
        ),
    ] {
        assert_eq!(of(component, terms, plain), want, "{component} {terms:?}");
    }
    let mut bse = terms(
        "BFO",
        Segment::Options,
        Product::Intraday,
        Deed::Buy,
        "2026-11-25",
    );
    bse.underlying = Some("SENSEX50");
    assert_eq!(of(Component::Exchange, bse, plain), "50");
    bse.underlying = Some("SENSEX");
    assert_eq!(of(Component::Exchange, bse, plain), "325");
    let debit = Conditions {
        in_debit: true,
        ..plain
    };
    let option = nfo(Segment::Options, Deed::Buy, "2026-11-25");
    assert_eq!(of(Component::Brokerage, option, plain), "20");
    assert_eq!(of(Component::Brokerage, option, debit), "40");
    let equity = |day| terms("NSE", Segment::Equity, Product::Intraday, Deed::Buy, day);
    assert_eq!(of(Component::Brokerage, equity("2026-03-31"), debit), "20");
    assert_eq!(of(Component::Brokerage, equity("2026-04-01"), debit), "40");
    let york = terms(
        "NASDAQ",
        Segment::Equity,
        Product::Delivery,
        Deed::Sell,
        "2021-03-01",
    );
    assert_eq!(of(Component::SecFee, york, plain), "5.1");
    assert_eq!(of(Component::Taf, york, plain), "0.119");
    assert_eq!(of(Component::Brokerage, york, plain), "0");
}

#[test]
fn a_gap_is_named_and_what_is_assumed_or_unverified_is_flagged() {
    let table = ChargeTable::embedded().unwrap();
    let rates = |exchange, segment, product, day, assume_earliest_rates| {
        let terms = terms(exchange, segment, product, Deed::Buy, day);
        let conditions = Conditions {
            assume_earliest_rates,
            ..Conditions::default()
        };
        table.rates(&terms, conditions)
    };
    let gap = |result: Result<_, ChargeError>| match result {
        Err(error @ ChargeError::Gap { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("no gap"),
    };
    let futures_2023 = ("NFO", Segment::Futures, Product::Intraday, "2023-07-13");
    let (exchange, segment, product, day) = futures_2023;
    let error = gap(rates(exchange, segment, product, day, false));
    for part in ["`exchange`", "NFO futures", "2023-07-13", "2024-04-01 to"] {
        assert!(error.contains(part), "{error}");
    }
    let assumed = rates(exchange, segment, product, day, true).unwrap();
    let (component, evidence) = assumed.unverified().next().unwrap();
    assert_eq!(component, Component::Exchange);
    assert!(evidence.source.contains("from 2024-04-01"), "{evidence:?}");
    // Nothing stands in for what has ended, for another product or another exchange.
    let us = rates(
        "NYSE",
        Segment::Equity,
        Product::Intraday,
        "2026-01-02",
        true,
    );
    assert!(gap(us).contains("sec_fee"));
    let odd = rates(
        "NSE",
        Segment::Equity,
        Product::CarryForward,
        "2026-01-02",
        true,
    );
    let error = odd.unwrap_err();
    assert!(matches!(error, ChargeError::NoSuchTrade { .. }), "{error}");
    for part in [
        "brokerage",
        "NSE equity, carry_forward",
        "delivery or intraday",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let other = rates(
        "XNSE",
        Segment::Equity,
        Product::Intraday,
        "2026-01-02",
        true,
    );
    assert!(gap(other).contains("XNSE"));
    let recalled = rates(
        "NSE",
        Segment::Equity,
        Product::Delivery,
        "2021-04-15",
        false,
    )
    .unwrap();
    let doubtful: Vec<_> = recalled.unverified().map(|(c, _)| c).collect();
    assert!(doubtful.contains(&Component::Exchange), "{doubtful:?}");
    let lines = recalled
        .explain(traded("100", "1"), Profile::ContractNote)
        .unwrap();
    let line = lines
        .iter()
        .find(|l| l.component == Component::Exchange)
        .unwrap();
    assert_eq!(
        (line.rate.as_str(), line.amount),
        ("0.00345 %", amount("0.00345"))
    );
    for (text, want) in [
        (
            "[[rate]]\ncomponent = \"tax\"\nexchanges = [\"NSE\"]\nsegments = [\"equity\"]\nfrom = \"2021-01-01\"\npercent = \"1\"",
            "tax",
        ),
        (
            "[[rate]]\ncomponent = \"stt\"\nexchanges = [\"NSE\"]\nsegments = [\"equity\"]\nfrom = \"2021-01-01\"",
            "percent",
        ),
        (
            "[[rate]]\ncomponent = \"stt\"\nexchanges = [\"NSE\"]\nsegments = [\"equity\"]\nfrom = \"2021-01-01\"\npercent = \"-1\"",
            "-1",
        ),
        (
            "[[rate]]\ncomponent = \"depository\"\nexchanges = [\"NSE\"]\nsegments = [\"equity\"]\nfrom = \"2021-01-01\"\npercent = \"1\"",
            "`flat`",
        ),
        (
            "[[schedule]]\nnote = \"mine\"\ncurrency = \"INR\"\nexchanges = [\"NSE\"]\ncomponents = [\"depository\"]",
            "belong to `ledger`",
        ),
        (
            "[[schedule]]\nnote = \"ledger\"\ncurrency = \"INR\"\nexchanges = [\"NSE\"]\ncomponents = [\"stt\"]",
            "choose another",
        ),
        (
            "[[gst]]\ncomponent = \"fees_gst\"\nfrom = \"2021-01-01\"\npercent = \"18\"\non = [\"brokerage\"]",
            "fees_gst on what it does not",
        ),
        // What would never count, so that nobody would notice.
        (
            "[[rate]]\ncomponent = \"stt\"\nexchanges = [\"NSX\"]\nsegments = [\"equity\"]\nfrom = \"2021-01-01\"\npercent = \"1\"",
            "`NSX`",
        ),
        (
            "[[rate]]\ncomponent = \"stt\"\nexchanges = [\"NSE\"]\nsegments = []\nfrom = \"2021-01-01\"\npercent = \"1\"",
            "`segments` names none",
        ),
        (
            "[[rounding]]\nnotes = [\"securitis\"]\ncomponents = [\"stt\"]\nunit = \"1\"",
            "`securitis`",
        ),
        (
            "[[gst]]\nfrom = \"2021-01-01\"\npercent = \"18\"\non = [\"brokerage\", \"gst\"]",
            "not taxed itself",
        ),
        (
            "[[schedule]]\nnote = \"mine\"\ncurrency = \"INR\"\nexchanges = [\"NSE\"]\ncomponents = [\"brokerage\", \"brokerage\"]",
            "none twice",
        ),
    ] {
        let error = ChargeTable::with_overrides(text).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn a_users_rate_that_names_sides_is_zero_on_the_others() {
    let text = "[[rate]]\ncomponent = \"stt\"\nexchanges = [\"NSE\"]\nsegments = [\"equity\"]\nproducts = [\"intraday\"]\nsides = [\"buy\"]\nfrom = \"2021-01-01\"\npercent = \"1\"";
    let table = ChargeTable::with_overrides(text).unwrap();
    let stt = |product, deed| {
        let terms = terms("NSE", Segment::Equity, product, deed, "2026-11-25");
        let rates = table.rates(&terms, Conditions::default()).unwrap();
        let of = rates.of_order(traded("100", "1"), Profile::ContractNote);
        let lines = rates.explain(traded("100", "1"), Profile::ContractNote);
        // Free or not, it is told with its source.
        assert!(lines.unwrap().iter().any(|l| l.component == Component::Stt));
        of.unwrap().get(Component::Stt)
    };
    assert_eq!(stt(Product::Intraday, Deed::Buy), amount("1"));
    assert_eq!(stt(Product::Intraday, Deed::Sell), Amount::ZERO);
    // What it does not speak of stays.
    assert_eq!(stt(Product::Delivery, Deed::Sell), amount("0.1"));
}

#[test]
fn a_rate_that_depends_on_the_underlying_is_not_guessed() {
    let table = ChargeTable::embedded().unwrap();
    let exchange = |name, underlying| {
        let terms = Terms {
            underlying,
            ..terms(
                name,
                Segment::Options,
                Product::Intraday,
                Deed::Buy,
                "2026-11-25",
            )
        };
        let rates = table.rates(&terms, Conditions::default())?;
        let amounts = rates.of_order(traded("100", "20"), Profile::Estimate)?;
        Ok::<_, ChargeError>(amounts.get(Component::Exchange))
    };
    assert_eq!(exchange("BFO", Some("SENSEX")), Ok(amount("0.65")));
    assert_eq!(exchange("BFO", Some("SENSEX50")), Ok(amount("0.1")));
    let error = exchange("BFO", None).unwrap_err().to_string();
    assert!(
        error.contains("BANKEX, SENSEX") && error.contains("--underlying"),
        "{error}"
    );
    assert!(exchange("NFO", None).is_ok());
}

#[test]
fn the_two_parts_of_the_exchanges_charge_are_rounded_as_one() {
    let (charges, rules) = (charges(Profile::ContractNote), Rules::embedded().unwrap());
    let infy = share("NSE", "INFY");
    let mut day = DayBook::default();
    let bought = traded("1500", "10");
    day.fill(
        0,
        &rules,
        &infy,
        Product::Delivery,
        Deed::Buy,
        bought,
        Amount::ZERO,
    )
    .unwrap();
    let note = day
        .close(
            charges.table(),
            Profile::ContractNote,
            Conditions::default(),
            date("2026-11-25"),
        )
        .unwrap();
    let turnover = |amounts: &Amounts| amounts.exchange_turnover().unwrap();
    assert_eq!(turnover(&note[0].exact), amount("0.4605"));
    assert_eq!(turnover(&note[0].charged), amount("0.46"));
    let survey = charges.survey(
        [(&infy, Product::Delivery)],
        (date("2026-11-25"), date("2026-11-25")),
    );
    let (exchange, doubtful) = &survey.unverified_notes[0];
    assert_eq!(exchange, "NSE");
    for part in ["the rounding of stamp_duty to 1", "counts as intraday"] {
        assert!(doubtful.contains(part), "{doubtful}");
    }
}

/// What a contract note does not show, by hand: 13 for each of two shares that leave the account and 50
/// for an intraday position that is left open, with 18 % of 76.
#[test]
fn what_no_note_shows_is_told_apart_and_changes_no_note() {
    let all = charges(Profile::ContractNote);
    let (infy, tcs) = (share("NSE", "INFY"), share("NSE", "TCS"));
    let order = |instrument, product, deed, quantity: &str| DayOrder {
        instrument,
        product,
        deed,
        quantity: quantity.parse().unwrap(),
        notional: traded("1000", quantity).notional,
        booked: Amount::ZERO,
        is_left_open: false,
    };
    // Two sales of one share are one debit; what was bought on the day is none.
    let orders = [
        order(&infy, Product::Delivery, Deed::Sell, "10"),
        order(&infy, Product::Delivery, Deed::Sell, "5"),
        order(&infy, Product::Delivery, Deed::Buy, "14"),
        order(&tcs, Product::Delivery, Deed::Sell, "3"),
        order(&tcs, Product::Intraday, Deed::Sell, "3"),
    ];
    let left_open = DayOrder {
        is_left_open: true,
        ..order(&tcs, Product::Intraday, Deed::Buy, "0")
    };
    let with: Vec<_> = orders.iter().copied().chain([left_open]).collect();
    let day = date("2026-11-25");
    let notes = all.of_day(day, &with).unwrap();
    let [note, ledger] = notes.as_slice() else {
        panic!("{notes:?}")
    };
    let of = |component| ledger.charged.get(component).to_string();
    assert_eq!(ledger.name.as_str(), LEDGER);
    assert_eq!(of(Component::Depository), "26");
    assert_eq!(of(Component::CallAndTrade), "50");
    assert_eq!(of(Component::FeesGst), "13.68");
    assert_eq!(ledger.charged.iter().count(), 3);
    assert!(note.charged.iter().all(|(c, _)| c.is_on_note()));
    // The note is that of the orders alone, and the broker's calculator knows nothing of the ledger.
    assert_eq!(all.of_day(day, &orders).unwrap()[0], *note);
    let estimate = charges(Profile::Estimate).of_day(day, &with).unwrap();
    assert_eq!(estimate.len(), 1);
    // By date: 13.5 until the depository's tariff of 2024-10-01.
    let earlier = all.of_day(date("2024-09-30"), &orders[3..4]).unwrap();
    assert_eq!(earlier[1].charged.total(), Ok(amount("15.93")));
    // Nothing of it in America, and a start hears of what is not known.
    let ford = share("NYSE", "F");
    let york = [order(&ford, Product::Delivery, Deed::Sell, "1")];
    assert_eq!(all.of_day(date("2025-06-02"), &york).unwrap().len(), 1);
    let survey = all.survey([(&infy, Product::Delivery)], (date("2021-04-01"), day));
    let mut unverified = survey.unverified.iter();
    assert!(unverified.any(|(_, component, _)| *component == Component::Depository));
}

/// What was recorded in July 2023 says nothing of the years after it.
#[test]
fn a_recorded_order_supports_the_rates_of_its_year_only() {
    let table = ChargeTable::embedded().unwrap();
    let grades = |exchange, segment, product, day| {
        let terms = terms(exchange, segment, product, Deed::Buy, day);
        let rates = table.rates(&terms, Conditions::default()).unwrap();
        let lines = rates.explain(traded("100", "1"), Profile::Estimate);
        let lines = lines.unwrap().into_iter();
        lines
            .map(|l| (l.component, l.evidence.grade))
            .collect::<Vec<_>>()
    };
    for (exchange, segment, product) in [
        ("NSE", Segment::Equity, Product::Delivery),
        ("NFO", Segment::Options, Product::CarryForward),
        ("MCX", Segment::Futures, Product::CarryForward),
    ] {
        let src = |day| {
            let mut grades = grades(exchange, segment, product, day).into_iter();
            grades.any(|(_, grade)| grade == Grade::Src)
        };
        assert!(src("2023-07-13") && src("2024-03-31"), "{exchange}");
        for day in ["2024-04-01", "2024-09-30", "2024-10-01", "2026-11-25"] {
            assert!(!src(day), "{exchange} {day}");
        }
    }
    let options = grades("NFO", Segment::Options, Product::Intraday, "2024-06-03");
    assert!(options.contains(&(Component::Exchange, Grade::Forum)));
    let futures = grades("NFO", Segment::Futures, Product::Intraday, "2024-06-03");
    assert!(futures.contains(&(Component::Exchange, Grade::Unverified)));
}

fn share(exchange: &str, symbol: &str) -> Instrument {
    let currency = if exchange == "NSE" { "INR" } else { "USD" };
    Instrument::share(exchange, symbol, currency.parse().unwrap())
}

fn charges(profile: Profile) -> MarketCharges {
    let (table, rules) = (ChargeTable::embedded().unwrap(), Rules::embedded().unwrap());
    MarketCharges::new(table, rules, profile, Conditions::default())
}

#[test]
fn delivery_sold_on_the_same_day_becomes_intraday_at_the_close() {
    let (charges, rules) = (charges(Profile::ContractNote), Rules::embedded().unwrap());
    let infy = share("NSE", "INFY");
    let mut book = DayBook::default();
    let mut fill = |key, deed, traded, booked| {
        book.fill(
            key,
            &rules,
            &infy,
            Product::Delivery,
            deed,
            traded,
            amount(booked),
        )
        .unwrap();
    };
    fill(1, Deed::Buy, traded("1000", "60"), "100");
    fill(1, Deed::Buy, traded("1000", "40"), "50");
    fill(2, Deed::Sell, traded("1000", "40"), "45");
    let day = date("2026-11-25");
    let notes = book
        .close(
            charges.table(),
            Profile::ContractNote,
            Conditions::default(),
            day,
        )
        .unwrap();
    let [note, ledger] = notes.as_slice() else {
        panic!("{notes:?}")
    };
    // All that was sold was bought on the day: no share has left the account.
    assert_eq!((&*ledger.note, ledger.adjustment), (LEDGER, Amount::ZERO));
    let exact = |component| note.exact.get(component).to_string();
    // 60,000 delivered; 40,000 bought and 40,000 sold within the day.
    assert_eq!(exact(Component::Stt), "70");
    assert_eq!(exact(Component::Brokerage), "24");
    assert_eq!(exact(Component::StampDuty), "10.2");
    assert_eq!(exact(Component::Exchange), "4.158");
    assert_eq!(exact(Component::InvestorProtection), "0.14");
    assert_eq!(exact(Component::Sebi), "0.14");
    // 18 % of 24 + 4.158 + 0.14, none of them rounded before.
    assert_eq!(exact(Component::Gst), "5.09364");
    assert_eq!(note.charged.get(Component::StampDuty), amount("10"));
    assert_eq!(note.charged.get(Component::Gst), amount("5.09"));
    assert_eq!(note.charged.total().unwrap(), amount("113.53"));
    assert_eq!(note.booked, amount("195"));
    assert_eq!(note.adjustment, amount("-81.47"));
    assert!(note.is_reclassified && !note.unverified.is_empty());
}

#[test]
fn a_fill_books_its_orders_charges_so_far_less_what_is_booked() {
    let charges = charges(Profile::Estimate);
    let fill = |instrument: &Instrument,
                product,
                side,
                price: &str,
                quantity: &str,
                before: Traded,
                booked,
                day| {
        let now = traded(price, quantity);
        charges.of(&ChargeInput {
            instrument,
            product,
            side,
            quantity: now.quantity,
            price: price.parse().unwrap(),
            notional: now.notional,
            notional_before: before.notional,
            quantity_before: before.quantity,
            charges_before: booked,
            date: date(day),
        })
    };
    let infy = share("NSE", "INFY");
    let buy = |quantity, before, booked| {
        let product = Product::Intraday;
        fill(
            &infy,
            product,
            Side::Buy,
            "1000",
            quantity,
            before,
            booked,
            "2026-11-25",
        )
        .unwrap()
    };
    let none = Traded::default();
    let first = buy("50", none, Amount::ZERO);
    let second = buy("50", traded("1000", "50"), first);
    let at_once = buy("100", none, Amount::ZERO);
    assert_eq!(first.checked_add(second).unwrap(), at_once);
    // The cap of 20 is the order's: 15 went to the first fill, 5 to the second.
    let brokerage_saved = first.checked_sub(second).unwrap();
    assert_eq!(brokerage_saved, amount("11.8"));
    let too_much = buy("1", none, amount("1000"));
    assert_eq!(too_much, Amount::ZERO);
    let ford = share("NYSE", "F");
    let sell = |shares, before, booked| {
        let product = Product::Delivery;
        fill(
            &ford,
            product,
            Side::Sell,
            "10",
            shares,
            before,
            booked,
            "2021-03-01",
        )
        .unwrap()
    };
    let first = sell("1000", none, Amount::ZERO);
    assert_eq!(first, amount("0.17"));
    assert_eq!(sell("1000", traded("10", "1000"), first), amount("0.17"));
    // The fee by the unit has a cap by the order, not by the execution.
    let capped = sell("200000", none, Amount::ZERO);
    let half = sell("100000", none, Amount::ZERO);
    let rest = sell("100000", traded("10", "100000"), half);
    assert_eq!(half.checked_add(rest).unwrap(), capped);
    assert!(rest < half, "{half} {rest}");
    let gap = fill(
        &ford,
        Product::Delivery,
        Side::Sell,
        "10",
        "1",
        none,
        Amount::ZERO,
        "2026-03-02",
    );
    assert_eq!(gap, Err(NumberError::OutOfRange));
    let nifty = Instrument {
        asset_class: AssetClass::Futures,
        expiry: Some(date("2026-12-29")),
        ..share("NFO", "NIFTY26DECFUT")
    };
    let traded = [
        (&infy, Product::Intraday),
        (&infy, Product::Delivery),
        (&ford, Product::Delivery),
        (&nifty, Product::CarryForward),
    ];
    let survey = charges.survey(traded, (date("2024-03-01"), date("2026-11-25")));
    let gaps: Vec<String> = survey.gaps.iter().map(ToString::to_string).collect();
    assert!(
        gaps.iter()
            .any(|gap| gap.contains("NFO futures") && gap.contains("2024-03-01"))
    );
    assert!(
        gaps.iter()
            .any(|gap| gap.contains("sec_fee") && gap.contains("2026-01-01"))
    );
    assert!(
        !gaps.iter().any(|gap| gap.contains("NSE equity")),
        "{gaps:?}"
    );
    assert!(
        survey
            .unverified
            .iter()
            .any(|(of, ..)| of.starts_with("NYSE"))
    );
}

#[test]
fn only_the_exercise_of_an_option_is_taxed_on_what_it_pays() {
    use model::rules::{ExchangeRules, Settlement};
    let (charges, rules) = (charges(Profile::ContractNote), Rules::embedded().unwrap());
    let contract = |exchange: &str, symbol: &str, asset_class| Instrument {
        asset_class,
        expiry: Some(date("2026-11-24")),
        currency: "INR".parse().unwrap(),
        ..share(exchange, symbol)
    };
    let call = contract("NFO", "NIFTY26NOV24000CE", AssetClass::Options);
    let order = DayOrder {
        instrument: &call,
        product: Product::CarryForward,
        deed: Deed::Exercise,
        quantity: "65".parse().unwrap(),
        notional: amount("10000"),
        booked: Amount::ZERO,
        is_left_open: false,
    };
    // 0.15 % of what it pays, and nothing else.
    let day = date("2026-11-24");
    assert_eq!(charges.of_exercise(day, &order), Ok(amount("15")));
    let booked = amount("15");
    let note = charges
        .of_day(day, &[DayOrder { booked, ..order }])
        .unwrap()[0];
    assert_eq!(note.charged.total(), Ok(booked));
    for (instrument, ends, underlying) in [
        (call.clone(), Settlement::Cash, Some("NIFTY")),
        (
            contract("BFO", "SENSEX26NOVFUT", AssetClass::Futures),
            Settlement::Cash,
            Some("SENSEX"),
        ),
        (
            contract("NFO", "INFY26NOV1500PE", AssetClass::Options),
            Settlement::Physical,
            Some("INFY"),
        ),
        (
            contract("MCX", "GOLDPETAL26NOVFUT", AssetClass::Futures),
            Settlement::None,
            Some("GOLDPETAL"),
        ),
        (share("NSE", "INFY"), Settlement::None, None),
    ] {
        assert_eq!(rules.settlement(&instrument), ends, "{}", instrument.id);
        assert_eq!(
            rules.underlying(&instrument),
            underlying,
            "{}",
            instrument.id
        );
    }
}

#[test]
fn what_was_looked_up_before_changes_no_answer() {
    let notional = traded("1234.55", "70");
    let mut asked = 0;
    // One that remembers everything asked before, against one that was asked nothing.
    let old = charges(Profile::ContractNote);
    for day in (date("2021-01-01").days()..=date("2026-11-25").days()).step_by(29) {
        let day = Date::from_days(day);
        for (symbol, exchange, class) in [
            ("INFY", "NSE", AssetClass::Equity),
            ("SENSEX26DECFUT", "BFO", AssetClass::Futures),
            ("SENSEX26DEC80000CE", "BFO", AssetClass::Options),
            ("SENSEX5026DEC80000CE", "BFO", AssetClass::Options),
            ("ODD", "BFO", AssetClass::Options),
            ("NIFTY26DEC24000CE", "NFO", AssetClass::Options),
            ("F", "NYSE", AssetClass::Equity),
        ] {
            let mut instrument = share(exchange, symbol);
            instrument.asset_class = class;
            for product in Product::ALL {
                for side in [Side::Buy, Side::Sell] {
                    let input = ChargeInput {
                        instrument: &instrument,
                        product,
                        side,
                        quantity: notional.quantity,
                        price: "1234.55".parse().unwrap(),
                        notional: notional.notional,
                        notional_before: Amount::ZERO,
                        quantity_before: Quantity::ZERO,
                        charges_before: Amount::ZERO,
                        date: day,
                    };
                    let terms = old.terms(&instrument, product, side.into(), day).unwrap();
                    let fresh =
                        old.table()
                            .rates(&terms, Conditions::default())
                            .and_then(|rates| {
                                Ok(rates.of_order(notional, Profile::ContractNote)?.total()?)
                            });
                    assert_eq!(
                        old.of_fill(&input),
                        fresh,
                        "{symbol} {product:?} {side:?} {day}"
                    );
                    asked += usize::from(fresh.is_ok());
                }
            }
        }
    }
    assert!(asked > 300, "{asked}");
}
