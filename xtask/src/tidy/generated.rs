//! Whether generated pages are what their generators make.

use super::Finding;
use crate::reference;
use crate::workspace::Workspace;

/// Compares every generated page.
pub fn check(workspace: &Workspace) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (path, wanted) in reference::pages()? {
        let stands = std::fs::read_to_string(workspace.root.join(path)).unwrap_or_default();
        findings.extend(compare(path, &stands, &wanted));
    }
    Ok(findings)
}

/// The first line that differs.
fn compare(path: &str, stands: &str, wanted: &str) -> Option<Finding> {
    if stands == wanted {
        return None;
    }
    let line = stands
        .lines()
        .zip(wanted.lines())
        .take_while(|(a, b)| a == b)
        .count()
        + 1;
    Some(Finding {
        path: path.to_owned(),
        line,
        rule: "generated-stale",
        what: "differs from what the code generates".to_owned(),
        why: "a reference that lags behind the code misleads".to_owned(),
        fix: "run `cargo xtask generate`".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_page_is_found_at_its_first_difference() {
        let found = compare("a.md", "one\ntwo\n", "one\n2\n").map(|finding| finding.line);
        assert_eq!(found, Some(2));
        assert_eq!(compare("a.md", "one\n", "one\n"), None);
    }
}
