//! A result directory that appears whole or not at all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::OutputError;

/// The file that marks a directory as a result of ours.
pub const MARK: &str = "summary.json";

/// A directory under construction, beside the place where it will be. Until [`OutputDir::commit`]
/// nothing is at that place that was not there before; dropped without it, everything is removed.
#[derive(Debug)]
pub struct OutputDir {
    place: PathBuf,
    temporary: Option<TempDir>,
    /// Parents that were made for it, outermost first.
    made: Vec<PathBuf>,
}

impl OutputDir {
    /// Begins a result for `place`. A directory that is there already will be replaced when it is
    /// empty or holds a `summary.json`; anything else there is an error.
    pub fn create(place: &Path) -> Result<Self, OutputError> {
        // A link to a result directory stays a link: what it points to is replaced.
        let place = match fs::canonicalize(place) {
            Ok(real) => real,
            Err(_) => std::path::absolute(place).map_err(OutputError::io(place))?,
        };
        check_replaceable(&place)?;
        let parent = place
            .parent()
            .ok_or_else(|| OutputError::NotOurs(place.clone()))?;
        let mut missing: Vec<PathBuf> = parent
            .ancestors()
            .take_while(|p| !p.exists())
            .map(Path::to_owned)
            .collect();
        missing.reverse();
        let mut dir = Self {
            place: place.clone(),
            temporary: None,
            made: Vec::new(),
        };
        for path in missing {
            fs::create_dir(&path).map_err(OutputError::io(&path))?;
            dir.made.push(path);
        }
        dir.temporary = Some(temporary(parent, &place, ".partial")?);
        Ok(dir)
    }

    /// Where the files go until the result is committed.
    pub fn path(&self) -> &Path {
        self.temporary.as_ref().map_or(&self.place, |t| t.path())
    }

    /// Where the result will be.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Writes one file through a buffer.
    pub fn write(
        &self,
        name: &str,
        body: impl FnOnce(&mut BufWriter<File>) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        write_file(&self.path().join(name), body)
    }

    /// Moves the finished result into place. What was there is removed only afterwards, and put
    /// back when the move fails. Returns where the result is.
    pub fn commit(mut self) -> Result<PathBuf, OutputError> {
        let Some(temporary_dir) = self.temporary.take() else {
            return Ok(self.place.clone());
        };
        let moved = |source| OutputError::Move {
            path: self.place.clone(),
            source,
        };
        // Somebody may have put something there since the start.
        check_replaceable(&self.place)?;
        let old = if self.place.exists() {
            let parent = self.place.parent().unwrap_or(&self.place);
            let aside = temporary(parent, &self.place, ".old")?;
            let kept = aside.path().join("result");
            fs::rename(&self.place, &kept).map_err(moved)?;
            Some((aside, kept))
        } else {
            None
        };
        if let Err(source) = fs::rename(temporary_dir.path(), &self.place) {
            if let Some((aside, kept)) = old
                && fs::rename(&kept, &self.place).is_err()
            {
                // Not put back: it must at least not be removed.
                let _kept_on_disk = aside.keep();
            }
            return Err(moved(source));
        }
        // The directory is no longer where the guard would look for it.
        let _moved = temporary_dir.keep();
        self.made.clear();
        Ok(self.place.clone())
    }
}

impl Drop for OutputDir {
    fn drop(&mut self) {
        drop(self.temporary.take());
        for path in self.made.iter().rev() {
            // Fails, and rightly so, when somebody else has put something there.
            let _left_as_it_is = fs::remove_dir(path);
        }
    }
}

/// Writes one file through a buffer.
pub fn write_file(
    path: &Path,
    body: impl FnOnce(&mut BufWriter<File>) -> Result<(), OutputError>,
) -> Result<(), OutputError> {
    let mut file = BufWriter::new(File::create(path).map_err(OutputError::io(path))?);
    body(&mut file)?;
    file.flush().map_err(OutputError::io(path))
}

fn temporary(parent: &Path, place: &Path, suffix: &str) -> Result<TempDir, OutputError> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(suffix);
    // Results are to be read by others as the umask says; the default is for secrets.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(parent).map_err(OutputError::io(parent))
}

fn check_replaceable(place: &Path) -> Result<(), OutputError> {
    match fs::metadata(place) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(OutputError::Io {
            path: place.to_owned(),
            source,
        }),
        Ok(meta) if !meta.is_dir() => Err(OutputError::NotADirectory(place.to_owned())),
        Ok(_) => {
            let empty = fs::read_dir(place)
                .map_err(OutputError::io(place))?
                .next()
                .is_none();
            if empty || place.join(MARK).is_file() {
                Ok(())
            } else {
                Err(OutputError::NotOurs(place.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn put(dir: &OutputDir, name: &str, text: &str) {
        dir.write(name, |f| {
            f.write_all(text.as_bytes())
                .map_err(OutputError::io(Path::new(name)))
        })
        .unwrap();
    }

    #[test]
    fn a_result_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("a/b/out");

        let failed = OutputDir::create(&place).unwrap();
        put(&failed, "fills.csv", "half");
        drop(failed);
        assert!(
            names(root.path()).is_empty(),
            "a failed run leaves nothing, not even parents"
        );

        let first = OutputDir::create(&place).unwrap();
        put(&first, MARK, "1");
        put(&first, "old.csv", "1");
        assert!(!place.exists());
        let real = first.commit().unwrap();
        assert_eq!(names(&real), ["old.csv", MARK]);

        // A second run that fails leaves the first one's result alone; one that succeeds replaces it.
        let failed = OutputDir::create(&place).unwrap();
        put(&failed, MARK, "2");
        drop(failed);
        assert_eq!(fs::read_to_string(place.join(MARK)).unwrap(), "1");
        let second = OutputDir::create(&place).unwrap();
        put(&second, MARK, "3");
        second.commit().unwrap();
        assert_eq!(names(&place), [MARK]);
        assert_eq!(fs::read_to_string(place.join(MARK)).unwrap(), "3");
        assert_eq!(
            names(place.parent().unwrap()),
            ["out"],
            "nothing temporary is left"
        );
    }

    #[test]
    fn what_is_not_ours_is_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("thesis");
        fs::create_dir(&place).unwrap();
        OutputDir::create(&place).unwrap();
        fs::write(place.join("chapter1.txt"), "words").unwrap();
        let message = OutputDir::create(&place).unwrap_err().to_string();
        assert!(
            message.contains("thesis") && message.contains("summary.json"),
            "{message}"
        );
        let file = root.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(matches!(
            OutputDir::create(&file),
            Err(OutputError::NotADirectory(_))
        ));

        // Nor when it came while the run was going on.
        let late = root.path().join("late");
        let dir = OutputDir::create(&late).unwrap();
        fs::create_dir(&late).unwrap();
        fs::write(late.join("mine"), "x").unwrap();
        assert!(matches!(dir.commit(), Err(OutputError::NotOurs(_))));
        assert_eq!(names(&late), ["mine"]);
        assert_eq!(names(root.path()), ["file", "late", "thesis"]);
    }
}
