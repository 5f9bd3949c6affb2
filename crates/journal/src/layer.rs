//! From `tracing` to entries: which events pass, and which fields they carry.

use crate::datagram::{Datagram, VALUE_LIMIT, truncate};
use crate::facility::Facility;
use crate::fields::journal_name;
use crate::message_id;
use crate::priority::Priority;
use crate::socket::{Socket, connect};
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::subscriber::{SetGlobalDefaultError, set_global_default};
use tracing::{Event, Level, Metadata, Span, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;

pub use tracing::level_filters::LevelFilter;

/// `SYSLOG_IDENTIFIER=`: what fail2ban, logwatch and people's fingers look for.
const SYSLOG_IDENTIFIER: &str = "sshd";

/// The same for the SFTP server, as OpenSSH's has it.
const SFTP_IDENTIFIER: &str = "internal-sftp";

/// How many fields one span or event may have; more are not kept.
const FIELDS_LIMIT: usize = 32;

/// The crates whose events pass at the configured level. Of every other library only warnings and errors do: what HTTP/2
/// or D-Bus libraries say at lower levels is long, and may contain what went through them.
const OURS: &[&str] = &[
    "accounts",
    "cli",
    "config",
    "journal",
    "monitor",
    "pam_sshd_privsep",
    "preauth",
    "rpc",
    "sandbox",
    "session",
    "sftp",
    "transport",
    "wire",
    "wtmpdb",
];

/// Which of the server's processes speaks: `SSHD_ROLE=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The parent of a second instance's monitor.
    Launcher,
    /// The process that decides.
    Monitor,
    /// The caged process that speaks SSH.
    Preauth,
    /// The process with the user's identity.
    Session,
    /// The process with a PAM conversation.
    Pam,
    /// The process that serves a user's files.
    Sftp,
    /// The process that records logins.
    Accounting,
    /// The process that records them in the database of wtmpdb(8), too.
    Wtmpdb,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Launcher => "launcher",
            Self::Monitor => "monitor",
            Self::Preauth => "preauth",
            Self::Session => "session",
            Self::Pam => "pam",
            Self::Sftp => "sftp",
            Self::Accounting => "accounting",
            Self::Wtmpdb => "wtmpdb",
        }
    }

    fn syslog_identifier(self) -> &'static str {
        match self {
            Self::Sftp => SFTP_IDENTIFIER,
            Self::Launcher
            | Self::Monitor
            | Self::Preauth
            | Self::Session
            | Self::Pam
            | Self::Accounting
            | Self::Wtmpdb => SYSLOG_IDENTIFIER,
        }
    }
}

/// Who writes the entries of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The process's part in the server.
    pub role: Role,
    /// SyslogFacility.
    pub facility: Facility,
}

impl Identity {
    /// The identity of a process of the server.
    #[must_use]
    pub fn of(role: Role) -> Self {
        let facility = Facility::default();
        Self { role, facility }
    }

    /// The same with another facility.
    #[must_use]
    pub fn facility(self, facility: Facility) -> Self {
        Self { facility, ..self }
    }
}

/// Where the events of a process go.
#[derive(Debug)]
pub enum Destination {
    /// To a socket made by [`connect`](crate::connect), here or by the process that handed it over.
    Journal(OwnedFd),
    /// To standard error, for systemd: lines with the priority in the form `<6>`, see sd-daemon(3), and all fields.
    Daemon,
    /// To standard error, for people: `sshd -e`. Messages alone, as sshd writes them.
    Terminal,
}

impl Destination {
    /// The journal, or standard error if there is none.
    #[must_use]
    pub fn journal() -> Self {
        connect().map_or(Self::Daemon, Self::Journal)
    }
}

/// Makes `destination` the place where this process's events go.
///
/// `level` is the lowest level that is written; spans always count, so that an error has its connection's fields also
/// when only errors are written.
///
/// # Errors
///
/// If the process has a global subscriber already.
pub fn init(
    destination: Destination,
    identity: Identity,
    level: LevelFilter,
) -> Result<Threshold, SetGlobalDefaultError> {
    let layer = Layer::new(destination, identity).level(level);
    let (layer, handle) = reload::Layer::new(layer);
    set_global_default(tracing_subscriber::registry().with(layer))?;
    Ok(Threshold(handle))
}

