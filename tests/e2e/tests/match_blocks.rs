//! Match blocks, AllowUsers and its kin, ForceCommand: each situation is set up for our server and, with the same file,
//! for Debian's sshd on another port. Stock `ssh` must fare the same with both, and both must say the same sentence.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::beside::{Ended, PORTS};
use e2e::server::eventually;
use e2e::{Server, Shared};
use support::UserKey;
use support::users::client_options;

static SERVER: Shared = Shared::new("match", "");

/// How many clients are at work at the same time.
const AT_ONCE: usize = 8;

/// Where Debian's sshd logs.
const THEIR_LOG: &str = "/root/theirs.log";

/// What stands before each situation's lines.
const COMMON: &str = "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM yes\n\
                      Subsystem sftp /usr/lib/openssh/sftp-server\n";

/// A configuration and who tries to log in with it. `{port}` stands for the server's port.
struct Situation {
    lines: &'static str,
    tries: &'static [Try],
}

/// One call of `ssh`.
struct Try {
    user: &'static str,
    from: &'static str,
    to: &'static str,
    options: &'static str,
    outcome: Outcome,
    /// What both servers say of it; empty for nothing in particular.
    sentence: &'static str,
}

/// What comes of it.
#[derive(Debug)]
enum Outcome {
    /// This is on standard output.
    In(&'static str),
    /// Nothing ran, and this is on standard error.
    Out(&'static str),
}

use Outcome::{In, Out};

const DENIED: Outcome = Out("Permission denied (publickey)");

/// A login over IPv4.
const fn login(user: &'static str, outcome: Outcome, sentence: &'static str) -> Try {
    Try {
        user,
        from: "127.0.0.1",
        to: "127.0.0.1",
        options: "",
        outcome,
        sentence,
    }
}

impl Try {
    const fn from(self, from: &'static str) -> Self {
        Self { from, ..self }
    }

    const fn to(self, to: &'static str) -> Self {
        Self { to, ..self }
    }

    const fn v6(self) -> Self {
        self.from("::1").to("::1")
    }

    const fn with(self, options: &'static str) -> Self {
        Self { options, ..self }
    }
}

/// alice is in the groups alice, staff and dev, bob in bob and dev. Nobody is called stranger.
const SITUATIONS: &[Situation] = &[
    Situation {
        lines: "Match User bob,c*\n ForceCommand echo matched\n",
        tries: &[
            login(
                "alice",
                In("alice"),
                "Accepted publickey for alice from 127.0.0.1",
            ),
            login(
                "bob",
                In("matched"),
                "Accepted publickey for bob from 127.0.0.1",
            ),
            login(
                "stranger",
                DENIED,
                "Invalid user stranger from 127.0.0.1 port",
            ),
        ],
    },
    Situation {
        lines: "Match User *,!alice\n ForceCommand echo not alice\n",
        tries: &[
            login("alice", In("alice"), ""),
            login("bob", In("not alice"), ""),
            login("root", In("not alice"), ""),
        ],
    },
    Situation {
        lines: "Match User alice\n ForceCommand echo first\nMatch User a*\n ForceCommand echo second\n\
                Match all\n ForceCommand echo all\n",
        tries: &[login("alice", In("first"), ""), login("bob", In("all"), "")],
    },
    Situation {
        lines: "Match Group staff\n ForceCommand echo staff\nMatch Group *,!root\n ForceCommand echo no root\n",
        tries: &[
            login("alice", In("staff"), ""),
            login("bob", In("no root"), ""),
            login("root", In("root"), ""),
        ],
    },
    Situation {
        lines: "Match Group dev User b*\n ForceCommand echo both\nMatch Group d?v,!staff\n ForceCommand echo none\n",
        tries: &[
            login("alice", In("alice"), ""),
            login("bob", In("both"), ""),
        ],
    },
    Situation {
        lines: "Match Address 127.0.0.2\n ForceCommand echo two\nMatch Address 127.0.0.0/8\n ForceCommand echo four\n\
                Match Address ::1/128\n ForceCommand echo six\n",
        tries: &[
            login(
                "alice",
                In("two"),
                "Accepted publickey for alice from 127.0.0.2",
            )
            .from("127.0.0.2"),
            login("alice", In("four"), ""),
            login("alice", In("six"), "Accepted publickey for alice from ::1").v6(),
        ],
    },
    Situation {
        lines: "Match Address *,!127.0.0.2,!::1\n ForceCommand echo neither\n",
        tries: &[
            login("alice", In("alice"), "").from("127.0.0.2"),
            login("alice", In("alice"), "").v6(),
            login("alice", In("neither"), ""),
        ],
    },
    Situation {
        lines: "Match LocalPort {port} LocalAddress 127.0.0.3\n ForceCommand echo three\n\
                Match LocalPort 4\n ForceCommand echo never\nMatch LocalAddress ::/16\n ForceCommand echo local\n",
        tries: &[
            login("alice", In("three"), "").to("127.0.0.3"),
            login("alice", In("alice"), ""),
            login("alice", In("local"), "").v6(),
        ],
    },
    Situation {
        lines: "Match Host 127.0.0.*\n ForceCommand echo host\n",
        tries: &[
            login("alice", In("host"), ""),
            login("alice", In("alice"), "").v6(),
        ],
    },
    Situation {
        lines: "Match User bob\n PubkeyAuthentication no\n",
        tries: &[
            login("alice", In("alice"), ""),
            login(
                "bob",
                Out("bob@127.0.0.1: Permission denied"),
                "by authenticating user bob 127.0.0.1 port",
            ),
        ],
    },
    Situation {
        lines: "Match User bob\n PubkeyAcceptedAlgorithms rsa-sha2-512\n",
        tries: &[login("alice", In("alice"), ""), login("bob", DENIED, "")],
    },
    Situation {
        lines: "AuthorizedKeysFile /nonexistent\nMatch User bob Address 127.0.0.1\n AuthorizedKeysFile .ssh/authorized_keys\n",
        tries: &[
            login("alice", DENIED, ""),
            login("bob", In("bob"), ""),
            login("bob", DENIED, "").from("127.0.0.2"),
        ],
    },
    Situation {
        lines: "Match User bob\n MaxAuthTries 1\n",
        tries: &[
            login("alice", In("alice"), "").with("-i /root/keys/wrong"),
            login(
                "bob",
                Out("Too many authentication failures"),
                "maximum authentication attempts exceeded for bob from 127.0.0.1 port",
            )
            .with("-i /root/keys/wrong"),
        ],
    },
    Situation {
        lines: "Banner /root/everybody\nMatch User alice\n Banner none\nMatch User stranger\n Banner /root/somebody\n\
                Match User bob\n PubkeyAuthentication no\n",
        tries: &[
            login("alice", In("alice"), ""),
            login("bob", Out("to everybody"), ""),
            login("stranger", Out("to somebody"), ""),
        ],
    },
    Situation {
        lines: "Match User alice\n AcceptEnv GREETING\n",
        tries: &[
            login("alice", In("alice hello"), "").with("-o SetEnv=GREETING=hello"),
            login("bob", In("bob"), "").with("-o SetEnv=GREETING=hello"),
        ],
    },
    Situation {
        lines: "Match User alice\n PermitTTY no\n",
        tries: &[
            login("alice", Out("PTY allocation request failed"), "").with("-tt"),
            login("bob", In("bob"), "").with("-tt"),
        ],
    },
    Situation {
        lines: "ForceCommand echo \"was <${SSH_ORIGINAL_COMMAND-nothing}>\" # not a comment\n",
        tries: &[login("alice", In("was <echo $(id -un) $GREETING>"), "")],
    },
    Situation {
        lines: "Match User alice\n Include /root/included\nMatch User bob\n ForceCommand echo bobs\n",
        tries: &[
            login("alice", In("included"), ""),
            login("bob", In("bobs"), ""),
            login("root", In("root"), ""),
        ],
    },
    Situation {
        lines: "AllowUsers alice\n",
        tries: &[
            login("alice", In("alice"), ""),
            login(
                "bob",
                DENIED,
                "User bob from 127.0.0.1 not allowed because not listed in AllowUsers",
            ),
            login(
                "root",
                DENIED,
                "User root from 127.0.0.1 not allowed because not listed in AllowUsers",
            ),
            login(
                "stranger",
                DENIED,
                "Invalid user stranger from 127.0.0.1 port",
            ),
        ],
    },
    Situation {
        lines: "DenyUsers bob@127.0.0.2 root\n",
        tries: &[
            login("bob", In("bob"), ""),
            login(
                "bob",
                DENIED,
                "User bob from 127.0.0.2 not allowed because listed in DenyUsers",
            )
            .from("127.0.0.2"),
            login(
                "root",
                DENIED,
                "User root from 127.0.0.1 not allowed because listed in DenyUsers",
            ),
        ],
    },
    Situation {
        lines: "AllowUsers alice@127.0.0.0/30 *@::1\nDenyUsers root@*\n",
        tries: &[
            login("alice", In("alice"), "").from("127.0.0.2"),
            login(
                "alice",
                DENIED,
                "User alice from 127.0.0.9 not allowed because not listed in AllowUsers",
            )
            .from("127.0.0.9"),
            login("bob", In("bob"), "").v6(),
            login(
                "root",
                DENIED,
                "User root from ::1 not allowed because listed in DenyUsers",
            )
            .v6(),
        ],
    },
    Situation {
        lines: "AllowGroups staff root\n",
        tries: &[
            login("alice", In("alice"), ""),
            login(
                "bob",
                DENIED,
                "User bob from 127.0.0.1 not allowed because none of user's groups are listed in AllowGroups",
            ),
            login("root", In("root"), ""),
        ],
    },
    Situation {
        lines: "AllowUsers alice bob\nAllowGroups dev\nDenyGroups staff\n",
        tries: &[
            login(
                "alice",
                DENIED,
                "User alice from 127.0.0.1 not allowed because a group is listed in DenyGroups",
            ),
            login("bob", In("bob"), ""),
        ],
    },
    Situation {
        lines: "AllowUsers alice\nMatch Address 127.0.0.2\n AllowUsers bob\n",
        tries: &[
            login("alice", In("alice"), ""),
            login(
                "alice",
                DENIED,
                "User alice from 127.0.0.2 not allowed because not listed in AllowUsers",
            )
            .from("127.0.0.2"),
            login("bob", In("bob"), "").from("127.0.0.2"),
        ],
    },
    Situation {
        lines: "PermitRootLogin no\nMatch Address 127.0.0.2\n PermitRootLogin yes\n",
        tries: &[
            login("root", DENIED, "ROOT LOGIN REFUSED FROM 127.0.0.1 port"),
            login("root", In("root"), "").from("127.0.0.2"),
        ],
    },
    Situation {
        lines: "Match User alice\n LogLevel ERROR\n ForceCommand echo quiet\n",
        tries: &[login("alice", In("quiet"), "")],
    },
];

#[test]
fn every_situation_ends_as_with_openssh_and_is_told_in_its_words() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = prepare(server)?;
    let mut failures = String::new();
    for situation in SITUATIONS {
        if let Err(error) = try_out(server, &key, situation) {
            writeln!(failures, "{}{error:#}\n", situation.lines)?;
        }
    }
    server.stop_theirs()?;
    assert!(failures.is_empty(), "{failures}");
    Ok(())
}

/// OpenSSH has had RefuseConnection since 9.9, and `invalid-user` since 10.0: Debian's sshd cannot be asked.
#[test]
fn a_connection_is_refused_when_its_user_is_named() -> Result<()> {
    let server = Server::up(
        "match-refuse",
        "Match User refused\n RefuseConnection yes\nMatch invalid-user\n RefuseConnection yes\nMatch all\n",
    )?;
    let key = server.add_user("welcome")?;
    server.add_user("refused")?;
    server.authorize("refused", &key.public)?;
    let since = server.now()?;
    server.must_serve(&key)?;
    for (user, sentence) in [
        ("refused", "connection for refused from 127.0.0.1 port "),
        (
            "stranger",
            "connection for invalid user stranger from 127.0.0.1 port ",
        ),
    ] {
        let key = UserKey {
            user: user.to_owned(),
            ..key.clone()
        };
        let output = server.ssh(&key, &[], &["echo in"]).run()?;
        assert_eq!(output.code(), Some(255), "{output:?}");
        let said = output.error_text();
        assert!(
            said.contains("Connection closed by 127.0.0.1 port 22"),
            "{said}"
        );
        let sentence = format!("administratively prohibited {sentence}");
        server.wait_for_entry(&since, &[&sentence])?;
    }
    Ok(())
}

/// Only ours has SessionProperties.
#[test]
fn the_scope_of_a_session_has_the_limits_of_its_user() -> Result<()> {
    let server = Server::up(
        "match-limits",
        "Match User limited\n SessionProperties MemoryMax=100M TasksMax=50 CPUWeight=7 CPUQuota=150%\nMatch all\n",
    )?;
    let limited = server.add_user("limited")?;
    let free = server.add_user("free")?;
    let command = "systemctl show session-$XDG_SESSION_ID.scope -p MemoryMax -p TasksMax -p CPUWeight -p CPUQuotaPerSecUSec; env | grep SSHD_";
    let shown = |key| anyhow::Ok(server.ssh(key, &[], &[command]).run()?.text());
    let output = shown(&limited)?;
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "CPUQuotaPerSecUSec=1.500000s",
            "CPUWeight=7",
            "MemoryMax=104857600",
            "TasksMax=50"
        ]
    );
    let output = shown(&free)?;
    assert!(output.contains("MemoryMax=infinity\n"), "{output}");
    assert!(!output.contains("TasksMax=50\n"), "{output}");
    Ok(())
}

