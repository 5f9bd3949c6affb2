//! From lines to a configuration.

use super::algorithms::Offered;
use super::include::{FileSystem, IncludedFile, Includes, read};
use super::keywords::{self, Keyword, Occurrence, State};
use super::lexer::{self, Line, Malformed, Span, Statement};
use super::report::{Error, ErrorKind, Errors, Warning, WarningKind};
use super::settings::{Arguments, Setter};
use super::{Loaded, SshdConfig};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// How deep Includes may be nested, as in OpenSSH.
const DEPTH_LIMIT: usize = 16;

/// How many files may be included altogether: nested patterns multiply.
const COUNT_LIMIT: usize = 256;

/// Reads a configuration file and what it includes.
///
/// # Errors
///
/// Everything that is wrong, in the order of the text. The caller keeps the configuration it has.
pub fn load(path: &Path, offered: &Offered<'_>) -> Result<Loaded, Errors> {
    let text = read(path).map_err(|kind| {
        Errors(vec![Error {
            location: None,
            kind,
        }])
    })?;
    parse(&text, &path.display().to_string(), &FileSystem, offered)
}

/// Reads a configuration from text. `file` is its name in messages.
///
/// # Errors
///
/// As [`load`].
pub fn parse(
    text: &str,
    file: &str,
    includes: &dyn Includes,
    offered: &Offered<'_>,
) -> Result<Loaded, Errors> {
    let mut parser = Parser {
        offered,
        includes,
        config: SshdConfig::blank(offered),
        seen: BTreeSet::new(),
        included: 0,
        errors: Vec::new(),
        warnings: Vec::new(),
        pool: None,
    };
    parser.file(text, file, 0);
    parser.check_together();
    if !parser.errors.is_empty() {
        return Err(Errors(parser.errors));
    }
    parser.config.fill_in();
    Ok(Loaded {
        config: parser.config,
        warnings: parser.warnings,
    })
}

struct Parser<'a> {
    offered: &'a Offered<'a>,
    includes: &'a dyn Includes,
    config: SshdConfig,
    seen: BTreeSet<&'static str>,
    included: usize,
    errors: Vec<Error>,
    warnings: Vec<Warning>,
    /// Where the size of the pool was last set, to blame it if the sizes do not fit together.
    pool: Option<(Line, Span)>,
}

/// Whether lines count, or stand below a Match that this version cannot evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Global,
    Match,
}

impl Parser<'_> {
    fn file(&mut self, text: &str, file: &str, depth: usize) {
        let file: Arc<str> = file.into();
        let mut section = Section::Global;
        for (at, text) in text.split('\n').enumerate() {
            let text = text.strip_suffix('\r').unwrap_or(text).to_owned();
            let line = Line {
                file: Arc::clone(&file),
                number: at.saturating_add(1),
                text,
            };
            match lexer::split(&line.text) {
                Ok(None) => {}
                Ok(Some(statement)) => {
                    if let Err(malformed) = self.statement(&line, &statement, &mut section, depth) {
                        self.errors.push(line.error(malformed.span, malformed.kind));
                    }
                }
                Err(malformed) => self.errors.push(line.error(malformed.span, malformed.kind)),
            }
        }
    }

    fn statement(
        &mut self,
        line: &Line,
        statement: &Statement,
        section: &mut Section,
        depth: usize,
    ) -> Result<(), Malformed> {
        let at = statement.keyword.span;
        let Some(row) = keywords::find(&statement.keyword.text) else {
            let keyword = statement.keyword.text.clone();
            let suggestion = keywords::suggestion(&keyword);
            return Err(Malformed {
                span: at,
                kind: ErrorKind::UnknownKeyword {
                    keyword,
                    suggestion,
                },
            });
        };
        let keyword = row.name;
        // Every keyword has a value, also those that are not obeyed.
        if statement.arguments.is_empty() {
            return Err(Malformed {
                span: at,
                kind: ErrorKind::MissingArgument {
                    keyword,
                    expected: "see sshd_config(5)",
                },
            });
        }
        let remark = match row.state {
            State::Active(set, occurrence) => {
                return self.set(line, statement, row, set, occurrence, *section);
            }
            State::Include => return self.include(statement, depth),
            State::Match => {
                *section = Section::Match;
                let why = "its block would hold for nobody, or for everybody";
                return Err(Malformed {
                    span: at,
                    kind: ErrorKind::Refused { keyword, why },
                });
            }
            // What it says happens anyway.
            _ if is_neutral(row, statement) => return Ok(()),
            State::Refused(why) => {
                return Err(Malformed {
                    span: at,
                    kind: ErrorKind::Refused { keyword, why },
                });
            }
            State::NoEffect(why) => WarningKind::NoEffect { keyword, why },
            State::NotYet(why) => WarningKind::NotYet { keyword, why },
            // `find` resolves old names.
            State::Deprecated | State::OldNameOf(_) => WarningKind::Deprecated { keyword },
        };
        self.warnings.push(Warning {
            location: line.at(at),
            kind: remark,
        });
        Ok(())
    }

    fn set(
        &mut self,
        line: &Line,
        statement: &Statement,
        row: &'static Keyword,
        set: Setter,
        occurrence: Occurrence,
        section: Section,
    ) -> Result<(), Malformed> {
        let span = statement.keyword.span;
        let mut arguments = Arguments::new(
            row.name,
            span,
            &statement.arguments,
            &statement.tail,
            self.offered,
        );
        let counts = section == Section::Global
            && (occurrence == Occurrence::Each || self.seen.insert(row.name));
        if counts {
            set(&mut self.config, &mut arguments)?;
        } else {
            // A value that does not count must be right all the same.
            set(&mut SshdConfig::blank(self.offered), &mut arguments)?;
        }
        arguments.finish()?;
        if counts {
            let warnings = std::mem::take(&mut arguments.warnings);
            self.warnings
                .extend(warnings.into_iter().map(|(span, kind)| Warning {
                    location: line.at(span),
                    kind,
                }));
            if row.name.starts_with("WorkerPool") {
                self.pool = Some((line.clone(), span));
            }
        }
        Ok(())
    }

    fn include(&mut self, statement: &Statement, depth: usize) -> Result<(), Malformed> {
        for word in &statement.arguments {
            let refuse = |kind| {
                Err(Malformed {
                    span: word.span,
                    kind,
                })
            };
            if depth >= DEPTH_LIMIT {
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
                self.file(&text, &name, depth.saturating_add(1));
            }
        }
        Ok(())
    }

    /// Checks what no line alone can show.
    fn check_together(&mut self) {
        let pool = self.config.worker_pool;
        if pool.idle > pool.max
            && let Some((line, span)) = &self.pool
        {
            let kind = ErrorKind::PoolSizes {
                idle: pool.idle,
                max: pool.max,
            };
            self.errors.push(line.error(*span, kind));
        }
    }
}

fn is_neutral(row: &Keyword, statement: &Statement) -> bool {
    let words: Vec<String> = statement
        .arguments
        .iter()
        .map(|word| word.text.to_ascii_lowercase())
        .collect();
    row.neutral.contains(&words.join(" ").as_str())
}

#[cfg(test)]
mod tests;
