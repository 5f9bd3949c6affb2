//! The environment of programs, as sshd(8) describes it.
//!
//! From the weakest to the strongest: what the client sent and AcceptEnv lets through, what is known of the account and of
//! the terminal, what the user has set and PermitUserEnvironment lets through, what PAM gave this unit (less systemd's own
//! affairs; what systemd says to each unit pam_sshd_privsep(8) has taken away), SetEnv, what the server says about the
//! connection. With UsePAM off, what PAM gave is the weakest: sshd has no PAM then, and what somebody chose must count.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use rpc::lane::{LoginDetails, LoginProcess, Password};
use rpc::pam::Variable;
use rpc::session::ENVIRONMENT_LIMIT;
use rpc::{Endpoint, Endpoints};
use thiserror::Error;

use crate::{carried, glob};

/// Names that only the server sets. A client that could set them would choose what programs run, or would forge who the
/// client is.
const OURS: &[&str] = &[
    "USER", "LOGNAME", "HOME", "PATH", "SHELL", "MAIL", "SSH_*", "SSHD_*",
];

/// What systemd tells a unit about itself, and what belongs to this process alone (systemd.exec(5), "Environment variables
/// set or propagated by the service manager"). A program with NOTIFY_SOCKET, say, would report for this unit. Also what an
/// earlier login may have left: those describe another connection.
const NOT_INHERITED: &[&str] = &[
    "CACHE_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "EXIT_CODE",
    "EXIT_STATUS",
    "FDSTORE",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_*",
    "LOGS_DIRECTORY",
    "LOG_NAMESPACE",
    "MAINPID",
    "MANAGERPID",
    "MANAGERPIDFDID",
    "MEMORY_PRESSURE_*",
    "MONITOR_*",
    "NOTIFY_SOCKET",
    "PIDFILE",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "RUNTIME_DIRECTORY",
    "SERVICE_RESULT",
    "SSHD_*",
    "SSH_AUTH_INFO*",
    "SSH_CLIENT",
    "SSH_CONNECTION*",
    "SSH_ORIGINAL_COMMAND",
    "SSH_TTY",
    "SSH_TUNNEL",
    "SSH_USER_AUTH",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "TRIGGER_*",
    "WATCHDOG_*",
];

/// What systemd says of the account to each unit with `User=`. It says the same as this process, but what the user has set
/// would not count.
const ACCOUNTS: &[&str] = &["USER", "LOGNAME", "HOME", "SHELL"];

/// PATH of an account to which PAM gave none, as Debian builds sshd.
const USER_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/games";

/// PATH of root to which PAM gave none.
const SUPERUSER_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a client asked for that got a forced command instead.
pub(crate) const ORIGINAL_COMMAND: &str = "SSH_ORIGINAL_COMMAND";

/// The interfaces of the session's tunnels.
pub(crate) const TUNNEL: &str = "SSH_TUNNEL";

/// Most variables of one channel, as in OpenSSH, which begins to refuse when there are more than 128.
const CLIENT_VARIABLES_LIMIT: usize = 129;

/// Most bytes of names and values of one channel: one variable as long as execve(2) takes it, on the way to the program,
/// too. It has room for two megabytes in all.
const CLIENT_BYTES_LIMIT: usize = ENVIRONMENT_LIMIT - carried::PREFIX.len();

/// Whether the server keeps variables of this name for itself.
pub(crate) fn is_ours(name: &str) -> bool {
    listed(OURS, name)
}

fn listed(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| glob::matches(pattern, name))
}

/// What the client sent for one channel and the policy accepted.
#[derive(Debug, Default)]
pub(crate) struct ClientEnvironment {
    variables: BTreeMap<String, String>,
    bytes: usize,
}

/// The channel has as much environment as it may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl ClientEnvironment {
    /// Sets a variable; a later value replaces an earlier one.
    pub(crate) fn set(&mut self, name: String, value: String) -> Result<(), Full> {
        let replaced = self.variables.get(&name);
        let freed = replaced.map_or(0, |old| name.len().saturating_add(old.len()));
        let bytes = self
            .bytes
            .saturating_sub(freed)
            .saturating_add(name.len())
            .saturating_add(value.len());
        let is_new = replaced.is_none();
        if bytes > CLIENT_BYTES_LIMIT || (is_new && self.variables.len() >= CLIENT_VARIABLES_LIMIT)
        {
            return Err(Full);
        }
        self.bytes = bytes;
        self.variables.insert(name, value);
        Ok(())
    }
}

