//! `panda charges`: what a trade costs, component by component, with the source of every rate.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use markets::charges::{
    Amounts, ChargeError, Component, Conditions, DayBook, Deed, Fee, NoteClose, NoteRule, Profile,
    Segment, Terms, Traded,
};
use model::money::Multiplier;
use model::signal::Product;
use model::{Amount, AssetClass, Date, Instrument, Price, Quantity, Timestamp};
use runtime::clock::wall;
use serde_json::{Map, Value, json};

use super::market::settings;
use super::print;

/// What a trade costs: every component with its rate, where it was found and how good that is.
#[derive(Debug, Args)]
#[command(after_help = "\
The profile `estimate` is what the broker's own calculator says: nothing rounded, no stamp duty. The
profile `contract_note` is what is charged: with stamp duty, and rounded once for each component at the
day's close; the note shown is that of a day with this one order. What no note shows, as the depository's
fee for shares that leave the account, is listed below it.

Examples:
  panda charges --exchange NSE --segment equity --product delivery --side buy --quantity 10 --price 1500
  panda charges --exchange NFO --segment options --underlying NIFTY --product carry_forward \\
      --side sell --quantity 65 --price 120.5 --json
  panda charges --exchange NSE --segment equity --product intraday --side sell --quantity 1 --price 560 \\
      --date 2023-07-03 --profile estimate")]
