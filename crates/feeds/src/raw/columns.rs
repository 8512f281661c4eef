//! What the columns of a raw file mean.

use std::path::Path;

use crate::error::DataError;

/// What a column can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// When.
    Timestamp,
    /// Which instrument.
    Symbol,
    /// Last traded price.
    Price,
    /// Quantity of the trade.
    Size,
    /// Quantity since the day's start in ticks; within the bar in bars.
    Volume,
    /// Open interest.
    OpenInterest,
    /// Best bid.
    Bid,
    /// Best ask.
    Ask,
    /// A bar's first price.
    Open,
    /// A bar's highest price.
    High,
    /// A bar's lowest price.
    Low,
    /// A bar's last price.
    Close,
}

/// Every role with the names that its column may have, the first of them being the role's own.
const ROLES: [(Role, &[&str]); 12] = [
    (Role::Timestamp, &["timestamp", "ts", "ts_ns", "time"]),
    (Role::Symbol, &["symbol", "instrument"]),
    (Role::Price, &["price", "ltp"]),
    (Role::Size, &["size", "quantity"]),
    (Role::Volume, &["volume"]),
    (Role::OpenInterest, &["oi"]),
    (Role::Bid, &["bid"]),
    (Role::Ask, &["ask"]),
    (Role::Open, &["open"]),
    (Role::High, &["high"]),
    (Role::Low, &["low"]),
    (Role::Close, &["close"]),
];

/// The column whose integers are nanoseconds whatever their size.
const NANOSECONDS: &str = "ts_ns";

/// Which columns of a file to read instead of those with the usual names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnMap(Vec<(Role, String)>);

impl ColumnMap {
    /// From `role=column` pairs between commas, such as `price=last_traded_price,timestamp=Date`.
    /// A role may be written by any name that its column may have.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let mut map = Vec::new();
        for pair in text
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
        {
            let bad = |what: String| {
                DataError::setting(what, format!("write role=column, roles: {}", role_names()))
            };
            let Some((role, column)) = pair.split_once('=').map(|(r, c)| (r.trim(), c.trim()))
            else {
                return Err(bad(format!(
                    "`{pair}` in the column mapping is not role=column"
                )));
            };
            let found = ROLES.iter().find(|(_, names)| names.contains(&role));
            let Some((role, names)) = found else {
                return Err(bad(format!("unknown role `{role}` in the column mapping")));
            };
            if column.is_empty() {
                return Err(bad(format!(
                    "`{pair}` in the column mapping names no column"
                )));
            }
            if map.iter().any(|(known, _)| known == role) {
                return Err(bad(format!(
                    "the column mapping gives `{}` twice",
                    names[0]
                )));
            }
            map.push((*role, column.to_owned()));
        }
        map.sort();
        Ok(Self(map))
    }

    fn column(&self, role: Role) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| *known == role)
            .map(|(_, column)| column.as_str())
    }

    /// The mapping in one fixed spelling.
    pub fn text(&self) -> String {
        let name = |role: &Role| {
            ROLES
                .iter()
                .find(|(r, _)| r == role)
                .map_or("", |(_, names)| names[0])
        };
        let pairs: Vec<_> = self
            .0
            .iter()
            .map(|(role, column)| format!("{}={column}", name(role)))
            .collect();
        pairs.join(",")
    }
}

fn role_names() -> String {
    let names: Vec<_> = ROLES.iter().map(|(_, names)| names[0]).collect();
    names.join(", ")
}

/// Ticks or bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One row per tick.
    Ticks,
    /// One row per bar.
    Bars,
}

impl Kind {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Bars => "bars",
        }
    }

    const fn roles(self) -> [Role; 6] {
        match self {
            Self::Ticks => [
                Role::Price,
                Role::Size,
                Role::Volume,
                Role::OpenInterest,
                Role::Bid,
                Role::Ask,
            ],
            Self::Bars => [
                Role::Open,
                Role::High,
                Role::Low,
                Role::Close,
                Role::Volume,
                Role::OpenInterest,
            ],
        }
    }
}

/// Where the columns of one file stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Ticks or bars.
    pub kind: Kind,
    /// Number of columns.
    pub width: usize,
    /// The stamp's column.
    pub timestamp: usize,
    /// Integers there are nanoseconds.
    pub nanoseconds: bool,
    /// The instrument's column; without it the file's name tells.
    pub symbol: Option<usize>,
    /// In ticks price, size, volume, open interest, bid, ask; in bars open, high, low, close, volume,
    /// open interest.
    pub values: [Option<usize>; 6],
    /// Names of the columns that mean nothing here.
    pub ignored: Vec<String>,
    /// Names of all columns.
    pub names: Vec<String>,
}

