//! Whether the commands, paths and links that documents name exist.

use super::Finding;
use crate::workspace::Workspace;

/// Folders that running the commands makes.
const MADE: [&str; 3] = ["out", "data", "target"];
/// Programs that documents may use without further checks.
const PROGRAMS: [&str; 8] = [
    "git", "cd", "ls", "less", "curl", "rustup", "xdg-open", ".ci/run",
];
/// Cargo's own commands that documents may use.
const CARGO: [&str; 9] = [
    "build", "run", "test", "bench", "fmt", "clippy", "doc", "deny", "install",
];

/// Whether a file is a document whose claims are checked.
pub fn is_document(path: &str) -> bool {
    matches!(path, "README.md" | "ARCHITECTURE.md" | "CONTRIBUTING.md")
        || ((path.starts_with("docs/") || path.starts_with("examples/")) && path.ends_with(".md"))
}

/// What documents are held against.
struct Facts<'a> {
    panda: clap::Command,
    tasks: clap::Command,
    /// Whether a crate exists, or a test or benchmark program (kind, name).
    has_crate: &'a dyn Fn(&str) -> bool,
    has_target: &'a dyn Fn(&str, &str) -> bool,
    /// A file's text; empty for a folder; none where there is nothing.
    read: &'a dyn Fn(&str) -> Option<String>,
}

/// Checks one document.
pub fn check(workspace: &Workspace, path: &str, text: &str) -> Vec<Finding> {
    let facts = Facts {
        panda: panda::cli::command(),
        tasks: crate::command(),
        has_crate: &|name| workspace.package(name).is_some(),
        has_target: &|kind, name| {
            let mut targets = workspace
                .packages
                .iter()
                .flat_map(|package| &package.targets);
            targets.any(|target| target.name == name && target.kind.iter().any(|k| k == kind))
        },
        read: &|path| {
            let file = workspace.root.join(path);
            if file.is_dir() {
                Some(String::new())
            } else {
                std::fs::read_to_string(file).ok()
            }
        },
    };
    facts.check(path, text)
}

