//! The keywords that are obeyed: one function each, from the words of a line to a value.

use super::SshdConfig;
use super::algorithms::{self, AlgorithmList, Offered, Range};
use super::lexer::{Malformed, Span, Word};
use super::report::{ErrorKind, WarningKind};
use super::values::{self, AuthorizedKeysFile, RekeyLimit, Subsystem, YesNo};
use crate::pattern::Pattern;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Reads the values of one line into the configuration.
pub(crate) type Setter = for<'a> fn(&mut SshdConfig, &mut Arguments<'a>) -> Result<(), Malformed>;

/// The values of one line, and what reading them needs.
pub(crate) struct Arguments<'a> {
    keyword: &'static str,
    keyword_span: Span,
    words: &'a [Word],
    next: usize,
    tail: &'a Word,
    offered: &'a Offered<'a>,
    pub(crate) warnings: Vec<(Span, WarningKind)>,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(
        keyword: &'static str,
        keyword_span: Span,
        words: &'a [Word],
        tail: &'a Word,
        offered: &'a Offered<'a>,
    ) -> Self {
        Self {
            keyword,
            keyword_span,
            words,
            next: 0,
            tail,
            offered,
            warnings: Vec::new(),
        }
    }

    /// The next word; an error if there is none.
    pub(crate) fn word(&mut self, expected: &'static str) -> Result<&'a Word, Malformed> {
        self.optional()
            .filter(|word| !word.text.is_empty())
            .ok_or(Malformed {
                span: self.keyword_span,
                kind: ErrorKind::MissingArgument {
                    keyword: self.keyword,
                    expected,
                },
            })
    }

    fn optional(&mut self) -> Option<&'a Word> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// The next word, read by `read`.
    fn value<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Malformed> {
        let word = self.word(expected)?;
        read(&word.text).ok_or_else(|| self.bad(word, expected))
    }

    fn bad(&self, word: &Word, expected: impl Into<String>) -> Malformed {
        Malformed {
            span: word.span,
            kind: ErrorKind::BadValue {
                keyword: self.keyword,
                value: word.text.clone(),
                expected: expected.into(),
            },
        }
    }

    fn integer(&mut self, range: RangeInclusive<u32>) -> Result<u32, Malformed> {
        let word = self.word("a number")?;
        values::number(&word.text)
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.bad(
                    word,
                    format!("a number from {} to {}", range.start(), range.end()),
                )
            })
    }

    fn yes_no(&mut self) -> Result<YesNo, Malformed> {
        self.value("yes or no", values::yes_no)
    }

    fn time(&mut self) -> Result<Duration, Malformed> {
        self.value("a time such as 90, 5m or 1h30m", values::time)
    }

    fn algorithms(
        &mut self,
        offered: Range<'_>,
        openssh: &'static [&'static str],
    ) -> Result<AlgorithmList, Malformed> {
        let word = self.word("a list of algorithms")?;
        let (list, warnings) = algorithms::parse(self.keyword, &word.text, offered, openssh)
            .map_err(|kind| Malformed {
                span: word.span,
                kind,
            })?;
        self.warnings
            .extend(warnings.into_iter().map(|warning| (word.span, warning)));
        Ok(list)
    }

    /// To be called after the setter: every word must have been read.
    pub(crate) fn finish(&mut self) -> Result<(), Malformed> {
        match self.optional() {
            None => Ok(()),
            Some(word) => Err(Malformed {
                span: word.span,
                kind: ErrorKind::ExtraArgument {
                    keyword: self.keyword,
                },
            }),
        }
    }
}

type Outcome = Result<(), Malformed>;

pub(crate) fn accept_env(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    let mut word = arguments.word("names of environment variables")?;
    loop {
        if word.text.is_empty() || word.text.contains('=') {
            return Err(arguments.bad(word, "the name of an environment variable"));
        }
        config.accept_env.push(Pattern::new(&*word.text));
        match arguments.optional() {
            Some(next) => word = next,
            None => return Ok(()),
        }
    }
}