/// The lowest level that this process writes, and its facility, which a reload of the configuration may change.
#[derive(Debug, Clone)]
pub struct Threshold(reload::Handle<Layer, Registry>);

impl Threshold {
    /// Sets it, for the events of all threads from now on.
    pub fn set(&self, level: LevelFilter) {
        // Fails only where there is no subscriber any more.
        drop(self.0.modify(|layer| layer.level = level));
    }

    /// Sets the facility of all entries from now on.
    pub fn set_facility(&self, facility: Facility) {
        drop(self.0.modify(|layer| layer.identity.facility = facility));
    }
}

/// The field of a span that is not written: it is the lowest level of the events within, instead of the process's.
const LEVEL_FIELD: &str = "log_level";

/// Sets the lowest level that is written of the events within a span, from now on. The span must have a field `log_level`
/// ([`tracing::field::Empty`] to begin with).
pub fn set_level(span: &Span, level: LevelFilter) {
    span.record(LEVEL_FIELD, level.to_string());
}

/// The level of a span that was given one.
struct SpanLevel(LevelFilter);

/// A layer for [`tracing_subscriber::Registry`] that writes each event as one journal entry.
///
/// An event has its own fields, those of the spans it happens in (the inner one's value counts), `PRIORITY=` by its level
/// or by its field `priority` (`"notice"`), and `MESSAGE_ID=` by its field `message_id` (a constant of [`message_id`]).
#[derive(Debug)]
pub struct Layer {
    sink: Sink,
    identity: Identity,
    level: LevelFilter,
}

#[derive(Debug)]
enum Sink {
    Journal(Socket),
    Daemon,
    Terminal,
}

impl Layer {
    /// Writes to `destination`.
    #[must_use]
    pub fn new(destination: Destination, identity: Identity) -> Self {
        Self {
            sink: match destination {
                Destination::Journal(socket) => Sink::Journal(Socket::new(socket)),
                Destination::Daemon => Sink::Daemon,
                Destination::Terminal => Sink::Terminal,
            },
            identity,
            level: LevelFilter::INFO,
        }
    }

    /// Sets the lowest level that is written; `INFO` if it is not called.
    #[must_use]
    pub fn level(self, level: LevelFilter) -> Self {
        Self { level, ..self }
    }

    fn passes(&self, metadata: &Metadata<'_>, level: impl FnOnce() -> LevelFilter) -> bool {
        match (metadata.is_span(), is_ours(metadata)) {
            // An error must carry its connection, whatever the level; spans of libraries have nothing for us.
            (true, ours) => ours && *metadata.level() <= Level::INFO,
            (false, true) => *metadata.level() <= level(),
            (false, false) => *metadata.level() <= self.level.min(LevelFilter::WARN),
        }
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    OURS.contains(&krate)
}

/// The level of the innermost span around that was given one.
fn level_around<S>(context: &Context<'_, S>) -> Option<LevelFilter>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    context.lookup_current()?.scope().find_map(|span| {
        let extensions = span.extensions();
        extensions.get().map(|SpanLevel(level)| *level)
    })
}

/// Takes what was recorded of a span's level out of its fields, and gives it to the span.
fn take_level<S>(context: &Context<'_, S>, id: &Id)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(span) = context.span(id) else {
        return;
    };
    let mut extensions = span.extensions_mut();
    let recorded = extensions
        .get_mut::<Values>()
        .and_then(|values| values.take(LEVEL_FIELD));
    if let Some(level) = recorded.and_then(|text| text.parse().ok()) {
        extensions.replace(SpanLevel(level));
    }
}

