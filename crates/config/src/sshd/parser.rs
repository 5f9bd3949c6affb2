//! From lines to a configuration.

use super::algorithms::Offered;
use super::config::SshdConfig;
use super::configuration::{Conditions, Configuration, Directive};
use super::consistency;
use super::include::{FileSystem, IncludedFile, Includes};
use super::keywords::{self, Keyword, Scope, State};
use super::lexer::{self, Line, Malformed, Span, Statement};
use super::listening::{Listening, Salvage};
use super::matching::Condition;
use super::offers::Offers;
use super::report::{Error, ErrorKind, Errors, Warning, WarningKind};
use super::setting::{Arguments, Turn};
use crate::pattern::{PatternList, Verdict};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// The file that is read unless `-f` names another.
pub const DEFAULT_FILE: &str = "/etc/ssh/sshd_config";

/// What holds for this server and not for OpenSSH's: read before [`DEFAULT_FILE`] if it exists, and not with another file.
///
/// OpenSSH's sshd (tried: 9.2p1, 10.0p2) refuses keywords that it does not know, and IgnoreUnknown is one, so a file for
/// both servers cannot hold ours.
pub const OWN_FILE: &str = "/etc/ssh/sshd-privsep.conf";

/// How deep Includes may be nested, as in OpenSSH.
const DEPTH_LIMIT: usize = 16;

/// How many files may be included altogether: nested patterns multiply.
const COUNT_LIMIT: usize = 256;

/// The name that stands for no file, in any case of letters.
const NO_FILE: &str = "none";

/// The name of the command line in messages, as in OpenSSH.
const COMMAND_LINE: &str = "command-line";

/// Reads a configuration file and what it includes, for a server that obeys it. `options` are those of `-o`, which count
/// before the file. The file `none` is none, as for `sshd -f`: the defaults hold, and what the options say.
///
/// # Errors
///
/// Everything that is wrong, and everything that this version would have to enforce and does not, in the order of the
/// text; what no line alone can show comes last. The caller keeps the configuration it has.
pub fn load(path: &Path, options: &[&str], offered: &Offered<'_>) -> Result<Configuration, Errors> {
    parse_file(path, options, offered)?.obeyed()
}

/// Reads a configuration file and what it includes, to show what it says (`-T`, `-G`, `explain`). It may say what this
/// version does not enforce: see [`Configuration::refused`]. `options` are those of `-o`, which count before the file.
///
/// # Errors
///
/// Everything that cannot be read, in the order of the text.
pub fn read(path: &Path, options: &[&str], offered: &Offered<'_>) -> Result<Configuration, Errors> {
    parse_file(path, options, offered)?.shown()
}

/// As [`read`], from text. `file` is its name in messages.
///
/// # Errors
///
/// As [`read`].
pub fn read_text(
    text: &str,
    file: &str,
    options: &[&str],
    includes: &dyn Includes,
    offered: &Offered<'_>,
) -> Result<Configuration, Errors> {
    let file = IncludedFile {
        name: file.to_owned(),
        text: text.to_owned(),
    };
    Parsed::new(&[file], options, includes, offered).shown()
}

/// Reads where to listen from a file that may have errors: the lines that say it count, whatever is wrong with others.
///
/// # Errors
///
/// The file itself cannot be read.
pub fn salvage(path: &Path) -> Result<Salvage, Errors> {
    let Parsed {
        configuration,
        problems,
    } = parse_file(path, &[], &Offers::ours().offered())?;
    let wrong = problems
        .into_iter()
        .filter(|problem| problem.weight == Weight::Wrong);
    Ok(Salvage {
        listening: Listening::from(&configuration.global().config),
        errors: Errors(wrong.map(|problem| problem.error).collect()),
    })
}

fn parse_file(path: &Path, options: &[&str], offered: &Offered<'_>) -> Result<Parsed, Errors> {
    let unreadable = |kind| {
        let location = None;
        Errors(vec![Error { location, kind }])
    };
    let own = (path == Path::new(DEFAULT_FILE)).then_some(Path::new(OWN_FILE));
    let files = match path.to_str() {
        Some(name) if name.eq_ignore_ascii_case(NO_FILE) => Vec::new(),
        _ => files(own, path).map_err(unreadable)?,
    };
    Ok(Parsed::new(&files, options, &FileSystem, offered))
}

/// The files of a configuration in the order in which they are read.
fn files(own: Option<&Path>, path: &Path) -> Result<Vec<IncludedFile>, ErrorKind> {
    let own = own.filter(|own| own.exists());
    own.into_iter()
        .chain([path])
        .map(IncludedFile::read)
        .collect()
}

/// A configuration and what speaks against it.
struct Parsed {
    configuration: Configuration,
    problems: Vec<Problem>,
}

struct Problem {
    error: Error,
    weight: Weight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// It cannot be read.
    Wrong,
    /// It can, but this version does not enforce it.
    Unenforced,
}

