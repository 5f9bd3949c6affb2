//! `/etc/ssh/sshd_config`, see sshd_config(5).
//!
//! [`load`] reads a file and what it includes for a server that obeys it; [`read`] reads it to show what it says. Match
//! blocks are evaluated for a connection by [`Configuration::effective`]. Both report **all** errors of a run, each with
//! file, line, column and a marker, and warnings for what has no effect. Of a keyword that occurs more than once the first
//! value counts, unless it is one that collects, as sshd-privsep_config(5) has it.
//!
//! ```text
//!  text ── lexer ──▶ statement ── keywords ──▶ setting ──▶ Configuration ── effective(Criteria) ──▶ SshdConfig
//!            │                       │            │              ▲                                     │
//!            └───────────────────────┴────────────┴──▶ report    matching (Match)                      └──▶ print (-T)
//! ```

mod address;
mod algorithms;
mod config;
mod configuration;
mod consistency;
mod include;
mod keywords;
mod lexer;
pub mod listening;
mod matching;
mod offers;
mod parser;
mod print;
mod report;
mod setting;
mod values;

pub use address::{AddressError, AddressList};
pub use algorithms::{AlgorithmList, Offered, Range};
pub use config::{DEFAULT_HOST_KEYS, FALLBACK_HOST_KEY, HostKeys, SshdConfig, WorkerPool};
pub use configuration::{Configuration, Effective};
pub use include::{FileSystem, IncludedFile, Includes, NoFiles};
pub use keywords::{KeywordSupport, OWN_KEYWORDS, OwnKeyword, Support, support};
pub use matching::{Account, COMPATIBLE_RELEASE, Criteria, CriteriaError, MatchError};
pub use offers::{Offers, PamService};
pub use parser::{DEFAULT_FILE, OWN_FILE, load, read, read_text};
pub use print::Explained;
pub use report::{Error, ErrorKind, Errors, Location, Warning, WarningKind};
pub use values::*;