impl<S> tracing_subscriber::Layer<S> for Layer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match (
            metadata.is_event() && is_ours(metadata),
            self.passes(metadata, || self.level),
        ) {
            // That depends on where it happens.
            (true, _) => Interest::sometimes(),
            (false, true) => Interest::always(),
            (false, false) => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.passes(metadata, || level_around(&context).unwrap_or(self.level))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // A span may be given any level. What libraries say below theirs is turned down once, at registration.
        Some(LevelFilter::TRACE)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut values = Values::default();
            attributes.record(&mut values);
            span.extensions_mut().insert(values);
        }
        take_level(&context, id);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(values) = span.extensions_mut().get_mut::<Values>()
        {
            record.record(values);
        }
        take_level(&context, id);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Values::default();
        if let Some(scope) = context.event_scope(event) {
            for span in scope.from_root() {
                if let Some(values) = span.extensions().get::<Values>() {
                    fields.inherit(values);
                }
            }
        }
        let mut own = Values::default();
        event.record(&mut own);
        let message = own.take("message").unwrap_or_default();
        let priority = own
            .take("priority")
            .and_then(|name| Priority::parse(&name))
            .unwrap_or_else(|| Priority::of_level(*event.metadata().level()));
        let message_id = own
            .take("message_id")
            .filter(|id| message_id::is_well_formed(id));
        fields.inherit(&own);
        let entry = Entry {
            metadata: event.metadata(),
            priority,
            message,
            message_id,
            fields,
        };
        match &self.sink {
            Sink::Journal(socket) => socket.send(entry.datagram(self.identity)),
            Sink::Daemon => print(&entry.lines()),
            Sink::Terminal => print(&entry.plain_lines()),
        }
    }
}

/// One event with everything it inherited.
struct Entry {
    metadata: &'static Metadata<'static>,
    priority: Priority,
    message: String,
    message_id: Option<String>,
    fields: Values,
}

impl Entry {
    fn datagram(&self, identity: Identity) -> Datagram {
        let mut datagram = Datagram::new();
        datagram.field("MESSAGE", &format!("{}{}", self.level(), self.message));
        datagram.field("PRIORITY", self.priority.digit().encode_utf8(&mut [0; 4]));
        datagram.field("SYSLOG_IDENTIFIER", identity.role.syslog_identifier());
        let facility = identity.facility.code().to_string();
        datagram.field("SYSLOG_FACILITY", &facility);
        datagram.field("SSHD_ROLE", identity.role.name());
        if let Some(id) = &self.message_id {
            datagram.field("MESSAGE_ID", id);
        }
        for (name, value) in &self.fields.0 {
            datagram.field(&journal_name(name), value);
        }
        // Where a line comes from interests who looks for a mistake; for the others it is noise that changes with each
        // version.
        if *self.metadata.level() >= Level::DEBUG {
            if let Some(file) = self.metadata.file() {
                datagram.field("CODE_FILE", file);
            }
            if let Some(line) = self.metadata.line() {
                datagram.field("CODE_LINE", &line.to_string());
            }
        }
        datagram
    }

    /// `<6>message conn=…`; further lines of the message are indented, so that none of them looks like an entry.
    fn lines(&self) -> String {
        let priority = self.priority.digit();
        let mut text = format!("<{priority}>");
        for (name, value) in std::iter::once(("", self.message.as_str())).chain(self.fields.iter())
        {
            if !name.is_empty() {
                text.push(' ');
                text.push_str(name);
                text.push('=');
            }
            for (at, line) in value.split('\n').enumerate() {
                if at > 0 {
                    text.push_str("\n<");
                    text.push(priority);
                    text.push_str(">    ");
                }
                text.push_str(line);
            }
        }
        text.push('\n');
        text
    }

    /// `error: message`, with the ends of lines that sshd writes: a terminal in raw mode shows them right. Further lines
    /// of the message are indented, as above.
    fn plain_lines(&self) -> String {
        let message = self.message.replace('\n', "\r\n    ");
        format!("{}{message}\r\n", self.level())
    }

    /// What sshd writes before a message. The priority says it, too, but rules of fail2ban, logcheck or Wazuh are for whole
    /// lines, as in `^error: maximum authentication attempts exceeded`.
    fn level(&self) -> &'static str {
        match self.priority {
            Priority::Emergency | Priority::Alert | Priority::Critical => "fatal: ",
            Priority::Error => "error: ",
            Priority::Debug if *self.metadata.level() == Level::TRACE => "debug1: ",
            Priority::Warning | Priority::Notice | Priority::Info | Priority::Debug => "",
        }
    }
}