/// The accounts, with one key for all of them, and the files that the situations name.
fn prepare(server: &Server) -> Result<UserKey> {
    server.shell("groupadd -f staff; groupadd dev")?;
    let key = server.add_user("alice")?;
    server.add_user("bob")?;
    for user in ["bob", "root"] {
        server.authorize(user, &key.public)?;
    }
    server.shell("usermod -aG staff,dev alice; usermod -aG dev bob")?;
    server.make_key("wrong")?;
    server.write_file("/root/everybody", b"to everybody\n", 0o644)?;
    server.write_file("/root/somebody", b"to somebody\n", 0o644)?;
    server.write_file("/root/included", b"ForceCommand echo included\n", 0o644)?;
    Ok(key)
}

fn try_out(server: &Server, key: &UserKey, situation: &Situation) -> Result<()> {
    let since = server.now()?;
    server.shell(&format!("rm -f {THEIR_LOG}"))?;
    let [ours, theirs] = PORTS.map(|port| file_for(port, situation));
    server.configure_beside([&ours, &theirs], &format!("-E {THEIR_LOG}"))?;
    let calls: Vec<_> = situation.tries.iter().map(|it| calls(key, it)).collect();
    let results = server.call_beside(&calls, AT_ONCE)?;
    for (attempt, [ours, theirs]) in situation.tries.iter().zip(results) {
        let who = format!("{} from {} to {}", attempt.user, attempt.from, attempt.to);
        ensure!(
            same(&ours, &theirs),
            "{who}: ours {ours:?}\ntheirs {theirs:?}"
        );
        ensure!(
            attempt.outcome.is_of(&ours),
            "{who}: {ours:?} is no {:?}",
            attempt.outcome
        );
        if !attempt.sentence.is_empty() {
            eventually("their sentence", Duration::from_secs(5), || {
                Ok(server
                    .shell(&format!("cat {THEIR_LOG}"))?
                    .contains(attempt.sentence))
            })?;
            server.wait_for_entry(&since, &[attempt.sentence])?;
        }
    }
    Ok(())
}

