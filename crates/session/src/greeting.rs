//! How a program of the user starts, as sshd(8) describes it under "Login process": what the user is greeted with, and the
//! files that run before.
//!
//! The session decides what there is to say and to run; the second stage ([`second_stage`](crate::second_stage)) does it,
//! as the process that becomes the program: on its terminal, in its environment, in its home directory. What it has to be
//! told goes through its environment, which no other user can read, unlike arguments; nothing of it gets to the program.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rpc::lane::Permission;

use crate::carried;

/// The message of the day, motd(5).
const MOTD: &str = "/etc/motd";

/// In the home directory; whoever has it is not greeted.
const HUSH: &str = ".hushlogin";

/// In the home directory: runs before each program.
const USER_RC: &str = ".ssh/rc";

/// Runs for those who have none.
const SYSTEM_RC: &str = "/etc/ssh/sshrc";

/// What runs both.
const SHELL: &str = "/bin/sh";

/// The longest message of the day that is shown, in bytes.
const MOTD_LIMIT: u64 = 64 * 1024;

/// How a line begins that tells of the last login, whoever says it.
const LAST_LOGIN: &[u8] = b"Last login:";

const COMPLAINTS: &str = "SSHD_PRIVSEP_COMPLAINTS";
const WORDS: &str = "SSHD_PRIVSEP_WORDS";
const MOTD_PRINTED: &str = "SSHD_PRIVSEP_MOTD";
const RC: &str = "SSHD_PRIVSEP_RC";
const XAUTH: &str = "SSHD_PRIVSEP_XAUTH";
const XAUTH_LOCATION: &str = "SSHD_PRIVSEP_XAUTH_LOCATION";

/// What a second stage does before it becomes the program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Preliminaries {
    /// Lines for standard error, whatever the program is.
    pub(crate) complaints: String,
    /// For the user to read. Nothing with a command, which has a program for its reader.
    pub(crate) greeting: Option<Greeting>,
    /// Whether `~/.ssh/rc` may run.
    pub(crate) user_rc: Option<UserRc>,
    /// Who is let in to the X server that is forwarded.
    pub(crate) x_authority: Option<XAuthority>,
}

/// What a user who logs in to a shell is told, unless there is a `~/.hushlogin`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// What PAM modules said, and the last login.
    pub(crate) words: Vec<u8>,
    /// Whether `/etc/motd` follows.
    pub(crate) motd: MessageOfTheDay,
}

/// PrintMotd, where there is a terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum MessageOfTheDay {
    /// It is shown, unless the words say the same: where PAM shows it, too, once is enough.
    Printed,
    /// It is not.
    #[default]
    Silent,
}

/// `~/.ssh/rc` may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserRc;

/// What xauth(1) is to know of a forwarded display.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct XAuthority {
    /// The display, as xauth(1) names it.
    pub(crate) display: String,
    /// MIT-MAGIC-COOKIE-1
    pub(crate) protocol: String,
    /// In hexadecimal digits. Never logged: whoever has it sees the user's screen.
    pub(crate) cookie: String,
    /// XAuthLocation; without it, only the files above hear of it.
    pub(crate) program: Option<String>,
}

impl std::fmt::Debug for XAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XAuthority")
            .field("display", &self.display)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

impl UserRc {
    /// If everybody who has a say in it permits it.
    pub(crate) fn permitted(all: impl IntoIterator<Item = Permission>) -> Option<Self> {
        all.into_iter()
            .all(|permission| permission == Permission::Granted)
            .then_some(Self)
    }
}

impl Preliminaries {
    /// Tells the second stage that `command` starts, beside what it carries for the program.
    pub(crate) fn tell(&self, command: &mut Command) {
        if !self.complaints.is_empty() {
            command.env(COMPLAINTS, &self.complaints);
        }
        if let Some(greeting) = &self.greeting {
            // A module that says a NUL is heard up to there.
            let words = greeting.words.split(|byte| *byte == 0).next();
            command.env(WORDS, OsStr::from_bytes(words.unwrap_or_default()));
            if greeting.motd == MessageOfTheDay::Printed {
                command.env(MOTD_PRINTED, "1");
            }
        }
        if self.user_rc.is_some() {
            command.env(RC, "1");
        }
        if let Some(authority) = &self.x_authority {
            let XAuthority {
                display,
                protocol,
                cookie,
                program,
            } = authority;
            command.env(XAUTH, format!("{display} {protocol} {cookie}"));
            if let Some(program) = program {
                command.env(XAUTH_LOCATION, program);
            }
        }
    }

