//! The file of corporate actions.

use std::path::Path;

use model::instrument::Instruments;
use model::{AssetClass, Date};

use super::{Action, ActionKind, Actions, Ratio};
use crate::error::DataError;
use crate::number::decimal;

const COLUMNS: [&str; 4] = ["instrument", "ex_date", "kind", "ratio"];
const HEADER_FIX: &str = "begin the file with the line instrument,ex_date,kind,ratio";

impl Actions {
    /// Reads a CSV with the columns `instrument`, `ex_date`, `kind` and `ratio`, in any order; lines
    /// that begin with `#` are notes. A ratio stands as exchanges announce it:
    ///
    /// ```text
    /// instrument,ex_date,kind,ratio
    /// NSE:RELIANCE,2024-10-28,bonus,1:1          one new share for each one held
    /// NSE:NESTLEIND,2024-01-05,split,10:1        face value from 10 to 1: ten shares for one
    /// NSE:X,2024-01-05,consolidation,1:10        face value from 1 to 10: one share for ten
    /// ```
    pub fn load(path: &Path, instruments: &Instruments) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(DataError::io("read", path))?;
        Self::parse(path, &bytes, instruments)
    }

    fn parse(path: &Path, bytes: &[u8], instruments: &Instruments) -> Result<Self, DataError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(bytes);
        let at = |line: u64, (problem, fix): (String, String)| DataError::Unusable {
            path: path.to_owned(),
            line: Some(line),
            problem,
            fix,
        };
        let unreadable = |line: u64, error: &csv::Error| {
            let fix = "save it as UTF-8 CSV, with one field per column";
            at(line, (error.to_string(), fix.to_owned()))
        };
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(unreadable(1, &error)),
        };
        let columns = columns(&header).map_err(|problem| at(1, problem))?;
        let mut all: Vec<(Action, u64)> = Vec::new();
        let mut record = csv::StringRecord::new();
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(unreadable(line, &error)),
            }
            let line = record.position().map_or(line, csv::Position::line);
            let field = |n: usize| record.get(columns[n]).unwrap_or_default();
            let action = action([0, 1, 2, 3].map(field), instruments)
                .map_err(|problem| at(line, problem))?;
            let same = |(other, _): &&(Action, u64)| {
                other.instrument == action.instrument
                    && other.ex_date == action.ex_date
                    && other.kind == action.kind
            };
            if let Some((_, first)) = all.iter().find(same) {
                let problem = format!(
                    "a {} of {} on {} stands in line {first} already",
                    action.kind, action.id, action.ex_date
                );
                return Err(at(
                    line,
                    (problem, "remove one of the two lines".to_owned()),
                ));
            }
            all.push((action, line));
        }
        let mut all: Vec<Action> = all.into_iter().map(|(action, _)| action).collect();
        all.sort_by_key(|a| (a.instrument, a.ex_date, a.kind));
        Ok(Self(all))
    }
}

/// What is wrong, and what to do.
type Problem = (String, String);

fn columns(header: &csv::StringRecord) -> Result<[usize; 4], Problem> {
    if let Some(unknown) = header.iter().find(|name| !COLUMNS.contains(name)) {
        return Err((format!("unknown column `{unknown}`"), HEADER_FIX.to_owned()));
    }
    let mut found = [0; 4];
    for (at, wanted) in found.iter_mut().zip(COLUMNS) {
        let mut standing = header
            .iter()
            .enumerate()
            .filter(|(_, name)| *name == wanted);
        *at = match (standing.next(), standing.next()) {
            (Some((at, _)), None) => at,
            (None, _) => {
                return Err((format!("no column `{wanted}`"), HEADER_FIX.to_owned()));
            }
            (Some(_), Some(_)) => {
                return Err((
                    format!("column `{wanted}` stands twice"),
                    HEADER_FIX.to_owned(),
                ));
            }
        };
    }
    Ok(found)
}

fn action(
    [name, ex_date, kind, ratio]: [&str; 4],
    instruments: &Instruments,
) -> Result<Action, Problem> {
    let instrument = instruments.find(name).map_err(|e| {
        (
            e.to_string(),
            "write it as the instruments file does".to_owned(),
        )
    })?;
    let found = instruments.get(instrument);
    if found.asset_class != AssetClass::Equity {
        // The exchange changes strikes and lots of contracts too, which no factor does.
        let problem = format!("{} is no share", found.id);
        let fix = "a contract is adjusted by its exchange, by terms of its own: leave it out";
        return Err((problem, fix.to_owned()));
    }
    let ex_date = Date::parse(ex_date).ok_or_else(|| {
        let fix = "write YYYY-MM-DD, such as 2024-10-28";
        (format!("ex_date `{ex_date}` is no date"), fix.to_owned())
    })?;
    let kind = ActionKind::ALL
        .into_iter()
        .find(|known| known.name() == kind)
        .ok_or_else(|| {
            let fix = "write split, consolidation or bonus";
            (format!("unknown kind `{kind}`"), fix.to_owned())
        })?;
    Ok(Action {
        instrument,
        id: found.id.clone(),
        ex_date,
        kind,
        announced: ratio.to_owned(),
        shares: shares(kind, ratio)?,
    })
}

