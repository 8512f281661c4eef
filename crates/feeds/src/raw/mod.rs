//! Raw files: which there are, their bytes, their columns, their rows.

pub mod bytes;
pub mod columns;
pub mod rows;

use std::path::{Path, PathBuf};

use model::Date;

use crate::error::DataError;

/// A raw file of a data set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawFile {
    /// Its path below the data set, with `/` between the parts: its name in reports.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
}

impl RawFile {
    /// The file's name without its extensions: the symbol of a file without such a column.
    pub fn stem(&self) -> &str {
        let name = self.name.rsplit('/').next().unwrap_or(&self.name);
        let name = strip_suffix_ignoring_case(name, ".gz").unwrap_or(name);
        strip_suffix_ignoring_case(name, ".csv").unwrap_or(name)
    }

    /// The day that the path names: of the file's name and its directories as given, the nearest to
    /// the file that holds exactly one `YYYY-MM-DD`. A name with two different dates is a range and
    /// names no day.
    pub fn day(&self) -> Option<Date> {
        let parts: Vec<_> = self.path.iter().filter_map(|part| part.to_str()).collect();
        for part in parts.into_iter().rev() {
            let dates = dates_in(part);
            if let Some(first) = dates.first() {
                return dates.iter().all(|date| date == first).then_some(*first);
            }
        }
        None
    }
}

fn dates_in(text: &str) -> Vec<Date> {
    let bytes = text.as_bytes();
    let digit = |at: Option<&u8>| at.is_some_and(u8::is_ascii_digit);
    (0..bytes.len())
        .filter(|at| {
            at.checked_sub(1)
                .is_none_or(|before| !digit(bytes.get(before)))
        })
        .filter(|at| !digit(bytes.get(at + 10)))
        .filter_map(|at| text.get(at..at + 10).and_then(Date::parse))
        .collect()
}

fn strip_suffix_ignoring_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    text.get(at..)?
        .eq_ignore_ascii_case(suffix)
        .then(|| &text[..at])
}

fn is_csv(name: &str) -> bool {
    let plain = strip_suffix_ignoring_case(name, ".gz").unwrap_or(name);
    strip_suffix_ignoring_case(plain, ".csv").is_some()
}

/// Directories within directories that are followed.
const DEPTH_MAX: usize = 16;

/// The raw files at `path`: the file itself, or every `.csv` and `.csv.gz` below the directory, in
/// the order of their names; hidden ones are left alone.
pub fn files(path: &Path) -> Result<Vec<RawFile>, DataError> {
    let kind = std::fs::metadata(path).map_err(DataError::io("read", path))?;
    if !kind.is_dir() {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        return Ok(vec![RawFile {
            name,
            path: path.to_owned(),
        }]);
    }
    let mut found = Vec::new();
    walk(path, "", 0, &mut found)?;
    found.sort();
    if found.is_empty() {
        return Err(DataError::unusable(
            path,
            "no .csv or .csv.gz file in this directory or below",
            "give the directory that holds the data files, a single file, or a catalogue made by `panda data import`",
        ));
    }
    Ok(found)
}

fn walk(
    folder: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<RawFile>,
) -> Result<(), DataError> {
    if depth > DEPTH_MAX {
        let problem = format!("more than {DEPTH_MAX} directories deep");
        return Err(DataError::unusable(
            folder,
            problem,
            "give a directory nearer to the files",
        ));
    }
    for entry in std::fs::read_dir(folder).map_err(DataError::io("list", folder))? {
        let path = entry.map_err(DataError::io("list", folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(DataError::unusable(
                &path,
                "its name is not UTF-8",
                "rename it",
            ));
        };
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        let kind = std::fs::metadata(&path).map_err(DataError::io("read", &path))?;
        if kind.is_dir() {
            walk(&path, &format!("{name}/"), depth + 1, found)?;
        } else if is_csv(&name) {
            found.push(RawFile { name, path });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> RawFile {
        RawFile {
            name: path.to_owned(),
            path: path.into(),
        }
    }

    #[test]
    fn names_give_symbol_and_day() {
        assert_eq!(file("a/BAJAJ_AUTO.csv.gz").stem(), "BAJAJ_AUTO");
        assert_eq!(file("M&M.CSV").stem(), "M&M");
        for (path, day) in [
            (
                "/backup-2024-01-01/nse/2021-04-15/MM.csv",
                Some("2021-04-15"),
            ),
            ("x/MM_2021-04-16.csv.gz", Some("2021-04-16")),
            ("2021-04-15/MM_2021-04-16.csv.gz", Some("2021-04-16")),
            ("x/2021-04-15_2021-04-19.csv", None),
            ("x/BTC-PERP_2022-01_1m.csv.gz", None),
            ("x/12021-04-155.csv", None),
        ] {
            assert_eq!(
                file(path).day().map(|d| d.to_string()).as_deref(),
                day,
                "{path}"
            );
        }
    }
}