impl Parsed {
    fn new(
        files: &[IncludedFile],
        options: &[&str],
        includes: &dyn Includes,
        offered: &Offered<'_>,
    ) -> Self {
        let mut parser = Parser {
            offered,
            includes,
            directives: Vec::new(),
            seen: BTreeSet::new(),
            ignored: None,
            included: 0,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        let outside: Conditions = Arc::new([]);
        for option in options {
            parser.text(option, COMMAND_LINE, 0, &outside);
        }
        for IncludedFile { name, text } in files {
            parser.text(text, name, 0, &outside);
        }
        let Parser {
            directives,
            mut problems,
            warnings,
            ..
        } = parser;
        let mut configuration = Configuration::new(SshdConfig::blank(offered), directives);
        configuration.warnings = warnings;
        let weight = Weight::Wrong;
        let together = consistency::check(&configuration.global());
        problems.extend(together.into_iter().map(|error| Problem { error, weight }));
        Self {
            configuration,
            problems,
        }
    }

    fn obeyed(self) -> Result<Configuration, Errors> {
        if self.problems.is_empty() {
            return Ok(self.configuration);
        }
        let errors = self.problems.into_iter().map(|problem| problem.error);
        Err(Errors(errors.collect()))
    }

    fn shown(self) -> Result<Configuration, Errors> {
        let mut configuration = self.configuration;
        let (wrong, refused): (Vec<_>, Vec<_>) = self
            .problems
            .into_iter()
            .partition(|problem| problem.weight == Weight::Wrong);
        let errors = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.error);
        if !wrong.is_empty() {
            return Err(Errors(errors(wrong).collect()));
        }
        configuration.refused = errors(refused).collect();
        Ok(configuration)
    }
}

struct Parser<'a> {
    offered: &'a Offered<'a>,
    includes: &'a dyn Includes,
    directives: Vec<Directive>,
    /// What occurred outside of Match.
    seen: BTreeSet<&'static str>,
    /// What IgnoreUnknown names, in lower case; the first one counts.
    ignored: Option<PatternList>,
    included: usize,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

/// Where a line stands.
struct Place<'a> {
    line: &'a Line,
    depth: usize,
    /// The Match around the Include that led to this file.
    around: &'a Conditions,
}