    /// In the second stage: what it was told.
    pub(crate) fn told() -> Self {
        let said = |name| std::env::var_os(name);
        let greeting = said(WORDS).map(|words| Greeting {
            words: words.into_vec(),
            motd: match said(MOTD_PRINTED) {
                Some(_) => MessageOfTheDay::Printed,
                None => MessageOfTheDay::Silent,
            },
        });
        Self {
            complaints: said(COMPLAINTS)
                .and_then(|text| text.into_string().ok())
                .unwrap_or_default(),
            greeting,
            user_rc: said(RC).map(|_| UserRc),
            x_authority: said(XAUTH)
                .and_then(|text| XAuthority::of(&text, said(XAUTH_LOCATION).as_deref())),
        }
    }

    /// In the second stage: greets the user, and runs the first of the files that is there. Both as far as possible: a
    /// login does not depend on it. Standard output, the environment and the directory are the program's.
    pub(crate) fn run(&self, home: &Path, shell: &OsStr) {
        drop(io::stderr().write_all(self.complaints.as_bytes()));
        if let Some(greeting) = &self.greeting
            && !home.join(HUSH).exists()
        {
            drop(greeting.show(&mut io::stdout()));
        }
        let user_rc = home.join(USER_RC);
        if self.user_rc.is_some() && user_rc.exists() {
            let mut line = OsString::from(format!("{SHELL} "));
            line.push(&user_rc);
            let mut command = Command::new(shell);
            self.feed(command.arg("-c").arg(line), &user_rc, Input::Cookie);
        } else if Path::new(SYSTEM_RC).exists() {
            let mut command = Command::new(SHELL);
            self.feed(command.arg(SYSTEM_RC), Path::new(SYSTEM_RC), Input::Cookie);
        } else if let Some(program) = self.x_authority.as_ref().and_then(|x| x.program.as_ref()) {
            let mut command = Command::new(program);
            self.feed(
                command.args(["-q", "-"]),
                Path::new(program),
                Input::Commands,
            );
        }
    }

    /// In a second stage of its own: has xauth(1) forget a display, whoever has told it. A file that is not there knows
    /// of none, and what xauth(1) says of that is nobody's concern.
    pub(crate) fn forget_display(&self) {
        if let Some(program) = self.x_authority.as_ref().and_then(|x| x.program.as_ref()) {
            let mut command = Command::new(program);
            self.feed(command.args(["-q", "-"]), Path::new(program), Input::Gone);
        }
    }

    /// Runs a command to its end, with what there is to say of the display on its standard input.
    fn feed(&self, command: &mut Command, name: &Path, input: Input) {
        carried::restore(command);
        let Ok(mut child) = command.stdin(Stdio::piped()).spawn() else {
            // sshd's words.
            drop(writeln!(io::stderr(), "Could not run {}", name.display()));
            return;
        };
        if let (Some(mut stdin), Some(authority)) = (child.stdin.take(), &self.x_authority) {
            // A file that does not read it does not want it.
            drop(stdin.write_all(authority.text(input).as_bytes()));
        }
        drop(child.wait());
    }
}

/// How a display is told of.
#[derive(Debug, Clone, Copy)]
enum Input {
    /// Protocol and cookie, on a line: sshd(8), "SSHRC".
    Cookie,
    /// Commands of xauth(1).
    Commands,
    /// The command of xauth(1) for a display that is gone.
    Gone,
}

impl XAuthority {
    fn of(text: &OsStr, program: Option<&OsStr>) -> Option<Self> {
        let mut words = text.to_str()?.split(' ').map(str::to_owned);
        Some(Self {
            display: words.next()?,
            protocol: words.next()?,
            cookie: words.next()?,
            program: program.and_then(OsStr::to_str).map(str::to_owned),
        })
    }

    fn text(&self, input: Input) -> String {
        let Self {
            display,
            protocol,
            cookie,
            ..
        } = self;
        match input {
            Input::Cookie => format!("{protocol} {cookie}\n"),
            Input::Commands => format!("remove {display}\nadd {display} {protocol} {cookie}\n"),
            Input::Gone => format!("remove {display}\n"),
        }
    }
}

impl Greeting {
    /// What modules said and then the last login, unless one of them has told that: pam_lastlog2(8) does, in such a line.
    pub(crate) fn words(mut said: Vec<u8>, last_login: &[u8]) -> Vec<u8> {
        let mut lines = said.split(|byte| *byte == b'\n');
        if !lines.any(|line| line.starts_with(LAST_LOGIN)) {
            said.extend_from_slice(last_login);
        }
        said
    }