impl Layout {
    /// From a file's header.
    pub fn of(path: &Path, header: &[String], map: &ColumnMap) -> Result<Self, DataError> {
        let find = |wanted: &str| {
            header.iter().position(|name| name == wanted).or_else(|| {
                header
                    .iter()
                    .position(|name| name.eq_ignore_ascii_case(wanted))
            })
        };
        let mut at = [None; ROLES.len()];
        for (slot, (role, names)) in at.iter_mut().zip(ROLES) {
            *slot = match map.column(role) {
                Some(column) => Some(find(column).ok_or_else(|| {
                    let problem = format!(
                        "has no column `{column}`, which the mapping gives for `{}`",
                        names[0]
                    );
                    DataError::unusable(
                        path,
                        problem,
                        format!("its columns are: {}", header.join(", ")),
                    )
                })?),
                None => names.iter().find_map(|name| find(name)),
            };
        }
        let position = |role: Role| {
            ROLES
                .iter()
                .position(|(r, _)| *r == role)
                .and_then(|i| at[i])
        };
        let bars = [Role::Open, Role::High, Role::Low, Role::Close].map(position);
        let kind = match position(Role::Price) {
            Some(_) => Kind::Ticks,
            None if bars.iter().all(Option::is_some) => Kind::Bars,
            None => return Err(unknown(path, header)),
        };
        let Some(timestamp) = position(Role::Timestamp) else {
            return Err(unknown(path, header));
        };
        let values = kind.roles().map(position);
        let symbol = position(Role::Symbol);
        let used = |index: usize| {
            index == timestamp || Some(index) == symbol || values.contains(&Some(index))
        };
        let ignored = header
            .iter()
            .enumerate()
            .filter(|(i, _)| !used(*i))
            .map(|(_, n)| n.clone());
        Ok(Self {
            kind,
            width: header.len(),
            timestamp,
            nanoseconds: header[timestamp].eq_ignore_ascii_case(NANOSECONDS),
            symbol,
            values,
            ignored: ignored.collect(),
            names: header.to_vec(),
        })
    }
}

fn unknown(path: &Path, header: &[String]) -> DataError {
    let looks_like_data = header
        .iter()
        .any(|name| name.starts_with(|c: char| c.is_ascii_digit()));
    let (problem, fix) = if looks_like_data {
        (
            "has no header: its first line holds data".to_owned(),
            "add a first line that names the columns, such as timestamp,price,volume",
        )
    } else if header.len() == 1 && header[0].contains([';', '\t', '|']) {
        (
            "its columns are not separated by commas".to_owned(),
            "convert it to a comma-separated CSV",
        )
    } else {
        (
            format!("columns not understood: {}", header.join(", ")),
            "needed are timestamp and price (or open, high, low, close); name other columns with `columns` under [data] of the settings or an import's --map, such as price=last_traded_price",
        )
    };
    DataError::Unusable {
        path: path.to_owned(),
        line: Some(1),
        problem,
        fix: fix.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(header: &str, map: &str) -> Result<Layout, DataError> {
        let header: Vec<String> = header.split(',').map(str::to_owned).collect();
        Layout::of(Path::new("x.csv"), &header, &ColumnMap::parse(map)?)
    }

    #[test]
    fn columns_are_found_by_name_or_mapping() {
        let ticks = layout("timestamp,ltp,volume", "").unwrap();
        assert_eq!(
            (
                ticks.kind,
                ticks.timestamp,
                ticks.values[0],
                ticks.values[2]
            ),
            (Kind::Ticks, 0, Some(1), Some(2))
        );
        let bars = layout("Time,Open,High,Low,Close,Trades", "").unwrap();
        assert_eq!(
            (bars.kind, bars.ignored.as_slice()),
            (Kind::Bars, ["Trades".to_owned()].as_slice())
        );
        let mapped = layout(
            "Date,last_traded_price,price,ts_ns",
            "price=last_traded_price,ts=Date",
        )
        .unwrap();
        assert_eq!(
            (mapped.timestamp, mapped.values[0], mapped.nanoseconds),
            (0, Some(1), false)
        );
        assert!(layout("ts_ns,symbol,price,size", "").unwrap().nanoseconds);
    }

    #[test]
    fn wrong_headers_and_mappings_say_what_to_do() {
        for (header, map, wanted) in [
            ("a,b", "", "--map"),
            ("2021-04-15 09:15:04,801.6,65806", "", "has no header"),
            ("timestamp;price", "", "not separated by commas"),
            ("timestamp,price", "price=ltp", "no column `ltp`"),
            ("timestamp,price", "prize=ltp", "unknown role `prize`"),
            ("timestamp,price", "price", "role=column"),
            ("timestamp,price", "price=a,ltp=b", "twice"),
        ] {
            let message = layout(header, map).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message:?} lacks {wanted:?}");
        }
    }
}
