//! What a session is told: the account, what `sshd_config` says of it, and what the methods permit
//! by which the user logged in. Both must permit what is done.

use accounts::Account;
use config::authorized_keys::{SessionConstraints, Tunnel};
use config::pattern::{PatternList, Verdict};
use config::sshd::{ForwardPort, PermitUserEnvironment, SshdConfig, YesNo};
use rpc::lane::{
    self, Identifications, LoginDetails, LoginProcess, NoLogin, Permission, Permissions,
    SessionStart,
};
use rpc::pam::Authority;

use crate::forwarding::forwarding;
use crate::open_session::Origin;
use crate::proof::AuthenticatedUser;
use crate::rules::{self, Rules};

/// The start of the session of `user`.
pub fn session_start(
    rules: &Rules,
    origin: Origin,
    identifications: &Identifications,
    user: &AuthenticatedUser,
) -> SessionStart {
    let (config, account) = (&rules.config, user.account());
    let constraints = &user.constraints().session;
    let subsystems = config.subsystems.iter();
    SessionStart {
        id: origin.id,
        endpoints: origin.endpoints,
        log_level: rules::log_level(config),
        facility: rules::facility(config).code(),
        user: account.name.clone(),
        home: account.home.display().to_string(),
        shell: account.shell.display().to_string(),
        accept_env: config.accept_env.iter().map(ToString::to_string).collect(),
        permit_tty: config.permit_tty == YesNo::Yes && constraints.pty == YesNo::Yes,
        subsystems: subsystems
            .map(|subsystem| (subsystem.name.clone(), subsystem.command.clone()))
            .collect(),
        max_sessions: config.max_sessions,
        forced_command: forced_command(config, constraints),
        environment: environment(config, constraints),
        user_environment: match &config.permit_user_environment {
            PermitUserEnvironment::Yes => Some("*".to_owned()),
            PermitUserEnvironment::No => None,
            PermitUserEnvironment::Only(list) => Some(list.clone()),
        },
        chroot_directory: chroot_directory(config, account),
        permissions: permissions(constraints),
        login: login_details(rules, user),
        forwarding: forwarding(config),
        process: login_process(rules),
        identifications: identifications.clone(),
    }
}

fn login_process(rules: &Rules) -> LoginProcess {
    let config = &rules.config;
    let yes = |word| word == YesNo::Yes;
    // An administrator's command comes first, but a key's does not: as in OpenSSH.
    let user_rc = yes(config.permit_user_rc) && config.force_command.is_none();
    LoginProcess {
        use_pam: matches!(rules.authority(), Authority::Pam(_)),
        print_motd: yes(config.print_motd),
        print_last_log: yes(config.print_last_log),
        user_rc: if user_rc {
            Permission::Granted
        } else {
            Permission::Denied
        },
        xauth_location: config
            .xauth_location
            .as_ref()
            .map(|path| path.display().to_string()),
        set_env: config
            .set_env
            .iter()
            .map(|variable| (variable.name.clone(), variable.value.clone()))
            .collect(),
    }
}

/// ChrootDirectory for an account.
fn chroot_directory(config: &SshdConfig, account: &Account) -> Option<String> {
    let directory = config.chroot_directory.as_ref()?;
    Some(directory.expand(|token| match token {
        'h' => account.home.display().to_string(),
        'u' => account.name.clone(),
        // The reader of the configuration lets no other token pass.
        _ => account.uid.to_string(),
    }))
}

/// How the user was authenticated, as far as the session has a part in it.
fn login_details(rules: &Rules, user: &AuthenticatedUser) -> LoginDetails {
    let exposed = match rules.config.expose_auth_info {
        YesNo::Yes => Some(user.auth_info()),
        YesNo::No => None,
    };
    LoginDetails {
        exposed,
        environment: user.pam_environment().cloned().collect(),
        no_login: match rules.authority() {
            Authority::Pam(_) => NoLogin::Judged,
            Authority::Shadow => NoLogin::Obeyed,
        },
        password: user.password(),
    }
}

/// The administrator's command is stronger than the one of the key (as in OpenSSH).
fn forced_command(config: &SshdConfig, constraints: &SessionConstraints) -> Option<String> {
    let keys = || constraints.forced_command.clone();
    config.force_command.clone().or_else(keys)
}

/// The key's variables, as far as PermitUserEnvironment lets users set any.
pub(crate) fn environment(
    config: &SshdConfig,
    constraints: &SessionConstraints,
) -> Vec<(String, String)> {
    let mut variables = constraints.environment.clone();
    match &config.permit_user_environment {
        PermitUserEnvironment::Yes => {}
        PermitUserEnvironment::No => variables.clear(),
        PermitUserEnvironment::Only(list) => {
            let list = PatternList::new(list);
            variables.retain(|(name, _)| list.verdict(name) == Verdict::Included);
        }
    }
    variables
}