    fn show(&self, to: &mut impl io::Write) -> io::Result<()> {
        to.write_all(&self.words)?;
        if self.motd == MessageOfTheDay::Printed {
            let motd = read(Path::new(MOTD)).unwrap_or_default();
            if !says(&self.words, &motd) {
                to.write_all(&motd)?;
            }
        }
        to.flush()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    io::Read::read_to_end(
        &mut io::Read::take(File::open(path)?, MOTD_LIMIT),
        &mut text,
    )?;
    Ok(text)
}

fn says(words: &[u8], motd: &[u8]) -> bool {
    let motd = motd.trim_ascii();
    !motd.is_empty() && words.windows(motd.len()).any(|window| window == motd)
}

/// What modules have greeted the user with, as pam_sshd_privsep(8) has kept it in the environment of this process.
pub fn words() -> Vec<u8> {
    std::env::var_os(WORDS).unwrap_or_default().into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &str, motd: MessageOfTheDay) -> Vec<u8> {
        let mut shown = Vec::new();
        let words = words.as_bytes().to_vec();
        Greeting { words, motd }.show(&mut shown).unwrap();
        shown
    }

    #[test]
    fn the_message_of_the_day_is_said_once() {
        let motd = std::fs::read(MOTD).unwrap_or_default();
        let text = String::from_utf8(motd.clone()).unwrap();
        assert_eq!(shown("hello\n", MessageOfTheDay::Silent), b"hello\n");
        assert_eq!(
            shown("hello\n", MessageOfTheDay::Printed),
            [b"hello\n", &motd[..]].concat()
        );
        assert_eq!(
            shown(&format!("hello\n{text}"), MessageOfTheDay::Printed),
            [b"hello\n", &motd[..]].concat()
        );
    }

    #[test]
    fn the_last_login_is_told_once() {
        let last = b"Last login: Sat Nov 21\r\n";
        let told = |said: &str| {
            let words = Greeting::words(said.as_bytes().to_vec(), last);
            words.strip_prefix(said.as_bytes()).unwrap().to_vec()
        };
        for said in ["", "hello\n", "Your Last login: never\n"] {
            assert_eq!(told(said), last, "{said:?}");
        }
        for said in [
            "Last login: today on tty1\n",
            "hello\r\nLast login: today\r\n",
        ] {
            assert_eq!(told(said), b"", "{said:?}");
        }
    }

    #[test]
    fn what_the_second_stage_is_told_is_what_was_said() {
        let authority = XAuthority {
            display: "unix:10.0".into(),
            protocol: "MIT-MAGIC-COOKIE-1".into(),
            cookie: "00ff".into(),
            program: None,
        };
        let mut command = Command::new("true");
        let all = Preliminaries {
            complaints: "Bad line 1\n".to_owned(),
            greeting: Some(Greeting {
                words: b"a\0b".to_vec(),
                motd: MessageOfTheDay::Printed,
            }),
            user_rc: Some(UserRc),
            x_authority: Some(authority.clone()),
        };
        all.tell(&mut command);
        let told = |name: &str| {
            let mut variables = command.get_envs();
            let found = variables.find(|(found, _)| *found == name);
            found.and_then(|(_, value)| value.map(OsStr::to_owned))
        };
        assert_eq!(told(WORDS).as_deref(), Some(OsStr::new("a")));
        assert_eq!(told(MOTD_PRINTED).as_deref(), Some(OsStr::new("1")));
        assert_eq!(told(RC).as_deref(), Some(OsStr::new("1")));
        assert_eq!(told(XAUTH_LOCATION), None);
        assert_eq!(XAuthority::of(&told(XAUTH).unwrap(), None), Some(authority));
        let mut command = Command::new("true");
        Preliminaries::default().tell(&mut command);
        assert_eq!(command.get_envs().count(), 0);
    }

    #[test]
    fn a_cookie_is_not_in_debug_output() {
        let authority = XAuthority::of(OsStr::new("unix:10.0 PROTOCOL c00c1e"), None).unwrap();
        assert!(!format!("{authority:?}").contains("c00c1e"));
        assert_eq!(
            authority.text(Input::Commands),
            "remove unix:10.0\nadd unix:10.0 PROTOCOL c00c1e\n"
        );
        assert_eq!(authority.text(Input::Gone), "remove unix:10.0\n");
    }

    #[test]
    fn the_users_file_runs_if_all_permit_it() {
        use Permission::{Denied, Granted};
        assert!(UserRc::permitted([Granted, Granted]).is_some());
        assert!(UserRc::permitted([Granted, Denied]).is_none());
        assert!(UserRc::permitted([Denied, Granted]).is_none());
    }
}