impl Parser<'_> {
    fn text(&mut self, text: &str, file: &str, depth: usize, around: &Conditions) {
        let file: Arc<str> = file.into();
        let mut conditions = Arc::clone(around);
        for (at, text) in text.split('\n').enumerate() {
            let text = text.strip_suffix('\r').unwrap_or(text).into();
            let line = Line {
                file: Arc::clone(&file),
                number: at.saturating_add(1),
                text,
            };
            let place = Place {
                line: &line,
                depth,
                around,
            };
            let outcome = match lexer::split(&line.text) {
                Ok(None) => Ok(()),
                Ok(Some(statement)) => self.statement(&place, &statement, &mut conditions),
                Err(malformed) => Err(malformed),
            };
            if let Err(Malformed { span, kind }) = outcome {
                self.problem(&line, span, kind, Weight::Wrong);
            }
        }
    }

    /// Whether IgnoreUnknown names a keyword.
    fn is_ignored(&self, keyword: &str) -> bool {
        let verdict = |list: &PatternList| list.verdict(&keyword.to_ascii_lowercase());
        self.ignored.as_ref().map(verdict) == Some(Verdict::Included)
    }

    fn problem(&mut self, line: &Line, span: Span, kind: ErrorKind, weight: Weight) {
        let error = line.error(span, kind);
        self.problems.push(Problem { error, weight });
    }

    fn statement(
        &mut self,
        place: &Place<'_>,
        statement: &Statement,
        conditions: &mut Conditions,
    ) -> Result<(), Malformed> {
        let span = statement.keyword.span;
        let wrong = |kind| Err(Malformed { span, kind });
        let Some(row) = keywords::find(&statement.keyword.text) else {
            let keyword = statement.keyword.text.clone();
            if self.is_ignored(&keyword) {
                return Ok(());
            }
            let suggestion = keywords::suggestion(&keyword);
            return wrong(ErrorKind::UnknownKeyword {
                keyword,
                suggestion,
            });
        };
        let keyword = row.name;
        // Every keyword has a value, also those that are not obeyed.
        if statement.arguments.is_empty() && statement.tail.text.is_empty() {
            return wrong(ErrorKind::MissingArgument {
                keyword,
                expected: "see sshd_config(5)".to_owned(),
            });
        }
        let inside = !conditions.iter().all(|condition| condition.always());
        if inside && row.scope == Scope::Global {
            return wrong(ErrorKind::NotInMatch { keyword });
        }
        let on_command_line = &*place.line.file == COMMAND_LINE;
        match row.state {
            State::Include | State::Match if on_command_line => {
                return wrong(ErrorKind::NotAnOption { keyword });
            }
            State::Include => return self.include(place, statement, conditions),
            State::Match => {
                let condition = match statement.arguments.is_empty() {
                    true => {
                        let expected = "criteria, or all".to_owned();
                        let kind = ErrorKind::MissingArgument { keyword, expected };
                        Err(Malformed { span, kind })
                    }
                    false => Condition::parse(statement, |name| self.includes.service(name)),
                };
                // After a Match that cannot be read, lines are still lines of a block.
                let (condition, outcome) = match condition {
                    Ok(condition) => (condition, Ok(())),
                    Err(malformed) => (Condition::never(), Err(malformed)),
                };
                let around = place.around.iter().cloned();
                *conditions = around.chain([Arc::new(condition)]).collect();
                return outcome;
            }
            _ => {}
        }
        let value = self.value(place, statement, row, conditions)?;
        if let State::IgnoreUnknown = row.state {
            self.ignored.get_or_insert_with(|| PatternList::new(&value));
        }
        self.remark(place, span, row, &value);
        Ok(())
    }

    /// Reads the values of a line. What it gives is how they are shown, in lower case.
    fn value(
        &mut self,
        place: &Place<'_>,
        statement: &Statement,
        row: &'static Keyword,
        conditions: &Conditions,
    ) -> Result<String, Malformed> {
        let Some(setting) = row.setting else {
            let words = statement.arguments.iter().map(|word| &*word.text);
            return Ok(words.collect::<Vec<_>>().join(" ").to_ascii_lowercase());
        };
        let mut arguments = Arguments::new(row.name, statement, self.offered, self.includes);
        let put = setting.read(&mut arguments)?;
        arguments.finish()?;
        if self.may_count(row, conditions) {
            for (span, kind) in std::mem::take(&mut arguments.warnings) {
                self.warn(place.line, span, kind);
            }
        }
        if conditions.is_empty() {
            self.seen.insert(row.name);
        }
        // Not the words, but what they were read as: `ForceCommand none # x` is a command.
        let mut alone = SshdConfig::blank(self.offered);
        put(&mut alone, Turn::First);
        let shown = match setting.show(&alone) {
            shown if shown.is_empty() => "none".to_owned(),
            shown => shown.join(" ").to_ascii_lowercase(),
        };
        self.directives.push(Directive {
            keyword: row,
            put,
            conditions: Arc::clone(conditions),
            location: Arc::new(place.line.at(statement.keyword.span)),
        });
        Ok(shown)
    }

    /// Whether a line is worth a remark on its value: an earlier one may override it for everybody.
    fn may_count(&self, row: &Keyword, conditions: &Conditions) -> bool {
        !conditions.is_empty() || !self.seen.contains(row.name)
    }

    fn warn(&mut self, line: &Line, span: Span, kind: WarningKind) {
        let location = line.at(span);
        self.warnings.push(Warning { location, kind });
    }

    /// Says what becomes of the value.
    fn remark(&mut self, place: &Place<'_>, span: Span, row: &'static Keyword, value: &str) {
        let keyword = row.name;
        if row.neutral.contains(&value) {
            // What it says happens anyway.
            return;
        }
        let kind = match row.state {
            State::Refused(why) => {
                let kind = ErrorKind::Refused { keyword, why };
                return self.problem(place.line, span, kind, Weight::Unenforced);
            }
            State::ActiveExcept(values) => {
                let Some((value, why)) = values.iter().find(|(except, _)| *except == value) else {
                    return;
                };
                WarningKind::ValueNotYet {
                    keyword,
                    value,
                    why,
                }
            }
            State::NoEffect(why) => WarningKind::NoEffect { keyword, why },
            State::NotYet(why) => WarningKind::NotYet { keyword, why },
            State::Deprecated => WarningKind::Deprecated { keyword },
            // `find` resolves old names.
            State::Active
            | State::ActiveThrough(_)
            | State::Ignored
            | State::Include
            | State::IgnoreUnknown
            | State::Match
            | State::OldNameOf(_) => return,
        };
        self.warn(place.line, span, kind);
    }

    fn include(
        &mut self,
        place: &Place<'_>,
        statement: &Statement,
        conditions: &Conditions,
    ) -> Result<(), Malformed> {
        for word in &statement.arguments {
            let refuse = |kind| {
                Err(Malformed {
                    span: word.span,
                    kind,
                })
            };
            if word.text.is_empty() {
                return refuse(ErrorKind::MissingArgument {
                    keyword: "Include",
                    expected: "names of files".to_owned(),
                });
            }
            if place.depth >= DEPTH_LIMIT {
                return refuse(ErrorKind::IncludeDepth(DEPTH_LIMIT));
            }
            let files = match self.includes.resolve(&word.text) {
                Ok(files) => files,
                Err(kind) => return refuse(kind),
            };
            for IncludedFile { name, text } in files {
                self.included = self.included.saturating_add(1);
                if self.included > COUNT_LIMIT {
                    return refuse(ErrorKind::IncludeCount(COUNT_LIMIT));
                }
                self.text(&text, &name, place.depth.saturating_add(1), conditions);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