pub(crate) fn authorized_keys_file(
    config: &mut SshdConfig,
    arguments: &mut Arguments<'_>,
) -> Outcome {
    let mut files = Vec::new();
    let mut word = arguments.word("names of files")?;
    let mut none = None;
    loop {
        if word.text.eq_ignore_ascii_case("none") {
            none = Some(word);
        }
        match AuthorizedKeysFile::parse(&word.text) {
            Ok(file) if !word.text.is_empty() => files.push(file),
            Ok(_) => return Err(arguments.bad(word, "the name of a file")),
            Err(_) => {
                return Err(arguments.bad(word, "a file name with no tokens but %%, %h, %u and %U"));
            }
        }
        match arguments.optional() {
            Some(next) => word = next,
            None => break,
        }
    }
    if let Some(none) = none {
        if files.len() > 1 {
            return Err(arguments.bad(none, "the name of a file; \"none\" stands alone"));
        }
        files.clear();
    }
    config.authorized_keys_files = files;
    Ok(())
}

pub(crate) fn ca_signature_algorithms(
    config: &mut SshdConfig,
    arguments: &mut Arguments<'_>,
) -> Outcome {
    config.ca_signature_algorithms =
        arguments.algorithms(arguments.offered.authority, algorithms::SIGNATURES)?;
    Ok(())
}

pub(crate) fn ciphers(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.ciphers = arguments.algorithms(arguments.offered.ciphers, algorithms::CIPHERS)?;
    Ok(())
}

pub(crate) fn client_alive_count_max(
    config: &mut SshdConfig,
    arguments: &mut Arguments<'_>,
) -> Outcome {
    config.client_alive_count_max = arguments.integer(0..=0x7fff_ffff)?;
    Ok(())
}

pub(crate) fn client_alive_interval(
    config: &mut SshdConfig,
    arguments: &mut Arguments<'_>,
) -> Outcome {
    let interval = arguments.time()?;
    config.client_alive_interval = (!interval.is_zero()).then_some(interval);
    Ok(())
}

pub(crate) fn compression(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.compression = arguments.value("yes, delayed or no", values::compression)?;
    Ok(())
}

pub(crate) fn fingerprint_hash(_: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.value("sha256, which is the only one", |word| {
        word.eq_ignore_ascii_case("sha256").then_some(())
    })
}

pub(crate) fn host_certificate(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    const EXPECTED: &str = "the absolute path of a certificate file, or none";
    let path = arguments.value(EXPECTED, |word| {
        let none = word.eq_ignore_ascii_case("none");
        (none || word.starts_with('/')).then(|| (!none).then(|| PathBuf::from(word)))
    })?;
    config.host_certificates.extend(path);
    Ok(())
}

pub(crate) fn host_key(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    const EXPECTED: &str = "the absolute path of a private key file";
    let path = arguments.value(EXPECTED, |word| {
        word.starts_with('/').then(|| PathBuf::from(word))
    })?;
    if !config.host_keys.contains(&path) {
        config.host_keys.push(path);
    }
    Ok(())
}

pub(crate) fn host_key_algorithms(
    config: &mut SshdConfig,
    arguments: &mut Arguments<'_>,
) -> Outcome {
    config.host_key_algorithms =
        arguments.algorithms(arguments.offered.host_key, algorithms::SIGNATURES)?;
    Ok(())
}

pub(crate) fn kex_algorithms(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.kex_algorithms = arguments.algorithms(arguments.offered.kex, algorithms::KEX)?;
    Ok(())
}

pub(crate) fn log_level(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    const EXPECTED: &str = "QUIET, FATAL, ERROR, INFO, VERBOSE, DEBUG, DEBUG1, DEBUG2 or DEBUG3";
    config.log_level = arguments.value(EXPECTED, values::log_level)?;
    Ok(())
}

pub(crate) fn login_grace_time(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    let time = arguments.time()?;
    config.login_grace_time = (!time.is_zero()).then_some(time);
    Ok(())
}

pub(crate) fn macs(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.macs = arguments.algorithms(arguments.offered.macs, algorithms::MACS)?;
    Ok(())
}

pub(crate) fn max_auth_tries(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.max_auth_tries = arguments.integer(0..=0x7fff_ffff)?;
    Ok(())
}

pub(crate) fn max_sessions(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.max_sessions = arguments.integer(0..=0x7fff_ffff)?;
    Ok(())
}

pub(crate) fn max_startups(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    const EXPECTED: &str =
        "a number, or start:rate:full with 1 <= start <= full and a rate from 1 to 100";
    config.max_startups = arguments.value(EXPECTED, values::max_startups)?;
    Ok(())
}

pub(crate) fn permit_root_login(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    const EXPECTED: &str = "yes, no, prohibit-password or forced-commands-only";
    config.permit_root_login = arguments.value(EXPECTED, values::permit_root_login)?;
    Ok(())
}