/// What PAM modules and systemd put into the environment of this unit, without their own affairs.
#[derive(Debug, Clone, Default)]
pub struct UnitEnvironment {
    given: BTreeMap<OsString, OsString>,
    /// Where the file is that tells how the user was authenticated, if there is one.
    user_auth: Option<OsString>,
}

/// What is known of the user's password: what the monitor says, and what pam_sshd_privsep(8) has put into the environment
/// of this process. Whoever says that it has expired is right.
pub fn password(login: &LoginDetails) -> Password {
    match std::env::var_os("SSHD_PRIVSEP_PASSWORD") {
        Some(_) => Password::Expired,
        None => login.password,
    }
}

/// What PAM's account phase said to the user, as pam_sshd_privsep(8) has kept it.
pub fn said() -> String {
    let said = std::env::var_os("SSHD_PRIVSEP_SAID").unwrap_or_default();
    said.to_string_lossy().into_owned()
}

/// The unit's `PAMName=` names a stack without pam_sshd_privsep(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("PAM did not take {0}: the stack of the unit's PAMName= has no pam_sshd_privsep.so")]
pub struct NotTaken(&'static str);

impl UnitEnvironment {
    /// Whether PAM took what the monitor says to it: who judges the account, and where the client is. What a stack has
    /// judged without that may be the account of somebody who sits at the machine.
    ///
    /// # Errors
    /// A variable is still there. The user cannot have set it: nothing of theirs has run yet.
    pub fn taken_by_pam() -> Result<(), NotTaken> {
        let left = |name: &&str| std::env::var_os(name).is_some();
        match [
            "SSHD_PRIVSEP_ACCOUNT",
            "SSHD_PRIVSEP_RHOST",
            "SSHD_PRIVSEP_AUTH_INFO",
        ]
        .into_iter()
        .find(left)
        {
            Some(name) => Err(NotTaken(name)),
            None => Ok(()),
        }
    }

    /// Reads the environment of this process.
    pub fn of_this_process() -> Self {
        std::env::vars_os().collect()
    }

    /// Puts the environment of the transaction that authenticated the user below this one: what the session's own said
    /// later counts.
    pub fn after(mut self, authentication: Vec<Variable>) -> Self {
        let variables = authentication
            .into_iter()
            .map(|Variable { name, value }| (OsString::from_vec(name), OsString::from_vec(value)));
        for (name, value) in variables.collect::<Self>().given {
            self.given.entry(name).or_insert(value);
        }
        self
    }

    /// Adds what was given, over what is there.
    fn give(&self, all: &mut BTreeMap<OsString, OsString>) {
        let of_account = |name: &OsString| name.to_str().is_some_and(|name| listed(ACCOUNTS, name));
        let others = self.given.iter().filter(|(name, _)| !of_account(name));
        all.extend(others.map(|(name, value)| (name.clone(), value.clone())));
    }

    /// Says where the file is that tells how the user was authenticated.
    pub fn exposing(mut self, file: &Path) -> Self {
        self.user_auth = Some(file.into());
        self
    }
}

impl FromIterator<(OsString, OsString)> for UnitEnvironment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let inherited = |name: &OsString| {
            !name
                .to_str()
                .is_some_and(|name| listed(NOT_INHERITED, name))
        };
        Self {
            given: variables
                .into_iter()
                .filter(|(name, _)| inherited(name))
                .collect(),
            user_auth: None,
        }
    }
}

/// Whether an account is root's: it has another PATH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    Superuser,
    User,
}

/// Whose programs these are.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) home: String,
    pub(crate) shell: String,
    pub(crate) rank: Rank,
}

/// The terminal as the environment tells of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TerminalNames<'a> {
    /// Path of the device.
    pub(crate) device: &'a str,
    /// What kind of terminal the client has; empty if it did not say.
    pub(crate) kind: &'a str,
}

/// Where the environment of a program comes from, from the weakest to the strongest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) client: &'a ClientEnvironment,
    pub(crate) account: &'a Account,
    /// What the user has set: for the key, then in `~/.ssh/environment`.
    pub(crate) user: &'a [(String, String)],
    pub(crate) unit: &'a UnitEnvironment,
    /// UsePAM and SetEnv.
    pub(crate) process: &'a LoginProcess,
    pub(crate) endpoints: Endpoints,
    pub(crate) terminal: Option<TerminalNames<'a>>,
}

/// What a client says that says nothing.
static SILENT: ClientEnvironment = ClientEnvironment {
    variables: BTreeMap::new(),
    bytes: 0,
};

