use super::*;
use crate::sshd::{NoFiles, Offers, read_text};

/// A machine with one name in /etc/hosts.
struct Machine {
    ipv6: bool,
}

impl System for Machine {
    fn addresses_of(&self, host: &str) -> Vec<IpAddr> {
        let hosts = [
            "127.0.0.1 localhost",
            "::1 ip6 Localhost # x",
            "# 1.2.3.4 a",
        ];
        hosts
            .iter()
            .filter_map(|line| address_of(line, host))
            .collect()
    }

    fn has_ipv6(&self) -> bool {
        self.ipv6
    }
}

fn listening(text: &str) -> Listening {
    let offers = Offers::ours();
    // AddressFamily and ListenAddress may contradict each other here: what is salvaged is not consistent.
    let (families, others): (Vec<&str>, Vec<&str>) = text
        .split("; ")
        .partition(|line| line.starts_with("AddressFamily"));
    let read = |lines: Vec<&str>| {
        let configuration =
            read_text(&lines.join("\n"), "f", &[], &NoFiles, &offers.offered()).unwrap();
        Listening::from(&configuration.global().config)
    };
    let family = read(families).family;
    Listening {
        family,
        ..read(others)
    }
}

fn on(text: &str, machine: &Machine) -> (String, Option<String>, usize) {
    let Sockets {
        sockets,
        device,
        remarks,
    } = Sockets::of(&listening(text), machine);
    let shown: Vec<String> = sockets.iter().map(ToString::to_string).collect();
    (shown.join(" "), device, remarks.len())
}

/// Each: the configuration, the sockets, how many remarks. What is left out was tried with Debian's sshd and systemd 252.
#[test]
fn configurations_become_sockets_that_can_all_be_bound() {
    for (text, sockets, remarks) in [
        ("", "port 22", 0),
        ("Port 2222", "port 2222", 0),
        ("Port 22; Port 2222; Port 22", "port 22 port 2222", 0),
        ("AddressFamily inet", "0.0.0.0:22", 0),
        ("AddressFamily inet6; Port 23", "[::]:23", 0),
        // Every port for an address without one, in the order of the file.
        (
            "ListenAddress 192.0.2.1; ListenAddress [2001:db8::1]:24; Port 22; Port 23",
            "192.0.2.1:22 192.0.2.1:23 [2001:db8::1]:24",
            0,
        ),
        // Both families apart do not exclude each other.
        ("ListenAddress ::; ListenAddress 0.0.0.0", "port 22", 0),
        (
            "ListenAddress ::1; ListenAddress 0.0.0.0",
            "[::1]:22 0.0.0.0:22",
            0,
        ),
        (
            "ListenAddress ::; ListenAddress 0.0.0.0; ListenAddress [::]:23",
            "[::]:22 0.0.0.0:22 [::]:23",
            0,
        ),
        (
            "ListenAddress 127.0.0.1; ListenAddress 127.0.0.1:22",
            "127.0.0.1:22",
            0,
        ),
        // sshd binds the last one first; then the others cannot be bound.
        (
            "ListenAddress 127.0.0.1; ListenAddress 0.0.0.0",
            "0.0.0.0:22",
            1,
        ),
        (
            "ListenAddress 0.0.0.0; ListenAddress 127.0.0.1",
            "127.0.0.1:22",
            1,
        ),
        (
            "ListenAddress 0.0.0.0:23; ListenAddress 127.0.0.1; ListenAddress ::1",
            "0.0.0.0:23 127.0.0.1:22 [::1]:22",
            0,
        ),
        ("ListenAddress localhost", "127.0.0.1:22 [::1]:22", 0),
        (
            "ListenAddress localhost; AddressFamily inet6",
            "[::1]:22",
            0,
        ),
        (
            "ListenAddress a.example; ListenAddress 127.0.0.1",
            "127.0.0.1:22",
            1,
        ),
        (
            "ListenAddress ::1; ListenAddress 127.0.0.1; AddressFamily inet",
            "127.0.0.1:22",
            1,
        ),
        (
            "ListenAddress ::ffff:127.0.0.1; ListenAddress ::1",
            "[::1]:22",
            1,
        ),
        // Nothing is left: the machine must be reachable to be mended.
        ("ListenAddress a.example; Port 23", "port 23", 2),
        (
            "ListenAddress a.example:24; Port 23; AddressFamily inet",
            "0.0.0.0:24",
            2,
        ),
        ("ListenAddress ::1; AddressFamily inet", "0.0.0.0:22", 2),
    ] {
        let expected = (sockets.to_owned(), None, remarks);
        assert_eq!(on(text, &Machine { ipv6: true }), expected, "{text}");
    }
}