fn print(lines: &str) {
    // Nobody is left to be told that standard error is gone.
    drop(std::io::stderr().write_all(lines.as_bytes()));
}

/// The fields of one span or event: names from the source, values as text, each name once.
#[derive(Debug, Default)]
struct Values(Vec<(&'static str, String)>);

impl Values {
    fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    fn set(&mut self, name: &'static str, value: String) {
        if let Some((_, present)) = self.0.iter_mut().find(|(present, _)| *present == name) {
            *present = value;
        } else if self.0.len() < FIELDS_LIMIT {
            self.0.push((name, value));
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(present, _)| *present == name)?;
        Some(self.0.remove(at).1)
    }

    fn inherit(&mut self, other: &Self) {
        for (name, value) in &other.0 {
            self.set(name, value.clone());
        }
    }

    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let mut text = Bounded(String::new());
        if text.write_fmt(value).is_err() {
            text.0.push('…');
        }
        self.set(field.name(), text.0);
    }
}

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        self.write(field, format_args!("{text}"));
    }
}

/// Text that stops growing at [`VALUE_LIMIT`] and has no control characters but line feed and tab.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Room for one mark of truncation.
        let room = (VALUE_LIMIT - '…'.len_utf8()).saturating_sub(self.0.len());
        let fitting = truncate(text, room);
        if fitting.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.0.push_str(fitting);
        } else {
            for c in fitting.chars() {
                self.push(c);
            }
        }
        if fitting.len() < text.len() || self.0.len() > VALUE_LIMIT - '…'.len_utf8() {
            self.0
                .truncate(self.0.floor_char_boundary(VALUE_LIMIT - '…'.len_utf8()));
            return Err(fmt::Error);
        }
        Ok(())
    }
}