fn shares(kind: ActionKind, ratio: &str) -> Result<Ratio, Problem> {
    let malformed = || {
        let fix = "write two positive numbers, such as 1:1 for a bonus of one share for each one held, \
                   or 10:2 for a split of the face value from 10 to 2";
        (format!("ratio `{ratio}` is none"), fix.to_owned())
    };
    let side = |text: &str| {
        let value = decimal(text.trim().as_bytes()).filter(|value| *value > 0);
        value.and_then(|value| u64::try_from(value).ok())
    };
    let (a, b) = ratio.split_once(':').ok_or_else(malformed)?;
    let (Some(a), Some(b)) = (side(a), side(b)) else {
        return Err(malformed());
    };
    let wrong_way = |what: &str, fix: String| Err((format!("ratio `{ratio}` {what}"), fix));
    match kind {
        ActionKind::Bonus => {
            let new = a.checked_add(b).ok_or_else(malformed)?;
            Ratio::new(new, b).ok_or_else(malformed)
        }
        // "1:5" is read either way by people: the kind says which way the face value goes.
        ActionKind::Split if a <= b => wrong_way(
            "makes no more shares",
            format!(
                "write the face value before and after it, such as 10:2; a split of one share into \
                 five is 5:1; for fewer shares write the kind {}",
                ActionKind::Consolidation
            ),
        ),
        ActionKind::Consolidation if a >= b => wrong_way(
            "makes no fewer shares",
            format!(
                "write the face value before and after it, such as 1:10; for more shares write the \
                 kind {}",
                ActionKind::Split
            ),
        ),
        _ => Ratio::new(a, b).ok_or_else(malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::instrument::Instrument;

    fn registry() -> Instruments {
        let share = |symbol| Instrument::share("NSE", symbol, "INR".parse().unwrap());
        let mut future = share("A24DECFUT");
        future.asset_class = AssetClass::Futures;
        Instruments::new(vec![share("A"), share("B"), future]).unwrap()
    }

    fn parse(text: &str) -> Result<Vec<String>, String> {
        let read = Actions::parse(Path::new("actions.csv"), text.as_bytes(), &registry());
        let line = |a: &Action| format!("{a} = {}", a.shares);
        read.map(|actions| actions.iter().map(line).collect())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn ratios_stand_as_exchanges_announce_them() {
        let text = "ex_date,instrument,kind,ratio\n# a note\n\
            2024-10-28,NSE:B,bonus,1:1\n2024-10-28,A,bonus,1:2\n2024-10-28,NSE:A,split,10:02\n\
            2024-01-05,NSE:A,consolidation,1:2.5\n";
        assert_eq!(
            parse(text).unwrap(),
            [
                "consolidation 1:2.5 of NSE:A on 2024-01-05 = 2:5",
                "split 10:02 of NSE:A on 2024-10-28 = 5:1",
                "bonus 1:2 of NSE:A on 2024-10-28 = 3:2",
                "bonus 1:1 of NSE:B on 2024-10-28 = 2:1",
            ]
        );
    }

    #[test]
    fn every_mistake_is_named_with_its_line_and_the_fix() {
        for (rows, wanted) in [
            (
                "NSE:C,2024-10-28,bonus,1:1",
                "line 2: instrument `NSE:C` does not exist",
            ),
            ("NSE:A24DECFUT,2024-10-28,bonus,1:1", "is no share"),
            (
                "NSE:A,28-10-2024,bonus,1:1",
                "ex_date `28-10-2024` is no date; write YYYY-MM-DD",
            ),
            ("NSE:A,2024-10-28,demerger,1:1", "unknown kind `demerger`"),
            ("NSE:A,2024-10-28,bonus,0:1", "ratio `0:1` is none"),
            ("NSE:A,2024-10-28,bonus,-1:1", "ratio `-1:1` is none"),
            ("NSE:A,2024-10-28,bonus,2", "ratio `2` is none"),
            ("NSE:A,2024-10-28,split,9999999:1", "is none"),
            (
                "NSE:A,2024-10-28,split,1:5",
                "a split of one share into five is 5:1",
            ),
            ("NSE:A,2024-10-28,consolidation,5:1", "write the kind split"),
            (
                "NSE:A,2024-10-28,bonus,1:1\nA,2024-10-28,bonus,1:2",
                "line 3: a bonus of NSE:A on 2024-10-28 stands in line 2 already",
            ),
            ("NSE:A,2024-10-28,bonus", "line 2: CSV error"),
        ] {
            let message = parse(&format!("instrument,ex_date,kind,ratio\n{rows}\n")).unwrap_err();
            assert!(message.contains(wanted), "{message:?} lacks {wanted:?}");
        }
        for header in [
            "instrument,ex_date,kind",
            "instrument,date,kind,ratio",
            "kind,kind",
        ] {
            let message = parse(&format!("{header}\n")).unwrap_err();
            assert!(message.contains("begin the file with"), "{message}");
        }
    }
}
