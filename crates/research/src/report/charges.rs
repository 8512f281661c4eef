//! Charges by day while the period is short, by month after that.

use model::contract_note::{Amounts, Component};
use model::{Amount, NumberError};

use super::Page;
use super::format::{count, money};
use super::html::{Column, Table, escape, put};
use super::returns::DAILY_MAX;
use crate::collector::CurrencyResult;
use crate::collector::book::DayCharges;

use Column::{Number, Text};

/// What namespaces paid in each currency.
pub fn charges(page: &Page<'_>) -> String {
    let mut out = String::new();
    for (broker, result) in page.results() {
        if result
            .charges_by_day
            .iter()
            .all(|day| day.total() == Ok(Amount::ZERO))
        {
            continue;
        }
        let (label, code) = (page.label(broker, result), page.currency(result));
        // A sum that does not fit would have stopped the run: its rows are left out here.
        out.push_str(&table(result, &label, code).unwrap_or_default());
        if !result.adjustments.is_zero() {
            put(
                &mut out,
                format_args!(
                    "<p class=\"note\">Of these, {} were booked at the close of days: rounding of the \
                     contract note, delivery bought and sold on one day, and what no note shows (depository, \
                     call and trade, and the tax on these). They belong to the account, to no strategy, \
                     instrument or trade.</p>",
                    escape(&money(result.adjustments, code))
                ),
            );
        }
    }
    if out.is_empty() {
        return "<p class=\"empty\">Nothing was charged.</p>".to_owned();
    }
    out.push_str(
        "<p class=\"note\">The exact charges of each execution are in <code>fills.csv</code>, of each \
         trade in <code>trades.csv</code>, of each day, with its components where it has closed, in \
         <code>charges.csv</code>.</p>",
    );
    out
}

/// One row's figures.
#[derive(Default)]
struct Sum {
    fills: u64,
    booked: Amount,
    adjustment: Amount,
    components: Option<Amounts>,
}

impl Sum {
    fn add(&mut self, day: &DayCharges) -> Result<(), NumberError> {
        self.fills += day.fills;
        self.booked = self.booked.checked_add(day.booked)?;
        self.adjustment = self.adjustment.checked_add(day.adjustment)?;
        if let Some(amounts) = day.components()? {
            self.components = Some(self.components.unwrap_or_default().plus(&amounts)?);
        }
        Ok(())
    }
}

fn table(result: &CurrencyResult, label: &str, code: &str) -> Result<String, NumberError> {
    let days = &result.charges_by_day;
    let monthly = days.len() > DAILY_MAX;
    let mut rows: Vec<(String, Sum)> = Vec::new();
    let mut total = Sum::default();
    for day in days {
        let mut name = day.date.to_string();
        if monthly {
            name.truncate("YYYY-MM".len());
        }
        if rows.last().is_none_or(|(last, _)| *last != name) {
            rows.push((name, Sum::default()));
        }
        if let Some((_, sum)) = rows.last_mut() {
            sum.add(day)?;
        }
        total.add(day)?;
    }
    // Components that no close has told have no column.
    let told: Vec<Component> = total
        .components
        .iter()
        .flat_map(|amounts| amounts.iter().map(|(component, _)| component))
        .collect();
    let names: Vec<String> = told.iter().map(|c| c.name().replace('_', " ")).collect();
    let (caption, first) = if monthly {
        ("Charges by month", "Month")
    } else {
        ("Charges by day", "Trading day")
    };
    let mut columns = vec![
        (first, Text),
        ("Fills", Number),
        ("Booked at fills", Number),
        ("Adjusted at the close", Number),
        ("Total", Number),
    ];
    columns.extend(names.iter().map(|name| (name.as_str(), Number)));
    let mut table = Table::new(&format!("{caption}, {label}"), &columns);
    rows.push(("total".to_owned(), total));
    for (name, sum) in &rows {
        let whole = sum.booked.checked_add(sum.adjustment)?;
        table
            .row()
            .cell(name)
            .number(&count(sum.fills), sum.fills)
            .number(&money(sum.booked, code), sum.booked)
            .signed(&money(sum.adjustment, code), sum.adjustment)
            .number(&money(whole, code), whole);
        for component in &told {
            match sum.components.map(|amounts| amounts.get(*component)) {
                Some(amount) => table.number(&money(amount, code), amount),
                None => table.cell("–"),
            };
        }
    }
    Ok(table.finish())
}
