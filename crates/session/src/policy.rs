//! What this account may do in this session. Every restriction is decided here.

use rpc::lane::{LoginProcess, NoLogin, Permission, Permissions, SessionStart};
use rpc::session::Program;

use crate::environment;
use crate::glob;
use crate::greeting::UserRc;
use crate::internal_sftp::{InternalSftp, Line};
use crate::symlinks::Symlinks;

/// The decisions of the monitor about this session, ready to be asked.
#[derive(Debug)]
pub struct Policy {
    accept_env: Vec<String>,
    terminals: Permission,
    subsystems: Vec<(String, String)>,
    max_sessions: usize,
    forced_command: Option<String>,
    environment: Vec<(String, String)>,
    user_environment: Option<String>,
    permissions: Permissions,
    no_login: NoLogin,
    process: LoginProcess,
    symlinks: Symlinks,
}

/// What the user's shell is given to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShellInput {
    /// Nothing: it is a login shell.
    Login,
    /// A command line, for `-c`.
    CommandLine(Vec<u8>),
}

/// Which program that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Run {
    /// The user's shell.
    Shell(ShellInput),
    /// The SFTP server.
    Sftp(InternalSftp),
    /// Nothing: the SFTP server is all that is permitted, and the client asked for something else.
    SftpOnly,
}

/// What is started for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    /// What runs.
    pub(crate) run: Run,
    /// SSH_ORIGINAL_COMMAND: what the client asked for in vain, unless that was a shell.
    pub(crate) original_command: Option<Vec<u8>>,
}

/// Why nothing is started, not even something in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoLaunch {
    /// The configuration has no subsystem of this name.
    UnknownSubsystem(String),
    /// It cannot be understood how the SFTP server is to be restricted.
    Malformed,
}

impl Policy {
    /// The policy that the monitor sent.
    pub fn new(start: &SessionStart) -> Self {
        Self {
            accept_env: start.accept_env.clone(),
            terminals: if start.permit_tty {
                Permission::Granted
            } else {
                Permission::Denied
            },
            subsystems: start.subsystems.clone(),
            max_sessions: usize::try_from(start.max_sessions).unwrap_or(usize::MAX),
            forced_command: start.forced_command.clone(),
            environment: start.environment.clone(),
            user_environment: start.user_environment.clone(),
            permissions: start.permissions.clone(),
            no_login: start.login.no_login,
            process: start.process.clone(),
            symlinks: Symlinks::between(&start.identifications),
        }
    }

    /// How programs start.
    pub(crate) fn process(&self) -> &LoginProcess {
        &self.process
    }

    /// PermitUserRC: whether `~/.ssh/rc` runs before `program`. As in OpenSSH not before a subsystem.
    pub(crate) fn user_rc(&self, program: &Program) -> Option<UserRc> {
        match program {
            Program::Subsystem(_) => None,
            Program::Shell | Program::Command(_) => {
                UserRc::permitted([self.process.user_rc, self.permissions.user_rc])
            }
        }
    }

    /// Whether nobody but root may run anything while `/etc/nologin` exists.
    pub(crate) fn obeys_no_login(&self) -> bool {
        self.no_login == NoLogin::Obeyed
    }

    /// MaxSessions: how many channels may be open at once.
    pub(crate) fn max_sessions(&self) -> usize {
        self.max_sessions
    }

    /// PermitTTY
    pub(crate) fn permits_terminal(&self) -> bool {
        self.terminals == Permission::Granted
    }

    /// AcceptEnv. Names that the server sets itself are never the client's, whatever the patterns say.
    pub(crate) fn accepts_variable(&self, name: &str) -> bool {
        !environment::is_ours(name)
            && self
                .accept_env
                .iter()
                .any(|pattern| glob::matches(pattern, name))
    }

    /// Variables that the user has set for the key of this login.
    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// PermitUserEnvironment: which variables `~/.ssh/environment` may set; none if it is not to be read.
    pub(crate) fn user_environment(&self) -> Option<&str> {
        self.user_environment.as_deref()
    }

    /// Whether the SFTP server is all that may run, or would be if the line could be understood.
    pub(crate) fn permits_sftp_only(&self) -> bool {
        self.forced_command
            .as_deref()
            .is_some_and(|line| Line::of(line) != Line::Shell)
    }

    /// ForceCommand: what runs whatever the client asks for.
    pub(crate) fn forced_command(&self) -> Option<&str> {
        self.forced_command.as_deref()
    }