pub(crate) fn permit_tty(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.permit_tty = arguments.yes_no()?;
    Ok(())
}

pub(crate) fn pubkey_accepted_algorithms(
    config: &mut SshdConfig,
    arguments: &mut Arguments<'_>,
) -> Outcome {
    config.pubkey_accepted_algorithms =
        arguments.algorithms(arguments.offered.pubkey, algorithms::SIGNATURES)?;
    Ok(())
}

pub(crate) fn pubkey_authentication(
    config: &mut SshdConfig,
    arguments: &mut Arguments<'_>,
) -> Outcome {
    config.pubkey_authentication = arguments.yes_no()?;
    Ok(())
}

pub(crate) fn rekey_limit(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    // OpenSSH refuses limits below 16 bytes too: a key exchange alone sends more.
    const EXPECTED: &str = "\"default\" or a number of bytes, at least 16, such as 1G";
    let bytes = arguments.value(EXPECTED, |word| {
        if word.eq_ignore_ascii_case("default") {
            return Some(None);
        }
        match values::size(word)? {
            0 => Some(None),
            1..16 => None,
            bytes => Some(Some(bytes)),
        }
    })?;
    let time = match arguments.optional() {
        None => None,
        Some(word) if word.text.eq_ignore_ascii_case("none") => None,
        Some(word) => {
            let time = values::time(&word.text)
                .ok_or_else(|| arguments.bad(word, "\"none\" or a time such as 1h30m"))?;
            (!time.is_zero()).then_some(time)
        }
    };
    config.rekey_limit = RekeyLimit { bytes, time };
    Ok(())
}

pub(crate) fn required_rsa_size(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    // Below 1024 bits OpenSSH does not go whatever is configured; above 16384 there are no keys.
    config.required_rsa_size = arguments.integer(1024..=16384)?;
    Ok(())
}

pub(crate) fn strict_modes(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.strict_modes = arguments.yes_no()?;
    Ok(())
}

pub(crate) fn subsystem(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    const EXPECTED: &str = "a name and a command";
    let name = arguments.word(EXPECTED)?;
    let first = arguments.word(EXPECTED)?;
    let mut last = first;
    while let Some(word) = arguments.optional() {
        last = word;
    }
    if config
        .subsystems
        .iter()
        .any(|known| known.name == name.text)
    {
        return Err(Malformed {
            span: name.span,
            kind: ErrorKind::DuplicateSubsystem {
                name: name.text.clone(),
            },
        });
    }
    // The command as it stands, with its quotes: the user's shell reads them.
    let start = first.span.start.saturating_sub(arguments.tail.span.start);
    let length = last.span.end.saturating_sub(first.span.start);
    let command = arguments
        .tail
        .text
        .chars()
        .skip(start)
        .take(length)
        .collect();
    config.subsystems.push(Subsystem {
        name: name.text.clone(),
        command,
    });
    Ok(())
}

pub(crate) fn use_pam(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.use_pam = arguments.yes_no()?;
    if config.use_pam == YesNo::No {
        const WHY: &str = "sessions are always opened through PAM; \"no\" only has locked accounts refused by their password field";
        arguments.warnings.push((
            arguments.keyword_span,
            WarningKind::NotYet {
                keyword: "UsePAM no",
                why: WHY,
            },
        ));
    }
    Ok(())
}

pub(crate) fn version_addendum(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.word("a text, or none")?;
    // The whole rest of the line, also what elsewhere would be a comment.
    arguments.next = arguments.words.len();
    let text = arguments.tail;
    // RFC 4253 section 4.2: the identification string has at most 255 characters and no control characters.
    if text.text.len() > 128 || !text.text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(arguments.bad(text, "a text of at most 128 printable ASCII characters"));
    }
    config.version_addendum = (!text.text.eq_ignore_ascii_case("none")).then(|| text.text.clone());
    Ok(())
}

pub(crate) fn worker_pool_idle(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.worker_pool.idle = arguments.integer(1..=64)?;
    Ok(())
}

pub(crate) fn worker_pool_max(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.worker_pool.max = arguments.integer(1..=65536)?;
    Ok(())
}

pub(crate) fn worker_start_rate(config: &mut SshdConfig, arguments: &mut Arguments<'_>) -> Outcome {
    config.worker_pool.start_rate = arguments.integer(1..=1000)?;
    Ok(())
}