impl Bounded {
    fn push(&mut self, c: char) {
        // The marks that turn the direction of writing can make a line read as another one.
        let harmful = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || (c.is_control() && c != '\n' && c != '\t');
        if harmful {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                self.0.push_str(&format!("\\{byte:03o}"));
            }
        } else {
            self.0.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
    use tracing::{debug, error, info, info_span, trace, warn};

    /// Runs `events` with a layer on a socket and returns the datagrams that the other end received.
    fn entries(level: LevelFilter, events: impl FnOnce()) -> Vec<Vec<u8>> {
        let (ours, journald) = socketpair(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let layer =
            Layer::new(Destination::Journal(ours), Identity::of(Role::Monitor)).level(level);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
        let mut received = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while let Ok((length, _)) = recv(&journald, &mut buffer, RecvFlags::DONTWAIT) {
            if length == 0 {
                break;
            }
            received.push(buffer[..length].to_vec());
        }
        received
    }

    fn text(entry: &[u8]) -> &str {
        std::str::from_utf8(entry).unwrap()
    }

    #[test]
    fn a_span_can_be_told_how_much_is_written_of_what_happens_within() {
        let got = entries(LevelFilter::INFO, || {
            let span = info_span!("connection", conn = "1", log_level = tracing::field::Empty);
            let other = info_span!("connection", conn = "2", log_level = "error");
            let _inside = span.enter();
            debug!("not yet");
            set_level(&span, LevelFilter::DEBUG);
            debug!("now");
            other.in_scope(|| info!("not there"));
            other.in_scope(|| error!("there too"));
            set_level(&span, LevelFilter::OFF);
            error!("not any more");
        });
        let lines: Vec<&str> = got.iter().map(|entry| text(entry)).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("MESSAGE=now\n"));
        assert!(lines[1].contains("MESSAGE=error: there too\n"));
        assert!(
            !lines
                .iter()
                .any(|line| line.to_lowercase().contains("log_level"))
        );
    }

    #[test]
    fn an_event_becomes_one_entry() {
        let got = entries(LevelFilter::INFO, || {
            info!(user = "alice", exit_status = 3, "Accepted")
        });
        assert_eq!(got.len(), 1);
        assert_eq!(
            text(&got[0]),
            "MESSAGE=Accepted\nPRIORITY=6\nSYSLOG_IDENTIFIER=sshd\nSYSLOG_FACILITY=4\nSSHD_ROLE=monitor\n\
             SSHD_USER=alice\nSSHD_EXIT_STATUS=3\n"
        );
    }

    #[test]
    fn every_event_in_a_span_has_the_spans_fields_and_the_innermost_value_counts() {
        let got = entries(LevelFilter::ERROR, || {
            let conn = info_span!(
                "conn",
                conn = "c1",
                peer = "192.0.2.1",
                user = tracing::field::Empty
            )
            .entered();
            conn.record("user", "bob");
            let _inner = info_span!("auth", peer = "192.0.2.2").entered();
            error!(conn = "c2", "no");
        });
        let entry = text(&got[0]);
        assert!(
            entry.contains("\nSSHD_CONN=c2\nSSHD_PEER=192.0.2.2\nSSHD_USER=bob\n"),
            "{entry}"
        );
        assert_eq!(entry.matches("SSHD_CONN").count(), 1);
    }

    #[test]
    fn a_hostile_line_feed_forges_no_field() {
        let got = entries(LevelFilter::INFO, || {
            info!(user = "x\nMESSAGE_ID=0", "hi\nPRIORITY=0")
        });
        let expected: &[u8] = b"MESSAGE\n\x0d\0\0\0\0\0\0\0hi\nPRIORITY=0\nPRIORITY=6\n";
        assert!(
            got[0].starts_with(expected),
            "{:?}",
            got[0].escape_ascii().to_string()
        );
        let user: &[u8] = b"\nSSHD_USER\n\x0e\0\0\0\0\0\0\0x\nMESSAGE_ID=0\n";
        assert!(got[0].windows(user.len()).any(|window| window == user));
    }

    #[test]
    fn control_characters_are_escaped_although_nobody_asked() {
        let got = entries(LevelFilter::INFO, || {
            info!("a\x1b[2Jb\u{202e}c\rd\0e\u{85}f\tg")
        });
        assert!(
            text(&got[0])
                .starts_with("MESSAGE=a\\033[2Jb\\342\\200\\256c\\015d\\000e\\302\\205f\tg\n")
        );
    }

    #[test]
    fn priority_comes_from_the_level_or_from_the_event() {
        let got = entries(LevelFilter::TRACE, || {
            error!("e");
            warn!("w");
            debug!("d");
            trace!("t");
            info!(priority = "notice", "n");
            info!(priority = "7\nX=1", "i");
        });
        let priorities: Vec<&str> = got
            .iter()
            .filter_map(|entry| {
                text(entry)
                    .lines()
                    .find_map(|line| line.strip_prefix("PRIORITY="))
            })
            .collect();
        assert_eq!(priorities, ["3", "4", "6", "7", "5", "6"]);
    }

    #[test]
    fn only_debug_entries_tell_the_source_line() {
        let got = entries(LevelFilter::DEBUG, || {
            debug!("d");
            info!("i");
        });
        assert!(text(&got[0]).contains("\nCODE_FILE=") && text(&got[0]).contains("\nCODE_LINE="));
        assert!(!text(&got[1]).contains("CODE_"));
    }

    #[test]
    fn a_message_id_is_taken_only_if_it_is_one() {
        let got = entries(LevelFilter::INFO, || {
            info!(message_id = message_id::ACCEPTED, "a");
            info!(message_id = "nonsense", "b");
        });
        assert!(text(&got[0]).contains(&format!("\nMESSAGE_ID={}\n", message_id::ACCEPTED)));
        assert!(!text(&got[1]).contains("nonsense"));
    }

    #[test]
    fn libraries_are_heard_only_when_they_warn() {
        let got = entries(LevelFilter::DEBUG, || {
            info!(target: "h2::codec", "frame");
            debug!(target: "monitorish", "x");
            warn!(target: "h2::codec", "bad");
        });
        assert_eq!(got.len(), 1);
        assert!(text(&got[0]).starts_with("MESSAGE=bad\n"));
    }

    #[test]
    fn an_optional_field_that_is_none_is_not_written() {
        let got = entries(LevelFilter::INFO, || info!(suppressed = None::<u64>, "x"));
        assert!(!text(&got[0]).contains("SUPPRESSED"));
    }

    #[test]
    fn a_full_journal_loses_entries_without_blocking_and_says_so() {
        let (ours, journald) = socketpair(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let layer = Layer::new(Destination::Journal(ours), Identity::of(Role::Preauth));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for _ in 0..10_000 {
                info!("{}", "x".repeat(1000));
            }
            let mut buffer = vec![0; 64 * 1024];
            let mut received = 0_u64;
            while recv(&journald, &mut buffer, RecvFlags::DONTWAIT).is_ok() {
                received += 1;
            }
            assert!(received < 10_000);
            info!("again");
            let (length, _) = recv(&journald, &mut buffer, RecvFlags::DONTWAIT).unwrap();
            let expected = format!("\nSSHD_ENTRIES_LOST={}\n", 10_000 - received);
            assert!(text(&buffer[..length]).ends_with(&expected));
        });
    }