fn permissions(constraints: &SessionConstraints) -> Permissions {
    let permission = |permitted| match permitted {
        YesNo::Yes => Permission::Granted,
        YesNo::No => Permission::Denied,
    };
    Permissions {
        agent_forwarding: permission(constraints.agent_forwarding),
        port_forwarding: permission(constraints.port_forwarding),
        x11_forwarding: permission(constraints.x11_forwarding),
        user_rc: permission(constraints.user_rc),
        permit_open: constraints.permit_open.iter().map(place).collect(),
        permit_listen: constraints.permit_listen.iter().map(place).collect(),
        tunnel: match constraints.tunnel {
            Tunnel::Any => lane::Tunnel::Any,
            Tunnel::Device(number) => lane::Tunnel::Device(number),
            Tunnel::Refused => lane::Tunnel::Refused,
        },
    }
}

pub(crate) fn place(port: &ForwardPort) -> lane::ForwardPort {
    lane::ForwardPort {
        host: port.host.clone(),
        port: port.port,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::authorized_keys::Options;

    fn config(lines: &str) -> SshdConfig {
        crate::testing::Machine::new(&[], lines)
            .policy
            .config
            .clone()
    }

    fn options(text: &str) -> SessionConstraints {
        Options::parse(text).unwrap().constraints.session
    }

    #[test]
    fn the_administrators_command_wins() {
        let key = options("command=\"key\"");
        let forced = |lines: &str, key| forced_command(&config(lines), key);
        assert_eq!(forced("", &key).as_deref(), Some("key"));
        assert_eq!(forced("ForceCommand all", &key).as_deref(), Some("all"));
        assert_eq!(forced("", &options("no-pty")), None);
    }

    #[test]
    fn the_root_directory_may_be_named_by_the_account() {
        let root = Account {
            home: "/home/50% off".into(),
            ..accounts::lookup("root").unwrap().unwrap()
        };
        for (line, expected) in [
            ("", None),
            ("ChrootDirectory none", None),
            ("ChrootDirectory /srv/%u/%U/100%%", Some("/srv/root/0/100%")),
            ("ChrootDirectory %h", Some("/home/50% off")),
        ] {
            let directory = chroot_directory(&config(line), &root);
            assert_eq!(directory.as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn a_keys_variables_count_as_far_as_they_are_permitted() {
        let key =
            options("environment=\"LANG=C\",environment=\"LC_ALL=x\",environment=\"PATH=/x\"");
        for (lines, expected) in [
            ("", vec![]),
            ("PermitUserEnvironment no", vec![]),
            ("PermitUserEnvironment yes", vec!["LANG", "LC_ALL", "PATH"]),
            ("PermitUserEnvironment LC_*,LANG", vec!["LANG", "LC_ALL"]),
            ("PermitUserEnvironment !LC_ALL,L*", vec!["LANG"]),
        ] {
            let variables = environment(&config(lines), &key);
            let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, expected, "{lines}");
        }
    }

    #[test]
    fn what_a_key_permits_is_passed_on() {
        assert_eq!(
            permissions(&SessionConstraints::default()),
            Permissions::ALL
        );
        let none = permissions(&options("restrict"));
        for (option, restored) in [
            (
                "agent-forwarding",
                Permissions {
                    agent_forwarding: Permission::Granted,
                    ..none.clone()
                },
            ),
            (
                "port-forwarding",
                Permissions {
                    port_forwarding: Permission::Granted,
                    ..none.clone()
                },
            ),
            (
                "x11-forwarding",
                Permissions {
                    x11_forwarding: Permission::Granted,
                    ..none.clone()
                },
            ),
            (
                "user-rc",
                Permissions {
                    user_rc: Permission::Granted,
                    ..none.clone()
                },
            ),
            (
                "tunnel=\"7\"",
                Permissions {
                    tunnel: lane::Tunnel::Device(7),
                    ..none.clone()
                },
            ),
            (
                "tunnel=\"any\"",
                Permissions {
                    tunnel: lane::Tunnel::Any,
                    ..none.clone()
                },
            ),
        ] {
            assert_eq!(
                permissions(&options(&format!("restrict,{option}"))),
                restored,
                "{option}"
            );
            assert_ne!(restored, none, "{option}");
        }
        let places = permissions(&options(
            "permitopen=\"[::1]:22\",permitopen=\"db:*\",permitlisten=\"80\"",
        ));
        let place = |host: &str, port| lane::ForwardPort {
            host: host.to_owned(),
            port,
        };
        assert_eq!(
            places.permit_open,
            [place("::1", Some(22)), place("db", None)]
        );
        assert_eq!(places.permit_listen, [place("*", Some(80))]);
    }
}
