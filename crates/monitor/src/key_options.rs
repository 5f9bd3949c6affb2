//! What users are told of the options of the key by which they logged in (`ssh -v` shows it): sshd's words.
//!
//! Each key is told of once. sshd does so for the question about a key and for its signature, and of keys that did not open
//! the account, too; of a certificate it tells apart what its line permits and what itself does. Here it is what holds.
//!
//! They have proved to have that key, and hear of it after the login only: nothing of an account is given away by it.

use accounts::Place;
use config::authorized_keys::{Constraints, Tunnel};
use config::sshd::{Forwarding, SshdConfig, YesNo};

use crate::proof::AuthenticatedUser;
use crate::session_start::environment;

/// A line for each key, and one for each variable that it sets.
pub(crate) fn key_options(config: &SshdConfig, user: &AuthenticatedUser) -> Vec<String> {
    let keys = user.methods().iter().filter_map(|proof| proof.listed());
    keys.flat_map(|key| lines(config, key.place(), key.constraints()))
        .collect()
}

fn lines(config: &SshdConfig, place: &Place, constraints: &Constraints) -> Vec<String> {
    let place = match place {
        Place::Line { .. } => place.to_string(),
        Place::Authorities(_) => "cert".to_owned(),
    };
    let mut lines = vec![format!(
        "{place}: key options:{}",
        words(config, constraints)
    )];
    let variables = environment(config, &constraints.session);
    lines.extend(
        variables
            .into_iter()
            .map(|(name, value)| format!("{place}: environment: {name}={value}")),
    );
    lines
}

/// In sshd's order, each with a space in front.
fn words(config: &SshdConfig, constraints: &Constraints) -> String {
    let session = &constraints.session;
    let yes = |word| word == YesNo::Yes;
    let forwards = |direction| [Forwarding::Yes, direction].contains(&config.allow_tcp_forwarding);
    let tunnel = match session.tunnel {
        Tunnel::Device(number) => format!("tun={number}"),
        Tunnel::Any | Tunnel::Refused => String::new(),
    };
    let set = |set, word| if set { word } else { "" };
    let words = [
        set(yes(session.agent_forwarding), "agent-forwarding"),
        set(session.forced_command.is_some(), "command"),
        set(!environment(config, session).is_empty(), "environment"),
        set(!constraints.expiry.is_empty(), "expires"),
        set(!yes(constraints.touch_required), "no-touch-required"),
        set(
            !session.permit_open.is_empty() && forwards(Forwarding::Local),
            "permitopen",
        ),
        set(
            !session.permit_listen.is_empty() && forwards(Forwarding::Remote),
            "permitlisten",
        ),
        set(yes(session.port_forwarding), "port-forwarding"),
        set(yes(session.pty), "pty"),
        set(yes(constraints.verify_required), "uv"),
        &tunnel,
        set(yes(session.user_rc), "user-rc"),
        set(yes(session.x11_forwarding), "x11-forwarding"),
    ];
    let words = words.into_iter().filter(|word| !word.is_empty());
    words.map(|word| format!(" {word}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::authorized_keys::Options;

    fn told(configured: &str, options: &str) -> Vec<String> {
        let machine = crate::testing::Machine::new(&[], configured);
        let config = &machine.policy.config;
        let options = Options::parse(options).unwrap();
        let place = Place::Line {
            file: "/home/alice/.ssh/authorized_keys".into(),
            line: 3,
        };
        lines(config, &place, &options.constraints)
    }

    #[test]
    fn options_are_told_in_the_words_of_sshd() {
        const PLACE: &str = "/home/alice/.ssh/authorized_keys:3:";
        let all = "agent-forwarding port-forwarding pty user-rc x11-forwarding";
        assert_eq!(told("", ""), [format!("{PLACE} key options: {all}")]);
        assert_eq!(told("", "restrict"), [format!("{PLACE} key options:")]);
        let options = "restrict,pty,command=\"id\",permitopen=\"a:1\",permitlisten=\"2\",tunnel=\"7\",environment=\"A=b\"";
        assert_eq!(
            told("AllowTcpForwarding local", options),
            [format!("{PLACE} key options: command permitopen pty tun=7")]
        );
        assert_eq!(
            told("PermitUserEnvironment yes", options),
            [
                format!(
                    "{PLACE} key options: command environment permitopen permitlisten pty tun=7"
                ),
                format!("{PLACE} environment: A=b")
            ]
        );
    }
}