#[test]
fn a_unit_is_bound_to_one_device() {
    for (text, sockets, device, remarks) in [
        (
            "ListenAddress 0.0.0.0 rdomain vrf1",
            "0.0.0.0:22",
            Some("vrf1"),
            0,
        ),
        (
            "ListenAddress fe80::1%eth0",
            "[fe80::1]:22",
            Some("eth0"),
            0,
        ),
        (
            "ListenAddress 10.0.0.1 rdomain vrf1; ListenAddress 10.0.0.1 rdomain vrf2",
            "10.0.0.1:22",
            Some("vrf1"),
            1,
        ),
        (
            "ListenAddress 10.0.0.1 rdomain vrf1; ListenAddress 10.0.0.2",
            "10.0.0.2:22",
            None,
            1,
        ),
        (
            "ListenAddress 10.0.0.1 rdomain a\\; ListenAddress ::1",
            "[::1]:22",
            None,
            1,
        ),
        // Nothing is left, and there is no device to wait for.
        (
            "ListenAddress fe80::1%eth0 rdomain vrf1",
            "port 22",
            None,
            2,
        ),
    ] {
        let expected = (sockets.to_owned(), device.map(str::to_owned), remarks);
        assert_eq!(on(text, &Machine { ipv6: true }), expected, "{text}");
    }
}

#[test]
fn without_ipv6_in_the_kernel_nothing_is_asked_of_it() {
    for (text, sockets, remarks) in [
        ("", "port 22", 0),
        ("AddressFamily inet6", "port 22", 1),
        (
            "ListenAddress ::1; ListenAddress 127.0.0.1",
            "127.0.0.1:22",
            1,
        ),
        ("ListenAddress ::1", "port 22", 2),
        ("ListenAddress localhost", "127.0.0.1:22", 0),
    ] {
        let expected = (sockets.to_owned(), None, remarks);
        assert_eq!(on(text, &Machine { ipv6: false }), expected, "{text}");
    }
}

#[test]
fn there_is_a_bound_to_sockets() {
    let lines: Vec<String> = (1..=300)
        .map(|n| format!("ListenAddress 10.0.{}.{}", n / 200, n % 200 + 1))
        .collect();
    let text = format!("Port 1; Port 2; {}", lines.join("; "));
    let sockets = Sockets::of(&listening(&text), &Machine { ipv6: true });
    assert_eq!(sockets.sockets.len(), LIMIT);
    assert_eq!(sockets.remarks.len(), 1);
}