impl Facts<'_> {
    fn check(&self, path: &str, text: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |line: usize, what: String| {
            findings.push(Finding {
                path: path.to_owned(),
                line: line + 1,
                rule: "document",
                what,
                why: "a newcomer believes what is written, and types it".to_owned(),
                fix: "correct the document, or bring what it names".to_owned(),
            });
        };
        let mut block: Option<bool> = None;
        let mut command = String::new();
        for (at, line) in text.lines().enumerate() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                let is_shell = matches!(language.trim(), "sh" | "bash" | "console");
                block = if block.is_none() {
                    Some(is_shell)
                } else {
                    None
                };
                continue;
            }
            match block {
                Some(true) => {
                    let line = line.trim();
                    command.push_str(line.strip_prefix("$ ").unwrap_or(line));
                    if command.ends_with('\\') {
                        command.pop();
                        command.push(' ');
                        continue;
                    }
                    let whole = std::mem::take(&mut command);
                    for words in commands_of(&whole) {
                        let words: Vec<&str> = words.iter().map(String::as_str).collect();
                        self.command(&words, &mut |what| add(at, what));
                    }
                }
                Some(false) => {}
                None => self.prose(path, line, &mut |what| add(at, what)),
            }
        }
        if block.is_some() {
            add(
                text.lines().count().saturating_sub(1),
                "a code block is not closed".to_owned(),
            );
        }
        findings
    }

    /// One command of a shell block.
    fn command(&self, words: &[&str], add: &mut dyn FnMut(String)) {
        let Some((program, arguments)) = words.split_first() else {
            return;
        };
        match *program {
            "cargo" => self.cargo(arguments, add),
            "panda" | "target/release/panda" | "./target/release/panda" => {
                parse(&self.panda, arguments, add);
            }
            other if PROGRAMS.contains(&other) => {}
            other => add(format!("the command `{other}` is not known to the checks")),
        }
        for word in arguments {
            let value = word.split_once('=').map_or(*word, |(_, value)| value);
            if let Some(missing) = self.missing(value) {
                add(format!("there is no {missing}"));
            }
        }
    }

    fn cargo(&self, arguments: &[&str], add: &mut dyn FnMut(String)) {
        let Some((name, rest)) = arguments.split_first() else {
            return;
        };
        if *name == "xtask" {
            return parse(&self.tasks, rest, add);
        }
        if !CARGO.contains(name) {
            return add(format!("`cargo {name}` is not known to the checks"));
        }
        let end = rest.iter().position(|word| *word == "--");
        let (own, given) = rest.split_at(end.unwrap_or(rest.len()));
        let value_of = |flags: &[&str]| {
            let at = own.iter().position(|word| flags.contains(word))?;
            own.get(at + 1).copied()
        };
        let package = value_of(&["-p", "--package"]);
        if let Some(package) =
            package.filter(|package| *name != "install" && !(self.has_crate)(package))
        {
            add(format!("there is no crate `{package}`"));
        }
        for kind in ["test", "bench", "example"] {
            if let Some(target) = value_of(&[&format!("--{kind}")])
                && !(self.has_target)(kind, target)
            {
                add(format!("there is no {kind} `{target}`"));
            }
        }
        if *name == "run" && package.is_none_or(|package| package == "panda") {
            parse(&self.panda, given.get(1..).unwrap_or_default(), add);
        }
    }

    /// Links and inline code outside of blocks.
    fn prose(&self, document: &str, line: &str, add: &mut dyn FnMut(String)) {
        for target in line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if let Some(problem) = self.link(document, target) {
                add(problem);
            }
        }
        for code in line.split('`').skip(1).step_by(2) {
            let words: Vec<&str> = code.split_whitespace().collect();
            match words.as_slice() {
                ["panda", rest @ ..] if !rest.is_empty() => known(&self.panda, rest, add),
                ["cargo", "xtask", rest @ ..] if !rest.is_empty() => known(&self.tasks, rest, add),
                [path] => {
                    let first = path.split('/').next().unwrap_or_default();
                    // Only what begins like a path of the repository is meant as one.
                    let is_ours = path.contains('/')
                        && matches!(
                            first,
                            "crates" | "docs" | "examples" | "xtask" | ".ci" | ".cargo"
                        );
                    if let Some(missing) = self.missing(path).filter(|_| is_ours) {
                        add(format!("there is no {missing}"));
                    }
                }
                _ => {}
            }
        }
    }

    fn link(&self, document: &str, target: &str) -> Option<String> {
        if target.contains("://") || target.starts_with("mailto:") {
            return None;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = match file {
            "" => document.to_owned(),
            file => match resolve(folder, file) {
                Some(path) => path,
                None => return Some(format!("the link {target} leaves the repository")),
            },
        };
        let Some(text) = (self.read)(&path) else {
            return Some(format!("the link {target} leads nowhere"));
        };
        let has_anchor = anchor.is_empty()
            || text
                .lines()
                .filter(|line| line.starts_with('#'))
                .any(|line| slug(line) == anchor);
        (!has_anchor).then(|| format!("{path} has no heading #{anchor}"))
    }

    /// A path inside the repository that is not there.
    fn missing<'a>(&self, word: &'a str) -> Option<&'a str> {
        let path = word.trim_end_matches('/');
        let is_path = word.contains('/')
            && !word.starts_with(['-', '/', '~', '.'])
            && !word.contains("://")
            && path
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        let is_hidden = word.starts_with(".ci/") || word.starts_with(".cargo/");
        let first = path.split('/').next().unwrap_or_default();
        ((is_path || is_hidden) && !MADE.contains(&first) && (self.read)(path).is_none())
            .then_some(word)
    }
}

/// The commands of a shell line, each in words. Comments and variables set for a command are left
/// out; quotes hold words together.
fn commands_of(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, c) if c.is_whitespace() => {
                let is_variable = word.split_once('=').is_some_and(|(name, _)| {
                    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
                });
                let whole = std::mem::take(&mut word);
                if whole.starts_with('#') {
                    break;
                }
                if matches!(whole.as_str(), "&&" | "||" | "|" | ";") {
                    commands.push(Vec::new());
                } else if let Some(command) = commands.last_mut()
                    && !whole.is_empty()
                    && !(is_variable && command.is_empty())
                {
                    command.push(whole);
                }
            }
            (_, c) => word.push(c),
        }
    }
    commands
}

/// Whether a whole command line is one that the program takes.
fn parse(command: &clap::Command, arguments: &[&str], add: &mut dyn FnMut(String)) {
    use clap::error::ErrorKind;
    let name = command.get_name().to_owned();
    let line = std::iter::once(name.as_str()).chain(arguments.iter().copied());
    if let Err(error) = command.clone().try_get_matches_from(line)
        && !matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        )
    {
        let text = error.to_string();
        let first = text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        add(format!(
            "`{name} {}` is refused: {first}",
            arguments.join(" ")
        ));
    }
}