    #[test]
    fn a_value_that_never_ends_is_cut() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("\u{1}é")?;
                }
            }
        }
        let got = entries(LevelFilter::INFO, || info!(reason = %Endless, "x"));
        assert!(got[0].len() < VALUE_LIMIT + 200);
        assert!(text(&got[0]).ends_with("…\n"));
    }

    fn entry(level: Level, message: &str) -> Entry {
        macro_rules! metadata {
            ($level:expr) => {{
                static CALLSITE: tracing::callsite::DefaultCallsite =
                    tracing::callsite::DefaultCallsite::new(&META);
                static META: Metadata<'static> = tracing::metadata! {
                    name: "test", target: "journal", level: $level, fields: &[], callsite: &CALLSITE,
                    kind: tracing::metadata::Kind::EVENT
                };
                &META
            }};
        }
        Entry {
            metadata: match level {
                Level::TRACE => metadata!(Level::TRACE),
                _ => metadata!(Level::INFO),
            },
            priority: Priority::of_level(level),
            message: message.to_owned(),
            message_id: None,
            fields: Values::default(),
        }
    }

    #[test]
    fn lines_for_systemd_begin_with_the_priority_and_cannot_be_forged() {
        let mut entry = entry(Level::INFO, "Accepted\n<0>forged");
        entry.fields.set("user", "a\n<0>x".to_owned());
        assert_eq!(
            entry.lines(),
            "<6>Accepted\n<6>    <0>forged user=a\n<6>    <0>x\n"
        );
    }

    #[test]
    fn lines_for_people_are_those_of_sshd() {
        let plain = |level, message: &str| entry(level, message).plain_lines();
        assert_eq!(plain(Level::ERROR, "no"), "error: no\r\n");
        assert_eq!(plain(Level::WARN, "a\nb"), "a\r\n    b\r\n");
        assert_eq!(plain(Level::INFO, "yes"), "yes\r\n");
        assert_eq!(plain(Level::DEBUG, "more"), "more\r\n");
        assert_eq!(plain(Level::TRACE, "all"), "debug1: all\r\n");
        let mut last = entry(Level::ERROR, "end");
        last.priority = Priority::Critical;
        assert_eq!(last.plain_lines(), "fatal: end\r\n");
    }

    #[test]
    fn the_threshold_can_be_moved_while_events_come() {
        let (ours, journald) = socketpair(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        let layer = Layer::new(Destination::Journal(ours), Identity::of(Role::Monitor));
        let (layer, handle) = reload::Layer::new(layer);
        let threshold = Threshold(handle);
        let written = || {
            // One place in the source: what tracing remembers of it must be forgotten.
            debug!("x");
            recv(&journald, &mut [0; 1024], RecvFlags::empty()).is_ok()
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let before = written();
            threshold.set(LevelFilter::DEBUG);
            let lowered = written();
            threshold.set(LevelFilter::ERROR);
            assert_eq!((before, lowered, written()), (false, true, false));
        });
    }
}