#[test]
fn a_file_with_errors_says_where_to_listen() {
    let directory = std::env::temp_dir().join(format!("config-salvage-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (file, included) = (directory.join("sshd_config"), directory.join("more"));
    let text = format!(
        "Prot 1\nPort 99999\nInclude {} /nonexistent/*\nPort 2222\nBanner \"x\nListenAddress 127.0.0.1\nListenAddress [::1\n\
         AllowUsers a\nMatch Usr x\nPort 7\n",
        included.display()
    );
    std::fs::write(&file, text).unwrap();
    std::fs::write(&included, "Port 2200\nMaxAuthTries many\n").unwrap();
    let salvaged = salvage(&file);
    std::fs::remove_dir_all(&directory).unwrap();
    let missing = salvage(&file);
    let Salvage { listening, errors } = salvaged.unwrap();
    assert_eq!(listening.ports, [2200, 2222]);
    assert_eq!(listening.addresses.len(), 1);
    // Not AllowUsers: it can be read.
    assert_eq!(errors.0.len(), 7, "{errors}");
    assert!(missing.is_err());
}

const SHIPPED: (&str, &str) = (
    "/usr/lib/systemd/system/sshd-privsep.socket",
    "[Socket]\nListenStream=22\n",
);
const MADE: (&str, &str) = (
    "/run/systemd/generator/sshd-privsep.socket.d/00-sshd_config.conf",
    "[Socket]\nListenStream=\nListenStream=2222\n",
);

fn decided_by(files: &[(&str, &str)]) -> Option<Override> {
    Override::of(files.iter().map(|(path, text)| (Path::new(*path), *text)))
}

#[test]
fn the_last_file_that_begins_anew_decides() {
    let path = "/etc/systemd/system/sshd-privsep.socket.d/override.conf";
    let begins_anew = (path, "[Socket]\nListenStream =\n ListenStream=2022\n");
    let adds = (path, "[Socket]\nListenStream=2022\n");
    let other = (path, "[Socket]\n#ListenStream=\nBacklog=7\n");
    let copy = (
        "/etc/systemd/system/sshd-privsep.socket",
        "[Socket]\nListenStream=2022\n",
    );
    let decides = |path: &str| Some(Override::Decides(path.into()));
    assert_eq!(decided_by(&[SHIPPED, MADE]), None);
    assert_eq!(decided_by(&[SHIPPED, MADE, begins_anew]), decides(path));
    assert_eq!(decided_by(&[SHIPPED, begins_anew, MADE]), None);
    assert_eq!(decided_by(&[SHIPPED, MADE, other]), None);
    assert_eq!(
        decided_by(&[SHIPPED, MADE, adds]),
        Some(Override::Adds(path.into()))
    );
    assert_eq!(decided_by(&[copy, adds]), decides(copy.0));
}

fn difference(text: &str, open: &[Socket], by: Option<&Override>) -> Option<String> {
    let machine = Machine { ipv6: true };
    let configured = Sockets::of(&listening(text), &machine);
    Difference::between(&configured, open, by, &machine).map(|difference| difference.to_string())
}

#[test]
fn a_difference_is_named_with_its_remedy() {
    let old = [Socket::Everywhere(22)];
    assert_eq!(difference("", &old, None), None);
    assert_eq!(
        difference("Port 2222", &old, None).unwrap(),
        "sshd_config says port 2222, sshd-privsep.socket listens on port 22. To listen where the file says: systemctl \
         daemon-reload && systemctl restart sshd-privsep.socket"
    );
    let lost = difference("Port 22; Port 23", &[], None).unwrap();
    assert!(
        lost.starts_with(
            "sshd_config says port 22 and port 23, sshd-privsep.socket listens on nothing."
        ),
        "{lost}"
    );
    // The order does not matter, the family does.
    let both = [Socket::Everywhere(23), Socket::Everywhere(22)];
    assert_eq!(difference("Port 22; Port 23", &both, None), None);
    let v6 = Socket::open("[::]:22".parse().unwrap(), V6Only::Yes);
    assert_eq!(difference("AddressFamily inet6", &[v6], None), None);
    assert!(difference("", &[v6], None).is_some());
    let dual = Socket::open("[::]:22".parse().unwrap(), V6Only::No);
    assert_eq!(difference("", &[dual], None), None);
    assert!(difference("AddressFamily inet6", &[dual], None).is_some());
}

#[test]
fn what_an_administrator_wants_is_no_trouble() {
    let path = "/etc/systemd/system/sshd-privsep.socket.d/override.conf";
    let open = [Socket::Everywhere(22), Socket::Everywhere(2022)];
    let decides = Override::Decides(path.into());
    assert_eq!(
        difference("", &open, Some(&decides)).unwrap(),
        format!(
            "sshd_config says port 22, sshd-privsep.socket listens on port 22 and port 2022, as {path} wants it"
        )
    );
    let adds = Override::Adds(path.into());
    assert_eq!(difference("", &open, Some(&adds)), None);
    let late = difference("Port 2222", &open, Some(&adds)).unwrap();
    assert!(
        late.ends_with("systemctl restart sshd-privsep.socket"),
        "{late}"
    );
}

#[test]
fn all_of_ipv4_is_everything_where_there_is_no_ipv6() {
    let machine = Machine { ipv6: false };
    let open = [Socket::At("0.0.0.0:22".parse().unwrap())];
    for text in ["", "AddressFamily inet"] {
        let configured = Sockets::of(&listening(text), &machine);
        assert_eq!(
            Difference::between(&configured, &open, None, &machine),
            None
        );
    }
}
