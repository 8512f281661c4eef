//! The file `.env`: variables for those that the environment does not set.

use anyhow::bail;

/// Its variables, in order. `NAME=value`, `export NAME=value`, `# comment`; a value in single quotes
/// is taken as it is, one in double quotes knows `\n`, `\"` and `\\`; a bare one ends at ` #`.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let assignment = line.strip_prefix("export ").unwrap_or(line);
        // The line is not quoted: it can hold a secret.
        let Some((name, value)) = assignment.split_once('=') else {
            bail!(".env: line {}: write NAME=value", at + 1);
        };
        let name = name.trim();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            bail!(
                ".env: line {}: a name has letters, digits and _ only",
                at + 1
            );
        }
        let Some(value) = unquoted(value.trim()) else {
            bail!(".env: line {}: the quotes of {name} are not closed", at + 1);
        };
        found.push((name.to_owned(), value));
    }
    Ok(found)
}

fn unquoted(value: &str) -> Option<String> {
    if let Some(rest) = value.strip_prefix('\'') {
        return rest.split_once('\'').map(|(inner, _)| inner.to_owned());
    }
    let Some(rest) = value.strip_prefix('"') else {
        let bare = value.split(" #").next().unwrap_or_default();
        return Some(bare.trim_end().to_owned());
    };
    let mut out = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(out),
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_a_shell_would() {
        let text = "# c\nA=1\nexport B = two words # said\nC='a # \"b\"'\nD=\"x \\\" y\\\\\" # c\nE=\nF=a#b\n";
        let found = parse(text).unwrap();
        let values: Vec<&str> = found.iter().map(|(_, v)| v.as_str()).collect();
        assert_eq!(
            values,
            ["1", "two words", "a # \"b\"", "x \" y\\", "", "a#b"]
        );
        for (wrong, line) in [
            ("A=1\nhidden", "line 2"),
            ("A=\"open", "line 1"),
            ("A B=1", "line 1"),
        ] {
            let message = parse(wrong).unwrap_err().to_string();
            assert!(
                message.contains(line) && !message.contains("hidden"),
                "{message}"
            );
        }
    }
}
