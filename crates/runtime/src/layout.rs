//! Where things are below a data directory. One process writes there; readers take no lock.

use std::io;
use std::path::{Path, PathBuf};

/// The market log's folder.
pub const MARKET: &str = "market";
/// The folder of the namespaces' journals.
pub const JOURNAL: &str = "journal";
/// The folder of the dead letters.
pub const DEAD_LETTERS: &str = "dlq";

/// A namespace's journal.
pub fn journal_dir(namespace: &str) -> PathBuf {
    Path::new(JOURNAL).join(namespace)
}

/// The namespaces that have a journal below a data directory, sorted; none where there is none.
pub fn namespaces(data_dir: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(data_dir.join(JOURNAL)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
            && model::topic::Namespace::new(&name).is_ok()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(namespaces(dir.path()).unwrap(), [""; 0]);
        for name in ["west", "east", "No Namespace"] {
            std::fs::create_dir_all(dir.path().join(journal_dir(name))).unwrap();
        }
        std::fs::write(dir.path().join(journal_dir("north")), "").unwrap();
        assert_eq!(namespaces(dir.path()).unwrap(), ["east", "west"]);
        let file = dir.path().join("file");
        std::fs::create_dir(&file).unwrap();
        std::fs::write(file.join(JOURNAL), "").unwrap();
        let error = namespaces(&file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