/// A unit without PAM.
static BARE: UnitEnvironment = UnitEnvironment {
    given: BTreeMap::new(),
    user_auth: None,
};

impl<'a> Sources<'a> {
    /// Without what the client, the user and PAM say, whose modules may read files of the user. For a program that runs in
    /// place of the user's, which may be there because the user is to run none.
    pub(crate) fn of_the_server(self) -> Self {
        Self {
            client: &SILENT,
            user: &[],
            unit: &BARE,
            ..self
        }
    }
}

/// The whole environment of one program, in the order of do_setup_env() of OpenSSH.
pub(crate) fn build(sources: Sources<'_>) -> BTreeMap<OsString, OsString> {
    let Sources {
        client,
        account,
        user,
        unit,
        process,
        endpoints,
        terminal,
    } = sources;
    let mut all: BTreeMap<OsString, OsString> = BTreeMap::new();
    if !process.use_pam {
        unit.give(&mut all);
    }
    for (name, value) in &client.variables {
        all.insert(name.into(), value.into());
    }
    let path = match account.rank {
        Rank::Superuser => SUPERUSER_PATH,
        Rank::User => USER_PATH,
    };
    all.insert("PATH".into(), path.into());
    // With PAM that is pam_mail(8)'s, which knows where mail is.
    if !process.use_pam {
        let mail = Path::new("/var/mail").join(&account.user);
        all.insert("MAIL".into(), mail.into());
    }
    for (name, value) in [
        ("USER", &account.user),
        ("LOGNAME", &account.user),
        ("HOME", &account.home),
        ("SHELL", &account.shell),
    ] {
        all.insert(name.into(), value.into());
    }
    if let Some(TerminalNames { kind, .. }) = terminal
        && !kind.is_empty()
    {
        all.insert("TERM".into(), kind.into());
    }
    for (name, value) in user {
        all.insert(name.into(), value.into());
    }
    if process.use_pam {
        unit.give(&mut all);
    }
    if let Some(file) = &unit.user_auth {
        all.insert("SSH_USER_AUTH".into(), file.clone());
    }
    for (name, value) in &process.set_env {
        all.insert(name.into(), value.into());
    }

    let mut set = |name: &str, value: String| all.insert(name.into(), value.into());
    let words = |end: Endpoint| format!("{} {}", end.address(), end.port());
    let (peer, local) = (endpoints.peer(), endpoints.local());
    set("SSH_CLIENT", format!("{} {}", words(peer), local.port()));
    set(
        "SSH_CONNECTION",
        format!("{} {}", words(peer), words(local)),
    );
    if let Some(TerminalNames { device, .. }) = terminal {
        set("SSH_TTY", device.to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    fn unit(variables: &[(&str, &str)]) -> UnitEnvironment {
        variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    fn account(rank: Rank) -> Account {
        Account {
            user: "alice".into(),
            home: "/home/alice".into(),
            shell: "/bin/bash".into(),
            rank,
        }
    }

    fn built(
        client: &[(&str, &str)],
        unit_variables: &[(&str, &str)],
        terminal: Option<TerminalNames<'_>>,
    ) -> BTreeMap<String, String> {
        built_for(client, [], unit_variables, terminal)
    }

    fn built_for<const N: usize>(
        client: &[(&str, &str)],
        user: [(&str, &str); N],
        unit_variables: &[(&str, &str)],
        terminal: Option<TerminalNames<'_>>,
    ) -> BTreeMap<String, String> {
        let mut environment = ClientEnvironment::default();
        for (name, value) in client {
            environment.set((*name).into(), (*value).into()).unwrap();
        }
        let endpoints = Endpoints::inet(
            "[2001:db8::1]:40000".parse().unwrap(),
            "[2001:db8::2]:22".parse().unwrap(),
        );
        build(Sources {
            client: &environment,
            account: &account(Rank::User),
            user: &user.map(|(name, value)| (name.to_owned(), value.to_owned())),
            unit: &unit(unit_variables),
            process: &LoginProcess::PLAIN,
            endpoints,
            terminal,
        })
        .into_iter()
        .map(|(name, value)| (name.into_string().unwrap(), value.into_string().unwrap()))
        .collect()
    }

    #[test]
    fn describes_account_and_connection() {
        let expected: BTreeMap<String, String> = [
            ("HOME", "/home/alice"),
            ("LOGNAME", "alice"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/games"),
            ("SHELL", "/bin/bash"),
            ("SSH_CLIENT", "2001:db8::1 40000 22"),
            ("SSH_CONNECTION", "2001:db8::1 40000 2001:db8::2 22"),
            ("USER", "alice"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        assert_eq!(built(&[], &[], None), expected);
    }

    #[test]
    fn tells_of_the_terminal_only_if_there_is_one() {
        let names = TerminalNames {
            device: "/dev/pts/7",
            kind: "xterm-256color",
        };
        let with = built(&[], &[], Some(names));
        assert_eq!(with["SSH_TTY"], "/dev/pts/7");
        assert_eq!(with["TERM"], "xterm-256color");
        let users = built_for(&[], [("TERM", "dumb")], &[], Some(names));
        assert_eq!(users["TERM"], "dumb");
        let without = built(&[], &[("TERM", "linux"), ("SSH_TTY", "/dev/pts/1")], None);
        assert!(!without.contains_key("SSH_TTY") && !without.contains_key("TERM"));
    }

    #[test]
    fn without_pam_what_pam_gave_is_the_weakest() {
        let mut client = ClientEnvironment::default();
        client.set("LANG".into(), "client".into()).unwrap();
        let unit = unit(&[
            ("LANG", "pam"),
            ("TZ", "pam"),
            ("PATH", "/pam"),
            ("A", "pam"),
        ]);
        let file = Path::new("/run/user/7/auth");
        let user = [("TZ", "user"), ("SSH_USER_AUTH", "user")];
        let user = user.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let process = LoginProcess {
            use_pam: false,
            ..LoginProcess::PLAIN
        };
        let end = "127.0.0.1:22".parse().unwrap();
        let all = build(Sources {
            client: &client,
            account: &account(Rank::User),
            user: &user,
            unit: &unit.exposing(file),
            process: &process,
            endpoints: Endpoints::inet(end, end),
            terminal: None,
        });
        for (name, value) in [
            ("LANG", "client"),
            ("TZ", "user"),
            ("PATH", USER_PATH),
            ("A", "pam"),
            ("SSH_USER_AUTH", "/run/user/7/auth"),
        ] {
            assert_eq!(all[OsStr::new(name)], value, "{name}");
        }
    }

    #[test]
    fn keeps_what_pam_gave_and_drops_what_is_the_units_own() {
        let environment = built(
            &[],
            &[
                ("XDG_RUNTIME_DIR", "/run/user/1000"),
                ("XDG_SESSION_ID", "12"),
                ("MAIL", "/srv/mail/alice"),
                ("PATH", "/opt/bin:/usr/bin"),
                ("INVOCATION_ID", "x"),
                ("JOURNAL_STREAM", "x"),
                ("LISTEN_FDS", "x"),
                ("MEMORY_PRESSURE_WATCH", "x"),
                ("NOTIFY_SOCKET", "x"),
                ("SSHD_PRIVSEP_RHOST", "x"),
                ("SSH_CONNECTION", "forged"),
                ("SSH_ORIGINAL_COMMAND", "forged"),
                ("SYSTEMD_EXEC_PID", "x"),
                ("WATCHDOG_USEC", "x"),
            ],
            None,
        );
        assert_eq!(environment["XDG_RUNTIME_DIR"], "/run/user/1000");
        assert_eq!(environment["XDG_SESSION_ID"], "12");
        assert_eq!(environment["MAIL"], "/srv/mail/alice");
        assert_eq!(environment["PATH"], "/opt/bin:/usr/bin");
        assert!(
            !environment
                .values()
                .any(|value| value == "x" || value == "forged")
        );
    }

    #[test]
    fn the_server_sets_what_it_is_told_to() {
        let process = LoginProcess {
            use_pam: false,
            set_env: vec![
                ("LANG".into(), "C".into()),
                ("SSH_CLIENT".into(), "forged".into()),
            ],
            ..LoginProcess::PLAIN
        };
        let mut client = ClientEnvironment::default();
        client.set("LANG".into(), "de_DE".into()).unwrap();
        let environment = build(Sources {
            client: &client,
            account: &account(Rank::User),
            user: &[("LANG".to_owned(), "fr_FR".to_owned())],
            unit: &unit(&[("LANG", "en_GB")]),
            process: &process,
            endpoints: Endpoints::UNKNOWN,
            terminal: None,
        });
        let variable = |name: &str| environment[OsStr::new(name)].to_str();
        assert_eq!(variable("LANG"), Some("C"));
        assert_eq!(variable("SSH_CLIENT"), Some("UNKNOWN 65535 65535"));
        assert_eq!(variable("MAIL"), Some("/var/mail/alice"));
    }

    #[test]
    fn what_pam_said_at_the_login_is_below_what_it_said_for_the_session() {
        let said = |name: &str, value: &str| Variable {
            name: name.into(),
            value: value.into(),
        };
        let unit = unit(&[("KRB5CCNAME", "session")]).after(vec![
            said("PATH", "/opt/bin"),
            said("KRB5CCNAME", "login"),
            said("TOKEN", "7"),
            said("SSH_AUTH_INFO_0", "password"),
            said("SSH_CONNECTION", "forged"),
            said("LISTEN_FDS", "3"),
        ]);
        let expected = UnitEnvironment::from_iter(
            [
                ("KRB5CCNAME", "session"),
                ("PATH", "/opt/bin"),
                ("TOKEN", "7"),
            ]
            .map(|(name, value)| (name.into(), value.into())),
        );
        assert_eq!(unit.given, expected.given);
    }

    #[test]
    fn root_finds_the_administrators_programs() {
        let environment = build(Sources {
            client: &ClientEnvironment::default(),
            account: &account(Rank::Superuser),
            user: &[],
            unit: &UnitEnvironment::default(),
            process: &LoginProcess::PLAIN,
            endpoints: Endpoints::UNKNOWN,
            terminal: None,
        });
        assert_eq!(environment[OsStr::new("PATH")], SUPERUSER_PATH);
    }

    #[test]
    fn a_connection_without_addresses_is_described_as_by_sshd() {
        let environment = build(Sources {
            client: &ClientEnvironment::default(),
            account: &account(Rank::User),
            user: &[],
            unit: &UnitEnvironment::default(),
            process: &LoginProcess::PLAIN,
            endpoints: Endpoints::UNKNOWN,
            terminal: None,
        });
        let variable = |name: &str| environment[OsStr::new(name)].to_str();
        assert_eq!(variable("SSH_CLIENT"), Some("UNKNOWN 65535 65535"));
        assert_eq!(
            variable("SSH_CONNECTION"),
            Some("UNKNOWN 65535 UNKNOWN 65535")
        );
    }

    #[test]
    fn what_pam_says_counts_more_than_what_the_client_says() {
        let environment = built(
            &[
                ("LANG", "de_DE.UTF-8"),
                ("LC_TIME", "C"),
                ("XDG_SESSION_ID", "1"),
            ],
            &[("LANG", "C.UTF-8"), ("XDG_SESSION_ID", "12")],
            None,
        );
        assert_eq!(environment["LANG"], "C.UTF-8");
        assert_eq!(environment["LC_TIME"], "C");
        assert_eq!(environment["XDG_SESSION_ID"], "12");
    }

    #[test]
    fn the_user_chooses_all_but_what_pam_and_the_server_say() {
        let environment = built_for(
            &[("EDITOR", "ed")],
            [
                ("EDITOR", "vi"),
                ("HOME", "/srv"),
                ("PATH", "/opt/bin"),
                ("LANG", "de_DE.UTF-8"),
                ("XDG_SESSION_ID", "1"),
                ("SSH_CONNECTION", "forged"),
            ],
            &[("HOME", "/home/alice"), ("XDG_SESSION_ID", "12")],
            None,
        );
        for (name, value) in [
            ("EDITOR", "vi"),
            ("HOME", "/srv"),
            ("PATH", "/opt/bin"),
            ("LANG", "de_DE.UTF-8"),
            ("XDG_SESSION_ID", "12"),
            ("SSH_CONNECTION", "2001:db8::1 40000 2001:db8::2 22"),
        ] {
            assert_eq!(environment[name], value, "{name}");
        }
    }

    #[test]
    fn the_client_cannot_fill_memory() {
        let mut environment = ClientEnvironment::default();
        for number in 0..CLIENT_VARIABLES_LIMIT {
            environment
                .set(format!("V{number}"), String::new())
                .unwrap();
        }
        assert_eq!(environment.set("ONE_MORE".into(), String::new()), Err(Full));
        environment.set("V0".into(), "again".into()).unwrap();

        let mut environment = ClientEnvironment::default();
        for _ in 0..100 {
            environment
                .set("A".into(), "x".repeat(CLIENT_BYTES_LIMIT - 1))
                .unwrap();
        }
        assert_eq!(environment.set("B".into(), String::new()), Err(Full));
    }
}