fn file_for(port: u16, situation: &Situation) -> String {
    let lines = situation.lines.replace("{port}", &port.to_string());
    format!("{COMMON}{lines}")
}

/// The call for ours and the one for theirs.
fn calls(key: &UserKey, attempt: &Try) -> [String; 2] {
    // One name for the host keys, whatever the port.
    let options = client_options(key).join(" ");
    PORTS.map(|port| {
        format!(
            "exec ssh {} {options} -o HostKeyAlias=localhost -p {port} -b {} {}@{} 'echo $(id -un) $GREETING'",
            attempt.options, attempt.from, attempt.user, attempt.to
        )
    })
}

fn same(ours: &Ended, theirs: &Ended) -> bool {
    let [port, their_port] = PORTS.map(|port| format!("port {port}"));
    // Their reason for a disconnection is always "protocol error" (RFC 4253 section 11.1).
    let unported = |text: &str| {
        text.replace(&their_port, &port)
            .replace(":2: Too many", ":14: Too many")
    };
    (&ours.code, &ours.out) == (&theirs.code, &theirs.out)
        && unported(&ours.err) == unported(&theirs.err)
}

impl Outcome {
    fn is_of(&self, ended: &Ended) -> bool {
        match self {
            In(text) => ended.code == "0" && ended.out.trim() == *text,
            Out(text) => ended.code == "255" && ended.out.is_empty() && ended.err.contains(text),
        }
    }
}