pub struct ChargesArgs {
    /// The exchange: NSE, BSE, NFO, BFO, CDS, MCX, US; derivatives of NSE and BSE are found under their names too
    #[arg(long, value_name = "EXCHANGE")]
    exchange: String,
    /// What is traded; the exchange says whether a future is one on shares, a currency or a commodity
    #[arg(long, value_enum)]
    segment: SegmentArg,
    /// What it is held as
    #[arg(long, value_enum)]
    product: ProductArg,
    /// Bought, sold, or an option exercised at expiry (then the price is its intrinsic value)
    #[arg(long, value_enum)]
    side: SideArg,
    /// How much, in units of the quoted thing times the multiplier
    #[arg(long, allow_negative_numbers = true)]
    quantity: Quantity,
    /// At which price
    #[arg(long, allow_negative_numbers = true)]
    price: Price,
    /// The trading day; default: today in the market's zone
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
    /// How exactly the charges follow the contract note
    #[arg(long, value_enum, default_value = "contract-note")]
    profile: ProfileArg,
    /// What a derivative is written on: some have rates of their own, as options on SENSEX and BANKEX
    #[arg(long, value_name = "NAME")]
    underlying: Option<String>,
    /// Units of the quoted thing in one unit of quantity
    #[arg(long, default_value = "1")]
    multiplier: Multiplier,
    /// The account is in debit, or the broker funds it
    #[arg(long)]
    in_debit: bool,
    /// The broker places the order itself: it squares an intraday position off, or was telephoned
    #[arg(long)]
    by_broker: bool,
    /// Settings (TOML), for rates of your own; default: panda.toml, where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SegmentArg {
    Equity,
    Futures,
    Options,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProductArg {
    Intraday,
    Delivery,
    #[value(alias = "carry_forward")]
    CarryForward,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SideArg {
    Buy,
    Sell,
    Exercise,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProfileArg {
    Estimate,
    #[value(alias = "contract_note")]
    ContractNote,
}

/// Runs the command.
pub fn run(args: &ChargesArgs) -> anyhow::Result<()> {
    let settings = settings(args.config.as_deref())?;
    let facts = &settings.markets;
    let date = match &args.date {
        Some(text) => Date::parse(text)
            .with_context(|| format!("--date: `{text}` is no date: write YYYY-MM-DD"))?,
        None => {
            let now = Timestamp(wall());
            match facts.calendar.venue(exchange(args), None) {
                Ok(venue) => facts.calendar.date_of(venue, now),
                Err(_) => now.utc().0,
            }
        }
    };
    if args.quantity <= Quantity::ZERO || args.price <= Price::ZERO {
        bail!("--quantity and --price must be positive");
    }
    let segment = match args.segment {
        SegmentArg::Equity => Segment::Equity,
        SegmentArg::Futures => Segment::Futures,
        SegmentArg::Options => Segment::Options,
    };
    let product = match args.product {
        ProductArg::Intraday => Product::Intraday,
        ProductArg::Delivery => Product::Delivery,
        ProductArg::CarryForward => Product::CarryForward,
    };
    let deed = match args.side {
        SideArg::Buy => Deed::Buy,
        SideArg::Sell => Deed::Sell,
        SideArg::Exercise => Deed::Exercise,
    };
    let profile = match args.profile {
        ProfileArg::Estimate => Profile::Estimate,
        ProfileArg::ContractNote => Profile::ContractNote,
    };
    let conditions = Conditions {
        in_debit: args.in_debit,
        assume_earliest_rates: facts
            .assumed()
            .contains(&settings::Assumption::EarliestRates),
    };
    let given = args.underlying.as_deref().map(str::to_uppercase);
    let terms = Terms {
        exchange: exchange(args),
        segment,
        product,
        deed,
        underlying: given.as_deref(),
        date,
    };
    let traded = Traded {
        notional: Amount::notional(args.price, args.quantity, args.multiplier)
            .context("price × quantity × multiplier")?,
        quantity: args.quantity,
    };
    let mut rates = facts.charges.rates(&terms, conditions);
    let mut underlying = given.clone();
    let version = Date::parse(facts.charges.version());
    let is_old = |version: &Date| date.days() - version.days() > RATES_AGE_MAX;
    let mut notice = version.filter(is_old).map(|version| {
        format!("the rates are those known on {version}: what changes later they do not tell")
    });
    if let Err(ChargeError::Underlying {
        component, named, ..
    }) = &rates
    {
        let general = format!(
            "without --underlying the rate of `{component}` is the one of all others than {named}, which have their own"
        );
        notice = Some(match notice {
            Some(later) => format!("{later}; {general}"),
            None => general,
        });
        underlying = Some(OTHERS.to_owned());
        let terms = Terms {
            underlying: underlying.as_deref(),
            ..terms
        };
        rates = facts.charges.rates(&terms, conditions);
    }
    let rates = match rates {
        Err(error @ ChargeError::Gap { .. }) => Err(error).with_context(
            || "add the rate to a file ([markets] charges_file), or ask for a date that is covered",
        ),
        rates => rates.map_err(Into::into),
    }?;
    let lines = rates.explain(traded, profile)?;
    let amounts = rates.of_order(traded, profile)?;
    let close = match profile {
        Profile::Estimate => None,
        Profile::ContractNote => {
            let mut day = DayBook::default();
            let instrument = instrument(args, segment, underlying.as_deref())?;
            let total = amounts.total()?;
            day.fill(0, &facts.rules, &instrument, product, deed, traded, total)?;
            let closed = day.close(&facts.charges, profile, conditions, date)?;
            // The note comes first, and the ledger after it.
            closed.into_iter().next()
        }
    };
    let terms = Terms {
        underlying: underlying.as_deref(),
        ..terms
    };
    let mut fees = Vec::new();
    if profile == Profile::ContractNote {
        fees.extend(facts.charges.depository_fee(&terms, conditions)?);
        if args.by_broker {
            fees.extend(facts.charges.call_fee(&terms, conditions)?);
        }
    }
    let note_rules = match profile {
        Profile::Estimate => Vec::new(),
        Profile::ContractNote => facts.charges.note_rules(exchange(args)),
    };
    if let Some(notice) = &notice {
        eprintln!("warning: {notice}");
    }
    let sums = Sums {
        note_rules,
        notice,
        date,
        profile,
        notional: traded.notional,
        amounts,
        close,
        ledger: Ledger::of(&fees)?,
    };
    if args.json {
        print(&format!("{}\n", sums.json(&lines)?))
    } else {
        print(&sums.text(&lines)?)
    }
}

/// Rates are taken for granted for so many days after those of the table were looked up.
const RATES_AGE_MAX: i32 = 60;

/// Stands for an underlying without rates of its own.
const OTHERS: &str = "ANY";

/// The code that the rates are found under: the derivatives of NSE and BSE have codes of their own.
fn exchange(args: &ChargesArgs) -> &str {
    match (args.exchange.as_str(), args.segment) {
        ("NSE", SegmentArg::Futures | SegmentArg::Options) => "NFO",
        ("BSE", SegmentArg::Futures | SegmentArg::Options) => "BFO",
        (exchange, _) => exchange,
    }
}

/// An instrument that is told apart as the arguments say.
fn instrument(
    args: &ChargesArgs,
    segment: Segment,
    underlying: Option<&str>,
) -> anyhow::Result<Instrument> {
    let name = underlying.unwrap_or(OTHERS);
    // What a contract is written on is read from its symbol; its month does not matter.
    let (asset_class, symbol) = match segment {
        Segment::Equity => (AssetClass::Equity, name.to_owned()),
        Segment::Futures => (AssetClass::Futures, format!("{name}26DECFUT")),
        Segment::Options => (AssetClass::Options, format!("{name}26DEC100CE")),
    };
    // The currency has no say in the amounts.
    let mut instrument = Instrument::share(exchange(args), &symbol, "INR".parse()?);
    instrument.asset_class = asset_class;
    Ok(instrument)
}

struct Sums<'a> {
    note_rules: Vec<NoteRule<'a>>,
    notice: Option<String>,
    date: Date,
    profile: Profile,
    notional: Amount,
    amounts: Amounts,
    close: Option<NoteClose>,
    ledger: Ledger,
}

/// What no contract note shows.
#[derive(Default)]
struct Ledger {
    lines: Vec<markets::charges::Line>,
    amounts: Amounts,
}

impl Ledger {
    fn of(fees: &[Fee]) -> anyhow::Result<Self> {
        let mut ledger = Self::default();
        for fee in fees {
            ledger.lines.extend(fee.explain()?);
            ledger.amounts = ledger.amounts.plus(&fee.amounts()?)?;
        }
        Ok(ledger)
    }
}

impl Sums<'_> {
    fn json(&self, lines: &[markets::charges::Line]) -> anyhow::Result<Value> {
        let of = |amounts: &Amounts| -> anyhow::Result<Map<String, Value>> {
            let mut map = Map::new();
            for component in Component::ALL {
                let amount = amounts.get(component);
                match component {
                    // As brokers name it: with the part for the investors' protection.
                    Component::Exchange => map.insert(
                        "exchange_turnover".to_owned(),
                        json!(amounts.exchange_turnover()?.to_string()),
                    ),
                    Component::InvestorProtection => None,
                    Component::SecFee | Component::Taf if amount.is_zero() => None,
                    _ if !component.is_on_note() => None,
                    _ => map.insert(component.name().to_owned(), json!(amount.to_string())),
                };
            }
            map.insert("total".to_owned(), json!(amounts.total()?.to_string()));
            Ok(map)
        };
        let mut all = of(&self.amounts)?;
        let rates: Vec<Value> = lines
            .iter()
            .chain(&self.ledger.lines)
            .map(|line| {
                json!({
                    "component": line.component.name(),
                    "amount": line.amount.to_string(),
                    "rate": line.rate,
                    "source": &*line.evidence.source,
                    "grade": line.evidence.grade.name(),
                    "is_unverified": line.evidence.grade.is_unverified(),
                    "is_on_note": line.component.is_on_note(),
                })
            })
            .collect();
        all.insert("date".to_owned(), json!(self.date.to_string()));
        all.insert("profile".to_owned(), json!(self.profile.name()));
        all.insert("notional".to_owned(), json!(self.notional.to_string()));
        all.insert("rates".to_owned(), json!(rates));
        let note_rules: Vec<Value> = self
            .note_rules
            .iter()
            .map(|rule| {
                let components: Vec<&str> = rule.components.iter().map(|c| c.name()).collect();
                json!({
                    "components": components,
                    "rule": if rule.unit.is_some() { "rounding" } else { "same_day" },
                    "unit": rule.unit.map(|unit| unit.to_string()),
                    "source": &*rule.evidence.source,
                    "grade": rule.evidence.grade.name(),
                    "is_unverified": rule.evidence.grade.is_unverified(),
                })
            })
            .collect();
        if let Some(notice) = &self.notice {
            all.insert("notice".to_owned(), json!(notice));
        }
        if let Some(close) = &self.close {
            all.insert("note_rules".to_owned(), json!(note_rules));
            all.insert("note".to_owned(), Value::Object(of(&close.charged)?));
            let mut ledger = Map::new();
            for (component, amount) in self.ledger.amounts.iter() {
                ledger.insert(component.name().to_owned(), json!(amount.to_string()));
            }
            let (note, beside) = (close.charged.total()?, self.ledger.amounts.total()?);
            ledger.insert("total".to_owned(), json!(beside.to_string()));
            all.insert("ledger".to_owned(), Value::Object(ledger));
            let paid = note.checked_add(beside)?.to_string();
            all.insert("paid".to_owned(), json!(paid));
        }
        Ok(Value::Object(all))
    }

    fn text(&self, lines: &[markets::charges::Line]) -> anyhow::Result<String> {
        let mut text = String::new();
        let _infallible = writeln!(
            text,
            "turnover {} on {}, {}",
            self.notional, self.date, self.profile
        );
        let of_note = |component| {
            self.close
                .as_ref()
                .map(|close| close.charged.get(component).to_string())
                .unwrap_or_default()
        };
        let head = if self.close.is_some() { "note" } else { "" };
        let _infallible = writeln!(text, "  {:20} {:>14} {head:>10}  rate", "", "exact");
        let mut unverified = false;
        for line in lines {
            unverified |= line.evidence.grade.is_unverified();
            write_line(&mut text, line, &of_note(line.component));
            if line.component == Component::InvestorProtection {
                let note = self
                    .close
                    .as_ref()
                    .map(|close| close.charged.exchange_turnover());
                let _infallible = writeln!(
                    text,
                    "  {:20} {:>14} {:>10}  exchange + investor_protection",
                    "exchange_turnover",
                    self.amounts.exchange_turnover()?.to_string(),
                    note.transpose()?
                        .map(|sum| sum.to_string())
                        .unwrap_or_default(),
                );
            }
        }
        let note = match &self.close {
            Some(close) => close.charged.total()?.to_string(),
            None => String::new(),
        };
        let _infallible = writeln!(
            text,
            "  {:20} {:>14} {note:>10}",
            "total",
            self.amounts.total()?.to_string()
        );
        if let (Some(close), false) = (&self.close, self.ledger.lines.is_empty()) {
            text.push_str("on no contract note, but on the account's ledger:\n");
            for line in &self.ledger.lines {
                unverified |= line.evidence.grade.is_unverified();
                write_line(&mut text, line, &line.amount.to_string());
            }
            let beside = self.ledger.amounts.total()?;
            let _infallible = writeln!(
                text,
                "  {:20} {:>14} {:>10}",
                "paid",
                self.amounts.total()?.checked_add(beside)?.to_string(),
                close.charged.total()?.checked_add(beside)?.to_string()
            );
        }
        for rule in &self.note_rules {
            let names: Vec<&str> = rule.components.iter().map(|c| c.name()).collect();
            let mark = if rule.evidence.grade.is_unverified() {
                unverified = true;
                "UNVERIFIED "
            } else {
                ""
            };
            let what = match rule.unit {
                Some(unit) => format!("rounded to {unit}: {}", names.join(", ")),
                None => format!(
                    "delivery bought and sold on a day counts as intraday for {}",
                    names.join(", ")
                ),
            };
            let _infallible = writeln!(
                text,
                "  note: {what}; {mark}{}: {}",
                rule.evidence.grade, rule.evidence.source
            );
        }
        if unverified {
            text.push_str(
                "What is UNVERIFIED comes from memory alone: check it before money depends on it; [markets] charges_file corrects it\n",
            );
        }
        Ok(text)
    }
}

/// A component's line: the exact amount, what the note or the ledger has, the rate and what it rests on.
fn write_line(text: &mut String, line: &markets::charges::Line, booked: &str) {
    let mark = if line.evidence.grade.is_unverified() {
        "UNVERIFIED "
    } else {
        ""
    };
    let _infallible = writeln!(
        text,
        "  {:20} {:>14} {:>10}  {}; {mark}{}: {}",
        line.component.name(),
        line.amount.to_string(),
        booked,
        line.rate,
        line.evidence.grade,
        line.evidence.source
    );
}