    /// What runs when the client asks for `program`.
    ///
    /// As in OpenSSH, a forced command runs in place of whatever could be run, and of nothing else.
    pub(crate) fn launch(&self, program: Program) -> Result<Launch, NoLaunch> {
        let for_subsystem = matches!(program, Program::Subsystem(_));
        let asked = match program {
            Program::Shell => None,
            Program::Command(line) => Some(line),
            Program::Subsystem(asked) => {
                let mut known = self.subsystems.iter();
                match known.find(|(name, _)| *name == asked) {
                    Some((_, line)) => Some(line.clone().into_bytes()),
                    None => return Err(NoLaunch::UnknownSubsystem(asked)),
                }
            }
        };
        // The word has a meaning where the configuration says it, and none where a client does.
        let configured = match (&self.forced_command, &asked) {
            (Some(forced), _) => Line::of(forced),
            (None, Some(line)) if for_subsystem => {
                str::from_utf8(line).map_or(Line::Malformed, Line::of)
            }
            (None, _) => Line::Shell,
        };
        let run = match configured {
            Line::Sftp(sftp) if for_subsystem => Run::Sftp(sftp.with(self.symlinks)),
            Line::Sftp(_) => Run::SftpOnly,
            Line::Malformed => return Err(NoLaunch::Malformed),
            Line::Shell => Run::Shell(match (&self.forced_command, &asked) {
                (Some(forced), _) => ShellInput::CommandLine(forced.clone().into_bytes()),
                (None, Some(line)) => ShellInput::CommandLine(line.clone()),
                (None, None) => ShellInput::Login,
            }),
        };
        let original_command = match self.forced_command {
            Some(_) => asked,
            None => None,
        };
        Ok(Launch {
            run,
            original_command,
        })
    }