/// Whether the commands and flags of a fragment, such as `data import --tz`, exist.
fn known(command: &clap::Command, fragment: &[&str], add: &mut dyn FnMut(String)) {
    let mut at = command;
    let mut in_commands = true;
    for word in fragment {
        if let Some(flag) = word.strip_prefix("--") {
            in_commands = false;
            let flag = flag.split('=').next().unwrap_or(flag);
            let exists = at
                .get_arguments()
                .any(|argument| argument.get_long() == Some(flag));
            if !exists && !matches!(flag, "help" | "version" | "") {
                add(format!("`{}` has no --{flag}", at.get_name()));
            }
        } else if in_commands && at.has_subcommands() {
            match at.find_subcommand(word) {
                Some(inner) => at = inner,
                None => return add(format!("`{}` has no command `{word}`", at.get_name())),
            }
        } else {
            in_commands = false;
        }
    }
}

/// A link's path from the root; none where it leaves the repository.
fn resolve(folder: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in file
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}

/// A heading's anchor.
fn slug(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let panda = clap::Command::new("panda")
            .subcommand_required(true)
            .subcommand(
                clap::Command::new("demo").arg(clap::Arg::new("out").long("out").value_name("DIR")),
            );
        let tasks = clap::Command::new("cargo xtask").subcommand(
            clap::Command::new("test").arg(clap::Arg::new("suite").value_parser(["all"])),
        );
        let facts = Facts {
            panda,
            tasks,
            has_crate: &|name| name == "panda",
            has_target: &|kind, name| (kind, name) == ("test", "e2e"),
            read: &|path| match path {
                "docs/a.md" => Some("# A\n\n## The life of a tick\n".to_owned()),
                "docs" | "examples/nse/panda.toml" => Some(String::new()),
                _ => None,
            },
        };
        facts
            .check("docs/b.md", text)
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    fn in_block(command: &str) -> Vec<String> {
        found(&format!("```sh\n{command}\n```\n"))
    }

    #[test]
    fn commands_that_exist_pass() {
        for command in [
            "cargo run --release -- demo  # a comment",
            "cargo run --release -- demo \\\n  --out out/demo",
            "cargo xtask test all",
            "cargo test -p panda --test e2e && cargo fmt --all --check",
            "RUSTDOCFLAGS=\"-D warnings\" panda demo --out examples/nse/panda.toml",
            "# only a comment",
        ] {
            assert_eq!(in_block(command), Vec::<String>::new(), "{command}");
        }
        assert_eq!(found("```text\nfrobnicate\n```\n"), Vec::<String>::new());
    }

    #[test]
    fn commands_that_do_not_exist_are_found() {
        for (command, part) in [
            ("cargo run --release -- demos", "demos"),
            ("panda demo --outt x", "--outt"),
            ("cargo xtask test some", "some"),
            ("cargo xtask tidier", "tidier"),
            ("cargo test -p pandas", "no crate `pandas`"),
            ("cargo test --test e3e", "no test `e3e`"),
            ("cargo nonsense", "cargo nonsense"),
            ("frobnicate", "frobnicate"),
            (
                "panda demo --out examples/nse/gone.toml",
                "examples/nse/gone.toml",
            ),
        ] {
            let findings = in_block(command);
            assert!(
                findings.iter().any(|what| what.contains(part)),
                "{command}: {findings:?}"
            );
        }
    }

    #[test]
    fn links_and_inline_code_lead_somewhere() {
        for text in [
            "[a](a.md#the-life-of-a-tick) [x](https://example.com/y)",
            "[here](#top)\n# Top",
            "`panda demo --out DIR`, `cargo xtask test`, `docs/a.md`, `EXCHANGE/SYMBOL`, `a/b.rs`",
        ] {
            let findings = found(text);
            // The document itself is not among the files of this test.
            let others: Vec<_> = findings
                .iter()
                .filter(|what| !what.contains("#top"))
                .collect();
            assert!(others.is_empty(), "{text}: {others:?}");
        }
        for (text, part) in [
            ("[a](gone.md)", "leads nowhere"),
            ("[a](a.md#the-death-of-a-tick)", "no heading"),
            ("[a](../../elsewhere)", "leaves the repository"),
            ("`docs/gone.md`", "no docs/gone.md"),
            ("`panda demos`", "no command `demos`"),
            ("`panda demo --outt`", "no --outt"),
            ("```sh\npanda demo", "not closed"),
        ] {
            let findings = found(text);
            assert!(
                findings.iter().any(|what| what.contains(part)),
                "{text}: {findings:?}"
            );
        }
    }
}
