//! UseDNS: what a client's host is called.
//!
//! The monitor has no socket that reaches a name server, and reads no answer of one. getent(1) does, in
//! a unit of its own as the user `nobody`: whatever nsswitch.conf(5) names works, and a parser of
//! answers that is fooled has fooled nobody but itself.
//!
//! A name counts only if it leads back to the address (remote_hostname of OpenSSH): whoever owns an
//! address can have it point to any name.

use std::net::IpAddr;

use accounts::Source;
use config::sshd::YesNo;
use tracing::info;

use crate::authenticate::Terms;
use crate::command;
use crate::rules;
use crate::systemd::ServiceManager;

/// Longest name of a host in text (RFC 1035 section 2.3.4, without the last dot).
const NAME_LIMIT: usize = 253;

/// Where a connection comes from. The host is its address unless UseDNS finds its name.
pub async fn source<M: ServiceManager>(terms: Terms<'_, M>) -> Source {
    let source = rules::source(terms.origin.endpoints);
    let (YesNo::Yes, Some(address)) = (terms.policy.config.use_dns, source.address) else {
        return source;
    };
    let ask = async |database, key| {
        let (id, client) = (terms.origin.id, terms.client());
        command::getent(terms.services, id, client, database, key).await
    };
    let Some(answer) = ask("hosts", address.to_string()).await else {
        return source;
    };
    let Some(name) = reverse(&answer) else {
        return source;
    };
    if is_numeric(&name) {
        info!("Nasty PTR record \"{name}\" is set up for {address}, ignoring");
        return source;
    }
    let Some(answer) = ask("ahosts", name.clone()).await else {
        info!("reverse mapping checking getaddrinfo for {name} [{address}] failed.");
        return source;
    };
    if !forward(&answer, address) {
        info!("Address {address} maps to {name}, but this does not map back to the address.");
        return source;
    }
    Source {
        host: name,
        ..source
    }
}

/// The name in an answer of `getent hosts`: the address, then names. In lower case, and fit for a log
/// and a command line.
fn reverse(answer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(answer).ok()?;
    let name = text.lines().next()?.split_ascii_whitespace().nth(1)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = name.len() <= NAME_LIMIT
        && name.bytes().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    fits.then(|| name.to_ascii_lowercase())
}

/// Whether a name reads as an address, also in the forms of inet_aton(3), which a resolver would take
/// it for: its last label is a number.
fn is_numeric(name: &str) -> bool {
    let last = name.trim_end_matches('.').rsplit('.').next();
    last.is_some_and(|label| {
        let digits = label.strip_prefix("0x").unwrap_or(label);
        let all = |digit: fn(&char) -> bool| digits.chars().all(|c| digit(&c));
        match digits.len() == label.len() {
            true => all(char::is_ascii_digit),
            false => all(char::is_ascii_hexdigit),
        }
    })
}

/// Whether an answer of `getent ahosts` has the address: one in each line, then the kind of socket.
fn forward(answer: &[u8], address: IpAddr) -> bool {
    let text = String::from_utf8_lossy(answer);
    let listed = text.lines().filter_map(|line| {
        let first = line.split_ascii_whitespace().next()?;
        first.parse::<IpAddr>().ok()
    });
    listed
        .map(|listed| listed.to_canonical())
        .any(|listed| listed == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_an_answer_counts_if_it_is_one() {
        let name = |answer: &str| reverse(answer.as_bytes());
        let found = Some("h.example.com".to_owned());
        assert_eq!(name("192.0.2.7       H.Example.COM alias\n"), found);
        for answer in [
            "",
            "192.0.2.7\n",
            "192.0.2.7 -x\n",
            "192.0.2.7 a\"b\n",
            "192.0.2.7 ä.example.com\n",
        ] {
            assert_eq!(name(answer), None, "{answer}");
        }
        assert_eq!(name(&format!("192.0.2.7 {}", "a".repeat(254))), None);
    }

    #[test]
    fn a_name_that_reads_as_an_address_is_none() {
        for name in ["2.3.4.5", "2.3", "7", "1.2.3.0x7f", "a.7", "2.3.4.5."] {
            assert!(is_numeric(name), "{name}");
        }
        for name in ["h.example.com", "7.example", "a7", "0xg"] {
            assert!(!is_numeric(name), "{name}");
        }
    }

    #[test]
    fn a_name_has_to_lead_back_to_the_address() {
        let answer = b"2001:db8::7 STREAM h.example.com\n2001:db8::7 DGRAM\n192.0.2.7 STREAM\n";
        for (address, expected) in [
            ("192.0.2.7", true),
            ("2001:db8::7", true),
            ("192.0.2.8", false),
        ] {
            assert_eq!(forward(answer, address.parse().unwrap()), expected);
        }
        assert!(!forward(b"", "192.0.2.7".parse().unwrap()));
    }
}