    /// Whether the client may send signals to `program`. As in OpenSSH not to a subsystem or a forced command: which
    /// program that is was the administrator's choice, and so is how it ends.
    pub(crate) fn permits_signal(&self, program: &Program) -> bool {
        self.forced_command.is_none() && !matches!(program, Program::Subsystem(_))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use journal::LevelFilter;
    use rpc::lane::{Forwarding, Identifications, LoginDetails};
    use rpc::{ConnectionId, Endpoints};

    fn identifications(client: &str) -> Identifications {
        Identifications {
            client: client.into(),
            server: b"SSH-2.0-sshd_privsep_0.1.0".to_vec(),
        }
    }

    pub(crate) fn start() -> SessionStart {
        SessionStart {
            id: ConnectionId::from_bytes([7; 8]),
            endpoints: Endpoints::inet(
                ([192, 0, 2, 1], 40_000).into(),
                ([192, 0, 2, 2], 22).into(),
            ),
            log_level: LevelFilter::INFO,
            facility: 4,
            user: "alice".into(),
            home: "/home/alice".into(),
            shell: "/bin/bash".into(),
            accept_env: vec!["LANG".into(), "LC_*".into()],
            permit_tty: true,
            subsystems: vec![("sftp".into(), "/usr/lib/sftp-server -e".into())],
            max_sessions: 10,
            forced_command: None,
            environment: Vec::new(),
            user_environment: None,
            chroot_directory: None,
            permissions: Permissions::ALL,
            login: LoginDetails::UNTOLD,
            forwarding: Forwarding::DEFAULT,
            process: LoginProcess::PLAIN,
            identifications: identifications("SSH-2.0-OpenSSH_10.0"),
        }
    }

    #[test]
    fn accepts_only_variables_that_match_accept_env() {
        let policy = Policy::new(&start());
        assert!(policy.accepts_variable("LANG"));
        assert!(policy.accepts_variable("LC_TIME"));
        assert!(!policy.accepts_variable("LANGUAGE"));
        assert!(!policy.accepts_variable("LD_PRELOAD"));
    }

    #[test]
    fn never_accepts_a_variable_of_ours() {
        let policy = Policy::new(&SessionStart {
            accept_env: vec!["*".into()],
            ..start()
        });
        for name in [
            "USER",
            "LOGNAME",
            "HOME",
            "PATH",
            "SHELL",
            "MAIL",
            "SSH_CONNECTION",
            "SSH_TTY",
            "SSH_AUTH_SOCK",
        ] {
            assert!(!policy.accepts_variable(name), "{name}");
        }
        assert!(policy.accepts_variable("EDITOR"));
    }

    #[test]
    fn accepts_no_variable_by_default() {
        let policy = Policy::new(&SessionStart {
            accept_env: Vec::new(),
            ..start()
        });
        assert!(!policy.accepts_variable("LANG"));
    }

    #[test]
    fn finds_subsystems_by_their_whole_name() {
        let policy = Policy::new(&start());
        let launch = policy.launch(Program::Subsystem("sftp".into())).unwrap();
        let line = b"/usr/lib/sftp-server -e".to_vec();
        assert_eq!(launch.run, Run::Shell(ShellInput::CommandLine(line)));
        for unknown in ["sft", "", "SFTP"] {
            let launch = policy.launch(Program::Subsystem(unknown.into()));
            assert_eq!(launch, Err(NoLaunch::UnknownSubsystem(unknown.into())));
        }
    }

    #[test]
    fn a_forced_command_runs_whatever_is_asked_for() {
        let policy = Policy::new(&SessionStart {
            forced_command: Some("/bin/only this".into()),
            ..start()
        });
        let line = |line: &str| line.as_bytes().to_vec();
        for (asked, original) in [
            (Program::Shell, None),
            (Program::Command(line("rm -rf /")), Some(line("rm -rf /"))),
            (
                Program::Subsystem("sftp".into()),
                Some(line("/usr/lib/sftp-server -e")),
            ),
        ] {
            assert!(!policy.permits_signal(&asked));
            let launch = policy.launch(asked).unwrap();
            let forced = Run::Shell(ShellInput::CommandLine(line("/bin/only this")));
            assert_eq!((launch.run, launch.original_command), (forced, original));
        }
        assert!(policy.launch(Program::Subsystem("none".into())).is_err());
    }

    #[test]
    fn internal_sftp_is_a_subsystem_and_nothing_that_a_client_can_name() {
        let policy = Policy::new(&SessionStart {
            subsystems: vec![("sftp".into(), "internal-sftp -R".into())],
            ..start()
        });
        let Line::Sftp(sftp) = Line::of("internal-sftp -R") else {
            panic!("not recognised");
        };
        let launch = policy.launch(Program::Subsystem("sftp".into())).unwrap();
        assert_eq!(launch.run, Run::Sftp(sftp));
        let line = b"internal-sftp".to_vec();
        let launch = policy.launch(Program::Command(line.clone())).unwrap();
        assert_eq!(launch.run, Run::Shell(ShellInput::CommandLine(line)));
    }

    #[test]
    fn internal_sftp_is_told_of_a_client_that_follows_the_draft() {
        for forced_command in [None, Some("internal-sftp".into())] {
            let policy = Policy::new(&SessionStart {
                subsystems: vec![("sftp".into(), "internal-sftp".into())],
                forced_command,
                identifications: identifications("SSH-2.0-AsyncSSH_2.24.0"),
                ..start()
            });
            let Line::Sftp(sftp) = Line::of("internal-sftp") else {
                panic!("not recognised");
            };
            let launch = policy.launch(Program::Subsystem("sftp".into())).unwrap();
            assert_eq!(launch.run, Run::Sftp(sftp.with(Symlinks::LinkFirst)));
        }
    }

    #[test]
    fn a_forced_internal_sftp_is_all_there_is() {
        let policy = Policy::new(&SessionStart {
            forced_command: Some("internal-sftp -u 027".into()),
            ..start()
        });
        let Line::Sftp(sftp) = Line::of("internal-sftp -u 027") else {
            panic!("not recognised");
        };
        let launch = policy.launch(Program::Subsystem("sftp".into())).unwrap();
        assert_eq!(launch.run, Run::Sftp(sftp));
        for asked in [Program::Shell, Program::Command(b"internal-sftp".to_vec())] {
            assert_eq!(policy.launch(asked).unwrap().run, Run::SftpOnly);
        }
        let policy = Policy::new(&SessionStart {
            forced_command: Some("internal-sftp -P \"remove".into()),
            ..start()
        });
        let launch = policy.launch(Program::Subsystem("sftp".into()));
        assert_eq!(launch, Err(NoLaunch::Malformed));
    }

    #[test]
    fn the_users_file_does_not_run_before_a_subsystem() {
        let policy = Policy::new(&SessionStart {
            process: LoginProcess {
                user_rc: Permission::Granted,
                ..LoginProcess::PLAIN
            },
            ..start()
        });
        assert!(policy.user_rc(&Program::Shell).is_some());
        assert!(policy.user_rc(&Program::Command(b"ls".to_vec())).is_some());
        assert!(policy.user_rc(&Program::Subsystem("sftp".into())).is_none());
    }

    #[test]
    fn permits_no_signal_to_a_subsystem() {
        let policy = Policy::new(&start());
        assert!(policy.permits_signal(&Program::Shell));
        assert!(!policy.permits_signal(&Program::Subsystem("sftp".into())));
    }
}
